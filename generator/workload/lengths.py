"""How many tokens: draws of a :class:`job.Length` by arrival number, the same in every worker and in any order.

Numbers come in blocks of 1,024, each from its own seed, so that a closed loop without end needs no list of them.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from generator.job import Length

BLOCK = 1024
_BLOCKS_KEPT = 8

INPUT, OUTPUT = 1, 2
"""Streams of a step's seed; 0 is the schedule's."""

PAIR = 3
"""Stream of lengths that belong together: both take the row that it draws."""


def draw(length: Length, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    """``count`` lengths, each clipped to [low, high]."""
    if length.law == "fixed":
        return np.full(count, round(length.value), dtype=np.int64)
    if length.law == "uniform":
        return rng.integers(length.low, length.high, count, endpoint=True)
    if length.law == "normal":
        raw = rng.normal(length.mean, length.sd, count)
    elif length.law == "lognormal":
        sigma2 = np.log1p((length.sd / length.mean) ** 2)
        raw = rng.lognormal(np.log(length.mean) - sigma2 / 2, np.sqrt(sigma2), count)
    elif length.law == "zipf":
        # Inverse of the distribution function, tabulated: bounded, so exact without rejection.
        return length.low + np.searchsorted(_zipf_shares(length), rng.random(count), side="right")
    else:
        raise ValueError(f"lengths of law {length.law!r} are not drawn; a file has them")
    return np.clip(np.rint(raw), length.low, length.high).astype(np.int64)


def _zipf_shares(length: Length) -> NDArray[np.float64]:
    weights = np.arange(length.low, length.high + 1, dtype=np.float64) ** -length.value
    shares = np.cumsum(weights)
    inner: NDArray[np.float64] = shares[:-1] / shares[-1]
    return inner


def mean(length: Length) -> float:
    """Mean tokens; exact for fixed, uniform, zipf and empirical, from 65,536 draws where clipping leaves no closed form."""
    if length.law == "fixed":
        return float(round(length.value))
    if length.law == "empirical":
        return length.mean
    if length.law == "uniform":
        return (length.low + length.high) / 2
    if length.law == "zipf":
        values = np.arange(length.low, length.high + 1, dtype=np.float64)
        weights = values**-length.value
        return float((values * weights).sum() / weights.sum())
    return float(draw(length, np.random.default_rng(0), 65_536).mean())


class Drawn:
    """Lengths by arrival number, a block at a time. ``table``: the rows that an empirical law draws from."""

    def __init__(
        self, length: Length, seed: tuple[int, int], stream: int, table: NDArray[np.int32] | None = None
    ) -> None:
        self._length = length
        self._seed = seed
        self._stream = PAIR if length.paired else stream
        self._column = None if table is None else table[:, length.column]
        self._blocks: OrderedDict[int, NDArray[np.int64]] = OrderedDict()

    def __getitem__(self, n: int) -> int:
        if self._length.law == "fixed":
            return round(self._length.value)
        number, within = divmod(n, BLOCK)
        block = self._blocks.get(number)
        if block is None:
            block = self._blocks[number] = self.block(number)
            if len(self._blocks) > _BLOCKS_KEPT:
                self._blocks.popitem(last=False)
        return int(block[within])

    def block(self, number: int) -> NDArray[np.int64]:
        """Lengths of arrivals ``number``·1024 and the 1,023 after it."""
        if self._length.in_order:
            rows = np.arange(number * BLOCK, (number + 1) * BLOCK, dtype=np.int64)
        else:
            seed = np.random.SeedSequence(self._seed[0], spawn_key=(self._seed[1], self._stream, number))
            rng = np.random.default_rng(seed)
            if self._column is None:
                return draw(self._length, rng, BLOCK)
            rows = rng.integers(0, len(self._column), BLOCK)
        assert self._column is not None, "lengths in order are a file's"
        return self._column[rows % len(self._column)].astype(np.int64)
