"""Which of several weighted workloads an arrival belongs to: pure in the step's seed and the arrival's number, so that it is the same
in every worker, in any order."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from generator.job import Step
from generator.workload.lengths import BLOCK
from generator.workload.make import Prompt, Workload

MIX = 100
"""Stream of a step's seed; those below are the schedule's and the lengths'."""

_BLOCKS_KEPT = 8


class Mix:
    """Draws come in blocks of 1,024. The numbers that a workload sees are its own, 0, 1, 2, …, so that a dataset is read in order and
    whole however many others run beside it."""

    def __init__(self, weights: Sequence[float], seed: tuple[int, int]) -> None:
        self._edges = np.cumsum(np.asarray(weights, dtype=np.float64))[:-1] / sum(weights)
        self._seed = seed
        self._before = [np.zeros(len(weights), dtype=np.int64)]  # of each workload, in the blocks before block i
        self._blocks: OrderedDict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = OrderedDict()

    def place(self, n: int) -> tuple[int, int]:
        """(which workload, its own number) of arrival ``n``."""
        number, within = divmod(n, BLOCK)
        while len(self._before) <= number + 1:
            counts = np.bincount(self._draw(len(self._before) - 1), minlength=len(self._edges) + 1)
            self._before.append(self._before[-1] + counts)
        block = self._blocks.get(number)
        if block is None:
            block = self._blocks[number] = self._ranked(number)
            if len(self._blocks) > _BLOCKS_KEPT:
                self._blocks.popitem(last=False)
        which, own = block
        return int(which[within]), int(own[within])

    def _draw(self, number: int) -> NDArray[np.int64]:
        seed = np.random.SeedSequence(self._seed[0], spawn_key=(self._seed[1], MIX, number))
        return np.searchsorted(self._edges, np.random.default_rng(seed).random(BLOCK), side="right")

    def _ranked(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        which = self._draw(number)
        own = np.empty(BLOCK, dtype=np.int64)
        for workload, before in enumerate(self._before[number]):
            mine = which == workload
            own[mine] = before + np.arange(int(mine.sum()))
        return which, own


def mix_of(step: Step) -> Mix | None:
    """None for a step with one workload."""
    return Mix([w.weight for w in step.mix], step.seed) if step.mix else None


def region(which: int, of: int) -> int:
    """Where the numbers of one of ``of`` makers of synthetic prompts begin: the 2³⁰ that ``synthetic.spell`` keeps apart, dealt out, so
    that equal numbers of two workloads give unlike prompts. Whoever makes more than its part repeats the next one's."""
    return which << (30 - (of - 1).bit_length())


class Mixed:
    """Several workloads as one; each prompt says which of them made it."""

    def __init__(self, step: Step, workloads: Sequence[Workload]) -> None:
        self._mix = Mix([w.weight for w in step.mix], step.seed)
        self._specs = step.mix
        self._workloads = workloads
        # A dataset counts its records from 0.
        self._first = [0 if w.dataset is not None else region(i, len(step.mix)) for i, w in enumerate(step.mix)]

    def prompt(self, n: int) -> Prompt:
        which, own = self._mix.place(n)
        return replace(self._workloads[which].prompt(self._first[which] + own), spec=self._specs[which])
