"""Prompts that begin alike, so that a prefix cache has something to find: groups of one scenario, or the blocks that a trace names.

Texts are pure in (step's seed, group or block, arrival): equal numbers give equal words, whichever worker makes them. Each step has
texts of its own, so that none finds its prefixes in a cache that the step before has filled.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from generator.workload.synthetic import Synthetic, mix, spell

_GROUPS = 0x8000
"""Set in the number of a step where a group is spelt, not an arrival: steps are fewer."""

_SHUFFLE = 8
"""Stream of a step's seed that deals arrivals to groups; see ``lengths``."""

_KEPT = 4


class Groups:
    """``groups`` prefixes of ``words`` words each at a time. Every ``groups`` · ``prompts`` arrivals in a row have each prefix ``prompts``
    times, in an order of the seed's; then come new prefixes. ``prompts`` None: the same prefixes throughout, one round after another.
    ``dealt``: the seed of that order, where the words have another.
    """

    def __init__(
        self,
        source: Synthetic,
        seed: tuple[int, int],
        groups: int,
        prompts: int | None,
        words: int,
        *,
        dealt: tuple[int, int] | None = None,
    ) -> None:
        self._source = source
        self._seed = seed
        self._dealt = seed if dealt is None else dealt
        self._groups = groups
        self._prompts = prompts
        self._words = words
        self._rounds: OrderedDict[int, NDArray[np.int64]] = OrderedDict()

    def group(self, n: int) -> int:
        """Of arrival ``n``, from 0; never the same again once its prompts are spent."""
        number, within = divmod(n, self._groups * (self._prompts or 1))
        order = self._rounds.get(number)
        if order is None:
            seed = np.random.SeedSequence(self._dealt[0], spawn_key=(self._dealt[1], _SHUFFLE, number))
            order = self._rounds[number] = np.random.default_rng(seed).permutation(self._groups * (self._prompts or 1))
            if len(self._rounds) > _KEPT:
                self._rounds.popitem(last=False)
        # Several workloads of one step count from far apart; they do not share their prefixes.
        return int(order[within]) % self._groups + (n >> 24 if self._prompts is None else number) * self._groups

    def text(self, n: int, count: int) -> str:
        """A prompt of ``count`` words; at least one is its own."""
        shared = min(self._words, count - 1)
        own = self._source.spelt(spell(self._seed, n), count - shared)
        return f"{self.prefix(self.group(n), shared)} {own}" if shared else own

    def prefix(self, group: int, count: int) -> str:
        """The first ``count`` ≥ 1 words of a group's prompts. Neighbouring groups have other first words: as many as there are words."""
        step = (self._seed[0], self._seed[1] | _GROUPS)
        first = self._source.word(spell(step, 0) + group)
        return f"{first} {self._source.spelt(spell(step, group), count - 1)}" if count > 1 else first


class Blocks:
    """Prompts of a trace that names their content: arrival n is made of blocks ``ids[ends[n-1]:ends[n]]`` of ``words`` words each, the
    last one cut to the prompt's length; what is longer than its blocks is its own. Two prompts have as many blocks in common, from the
    first on, as their lists of ids do.
    """

    def __init__(
        self, source: Synthetic, seed: tuple[int, int], ids: NDArray[np.int64], ends: NDArray[np.int64], words: int
    ) -> None:
        self._source = source
        self._seed = seed
        self._ids = ids
        self._ends = ends
        self._words = words
        self._key = spell((seed[0], seed[1] | _GROUPS), (1 << 30) - 1)

    def text(self, n: int, count: int) -> str:
        """A prompt of ``count`` words."""
        if not 0 <= n < len(self._ends):
            return self._source.spelt(spell(self._seed, n), count)  # a probe is no arrival of the trace
        first = int(self._ends[n - 1]) if n else 0
        ids = self._ids[first : int(self._ends[n])].tolist()
        edges = [min(count, self._words * k) for k in range(len(ids) + 1)]
        parts = [self.block(i, b - a) for i, (a, b) in zip(ids, pairwise(edges), strict=True) if b > a]
        if count > edges[-1]:
            parts.append(self._source.spelt(spell(self._seed, n), count - edges[-1]))
        return " ".join(parts)

    def block(self, number: int, count: int) -> str:
        """The first ``count`` words of a block, by its id of up to 64 bits."""
        return self._source.spelt(mix(self._key ^ number & (1 << 64) - 1), count)
