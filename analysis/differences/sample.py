"""What one side of a comparison measured, and how many independent requests that is worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BATCHES = 30
LEAST_A_BATCH = 2

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sample:
    """``values`` [n] in the order of time; ``block`` [n] int64, not falling: which block each is of. One block: nothing is paired."""

    values: Values
    block: NDArray[np.int64]

    @property
    def n(self) -> int:
        return len(self.values)

    def without(self, block: int) -> Values:
        left: Values = self.values[self.block != block]
        return left

    def blocks(self) -> NDArray[np.int64]:
        return np.unique(self.block)


@dataclass(frozen=True, slots=True)
class Effective:
    """``n`` as many independent requests would be as sure; ``dof`` of the variance that says so, 0 where none could be taken."""

    n: float
    dof: int


def effective(sample: Sample, of: Values) -> Effective:
    """How much the mean of ``of`` [n] (an indicator, or the values) varies between stretches of time inside blocks, against independence.

    Each block is cut into equal stretches, 30 over all blocks or two a block; φ is the variance of their means about their block's, over
    that of independent values; n / max(1, φ). What blocks have in common, such as a drift, is in neither side's figure: it cancels in
    the difference of sides that took turns. One block: the batch means of measuring one run alone.
    """
    blocks = sample.blocks()
    a_block = max(2, round(BATCHES / max(1, len(blocks))))
    between = within = 0.0
    dof = 0
    for block in blocks:
        own = of[sample.block == block]
        if len(own) < LEAST_A_BATCH * a_block:
            continue
        centre = own.mean()
        within += float(((own - centre) ** 2).sum())
        cuts = np.array_split(own, a_block)
        between += sum(len(cut) * (float(cut.mean()) - float(centre)) ** 2 for cut in cuts)
        dof += a_block - 1
    if not dof or within <= 0:
        return Effective(float(sample.n), dof)
    inflation = (between / dof) / (within / sample.n)
    return Effective(sample.n / max(1.0, inflation), dof)
