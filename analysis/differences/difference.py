"""One figure of two sides: the difference, its interval, and whether it is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.differences import discovery, within
from analysis.differences.laws import POWER_80, student_ppf, two_sided
from analysis.differences.paired import jackknife
from analysis.differences.sample import Sample, Values


@dataclass(frozen=True, slots=True)
class Difference:
    """``a``, ``b``, ``low`` and ``high`` (95 %, of b − a) in the figure's unit. ``from_blocks``: the interval is as wide as blocks vary,
    because they vary more than single requests explain. ``error`` and ``dof`` are those of the wider of the two.
    """

    a: float
    b: float
    low: float
    high: float
    p_value: float
    error: float
    dof: int
    from_blocks: bool
    n: tuple[int, int]
    n_effective: tuple[float, float]

    @property
    def estimate(self) -> float:
        return self.b - self.a

    def detectable(self, tests: int) -> float:
        """The smallest difference that such data show four times in five, when it is the only one among ``tests`` questions."""
        return (student_ppf(1 - discovery.RATE / 2 / tests, self.dof) + POWER_80) * self.error


def of_quantile(a: Sample, b: Sample, p: float, b_first: Sequence[bool] = ()) -> Difference | None:
    """None where there are too few requests to bound the quantile; here and below also where ``b_first`` asks for pairs that are not there."""
    return _joined(a, b, within.quantile(a, b, p), b_first, lambda values: np.quantile(values, p))


def of_mean(a: Sample, b: Sample, b_first: Sequence[bool] = ()) -> Difference | None:
    return _joined(a, b, within.mean(a, b), b_first, np.mean)


def of_share(a: Sample, b: Sample, b_first: Sequence[bool] = ()) -> Difference | None:
    return _joined(a, b, within.share(a, b), b_first, np.mean)


def _joined(
    a: Sample,
    b: Sample,
    inside: within.Estimate | None,
    b_first: Sequence[bool],
    figure: Callable[[Values], float | np.floating],
) -> Difference | None:
    """The wider of two intervals: of single requests, and of blocks. Either may be the smaller by chance, so neither is trusted alone.

    None also where blocks were to be paired (``b_first`` [blocks]) and the sides have not the same ones, or too few.
    """
    between = jackknife(a, b, b_first, figure) if len(b_first) else None
    if inside is None or (len(b_first) and between is None):
        return None
    low, high = inside.low, inside.high
    p_value = two_sided(inside.difference, inside.error, inside.dof)
    error, dof, from_blocks = inside.error, inside.dof, False
    if between is not None:
        p_value = max(p_value, two_sided(inside.difference, between.error, between.dof))
        reach, narrow = student_ppf(0.975, between.dof) * between.error, (high - low) / 2
        if reach > narrow:
            centre = inside.difference
            scale = reach / narrow if narrow > 0 else 1.0
            low, high = (centre - (centre - low) * scale, centre + (high - centre) * scale)
            if narrow == 0:
                low, high = centre - reach, centre + reach
            error, dof, from_blocks = between.error, between.dof, True
    return Difference(inside.a, inside.b, low, high, p_value, error, dof, from_blocks, (a.n, b.n), inside.n_effective)
