"""Live counters: one row of int64 a worker in an mmapped file of the run folder, which outlives whoever wrote it.

Workers add, the coordinator reads; no lock, because each number has one writer and an aligned int64 store is whole. The
figures are for the live view and for counting what a dead worker lost; no metric is computed from them.
"""

from __future__ import annotations

import math
import mmap
import os
from pathlib import Path

from generator.schema import OUTCOMES

NAMES = (
    "heartbeat_ns",
    "step_id",
    "issued",  # taken by the pacer, dropped ones not included
    "sent",
    "done",
    *OUTCOMES,
    "in_flight",
    "tokens",
    "late_1ms",
    "late_10ms",
    "late_100ms",
    "step_issued",  # issued in the step named by step_id
    "step_done",
    "recorded",  # request rows in renamed segments
    "spent_nano_usd",  # by the target's own usage
    "guessed_nano_usd",  # the most that answers without usage can have cost
    "ttft_ns",  # sum over the histogram below
)
INDEX = {name: i for i, name in enumerate(NAMES)}

TTFT_SCHEMA = 3
"""Resolution of the TTFT histogram as Prometheus's native histograms number it: 2**3 bins a doubling, whose edges are powers of 2 in
seconds, so that the bins can be told as they are."""

_PER_DOUBLING = 1 << TTFT_SCHEMA

TTFT_FIRST = -14 * _PER_DOUBLING
"""Number of the lowest edge, 2**-14 s (61 µs): edge k lies at 2**(k / 2**TTFT_SCHEMA) s. Bin 0 holds all below."""

TTFT_BINS = 10 * _PER_DOUBLING - TTFT_FIRST + 1
"""Up to 2**10 s (17 min); the last bin holds all above, too."""

WIDTH = len(NAMES) + TTFT_BINS


def ttft_bin(ns: int) -> int:
    """Bin that holds this time: more than the edge below, at most its own."""
    if ns <= _FIRST_NS:
        return 0
    return min(TTFT_BINS - 1, math.ceil(_PER_DOUBLING * math.log2(ns / 1e9)) - TTFT_FIRST)


def ttft_of_bin(i: int) -> float:
    """Upper edge of a bin in ns."""
    return float(1e9 * 2 ** ((i + TTFT_FIRST) / 2**TTFT_SCHEMA))


_FIRST_NS = ttft_of_bin(0)


class Counters:
    """``table[worker * WIDTH + INDEX[name]]``, a memoryview of int64."""

    def __init__(self, path: Path, workers: int, create: bool = False) -> None:
        size = workers * WIDTH * 8
        flags = os.O_RDWR | (os.O_CREAT if create else 0)
        fd = os.open(path, flags, 0o644)
        try:
            if create:
                os.ftruncate(fd, size)
            self._map = mmap.mmap(fd, size)
        finally:
            os.close(fd)
        self.workers = workers
        self.table = memoryview(self._map).cast("q")

    def row(self, worker: int) -> memoryview:
        """The worker's own row: ``row[INDEX[name]] += 1``."""
        return self.table[worker * WIDTH : (worker + 1) * WIDTH]

    def total(self, name: str) -> int:
        i = INDEX[name]
        return sum(self.table[w * WIDTH + i] for w in range(self.workers))

    def of(self, worker: int, name: str) -> int:
        return int(self.table[worker * WIDTH + INDEX[name]])

    def ttft_histogram(self) -> list[int]:
        """Counts by bin, all workers together."""
        each = [self.row(w)[len(NAMES) :].tolist() for w in range(self.workers)]
        return [sum(counts) for counts in zip(*each, strict=True)]
