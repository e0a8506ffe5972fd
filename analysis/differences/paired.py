"""The noise between blocks: how much the difference itself varies from one block to the next, both sides left out together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.differences.sample import Sample, Values

LEAST_BLOCKS = 4
"""Two degrees of freedom: mean and order are taken away."""


@dataclass(frozen=True, slots=True)
class Between:
    """Standard error of the pooled difference as blocks tell it, and its degrees of freedom."""

    error: float
    dof: int


def jackknife(
    a: Sample, b: Sample, b_first: Sequence[bool], figure: Callable[[Values], float | np.floating]
) -> Between | None:
    """Leave each block out of both sides, and see what that does to ``figure``'s pooled difference (Tukey's pseudo-values).

    What both sides have in common in a block (a slow minute, heavy prompts) leaves the difference as it is. ``b_first`` [blocks], by the
    order of ``a.blocks()``: a linear drift gives the side that comes second so much a block, with the sign of the order; it is
    fitted and taken out of the scatter (in the mean it cancels, as each side comes first as often). None below four blocks.

    A block is left out whole, not a request: then the jackknife holds for quantiles, too.
    """
    blocks = a.blocks()
    if len(blocks) < LEAST_BLOCKS or not np.array_equal(blocks, b.blocks()):
        return None
    count = len(blocks)
    whole = float(figure(b.values)) - float(figure(a.values))
    left = np.array([float(figure(b.without(block))) - float(figure(a.without(block))) for block in blocks])
    pseudo = count * whole - (count - 1) * left
    order = np.where(np.asarray(b_first), 1.0, -1.0)
    order -= order.mean()
    scatter = pseudo - pseudo.mean()
    ordered = float(order @ order)
    dof = count - 1
    if ordered > 0:
        scatter = scatter - order * (order @ scatter) / ordered
        dof -= 1
    return Between(float(np.sqrt(scatter @ scatter / dof / count)), dof)
