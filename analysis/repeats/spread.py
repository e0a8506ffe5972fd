"""How much runs of one plan differ, how much of that is noise within each, and the interval that both leave."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.differences.laws import fisher_tail, student_ppf
from analysis.repeats.estimate import STRETCHES, Estimate

ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Spread:
    """Standard deviations over repetitions, in the figure's unit: ``total_sd`` of what the runs gave; ``within_sd`` of what they would
    give if nothing but the noise within each told them apart; ``between_sd`` of what is left, 0 where noise explains all. ``within_share``
    is noise's part of the variance, at most 1. ``p_value``: so large a spread, or a larger one, by noise alone. ``half_width`` of the
    95 % interval of the merged figure; ``by_runs``: it is as wide as runs differ, else as noise within them asks.

    What noise asks is None where the runs are too short to tell.
    """

    runs: int
    total_sd: float
    within_sd: float | None
    between_sd: float | None
    within_share: float | None
    p_value: float | None
    half_width: float
    by_runs: bool

    @property
    def shown(self) -> bool:
        return self.p_value is not None and self.p_value < ALPHA


def decompose(estimates: Sequence[Estimate], *, paired: bool) -> Spread | None:
    """None below two repetitions.

    A one-way analysis of variance with random effects over k runs. The variance between runs is that of their figures less the mean of
    their own error variances (Hedges & Olkin 1985, as compared with DerSimonian & Laird's weights in DerSimonian & Kacker, Contemporary
    Clinical Trials 28, 2007: with runs of one plan the weights are equal but for chance, and then the two agree). F = variance of the
    figures / mean error variance has k − 1 and, with B stretches a run, k(B − 1) degrees of freedom where nothing differs.

    ``paired``: the runs had the same arrivals, so what a stretch of the schedule does to all of them alike is in no difference between
    them. It is taken out of the parts first, as blocks are in a randomised block design, and (k − 1)(B − 1) degrees of freedom stay. The
    interval is then about this schedule, not about every one that the law of arrivals might have given.

    The interval is merged figure ± t(k − 1) · total_sd / √k: runs that differ make it wide, whatever each was sure of. It is never
    narrower than the noise within the runs asks for, because few runs may agree by chance.
    """
    count = len(estimates)
    if count < 2:
        return None
    values = np.array([e.value for e in estimates])
    total = _real(float(values.var(ddof=1)), values)
    reach = student_ppf(0.975, count - 1) * math.sqrt(total / count)
    parts = [e.parts for e in estimates if e.parts is not None]
    if len(parts) < count:
        return Spread(count, math.sqrt(total), None, None, None, None, reach, by_runs=True)
    table = np.vstack(parts)
    table = table - table.mean(axis=1, keepdims=True)
    dof = count * (STRETCHES - 1)
    if paired:
        table = table - table.mean(axis=0)
        dof = (count - 1) * (STRETCHES - 1)
    within = _real(float((table**2).sum()) / dof / STRETCHES, values)
    asked = student_ppf(0.975, dof) * math.sqrt(within / count)
    share = p_value = None
    if total > 0:
        share = min(1.0, within / total)
        p_value = fisher_tail(total / within, count - 1, dof) if within > 0 else 0.0
    return Spread(
        runs=count,
        total_sd=math.sqrt(total),
        within_sd=math.sqrt(within),
        between_sd=math.sqrt(max(0.0, total - within)),
        within_share=share,
        p_value=p_value,
        half_width=max(reach, asked),
        by_runs=reach >= asked,
    )


def _real(variance: float, values: NDArray[np.float64]) -> float:
    """Zero in place of what rounding leaves of it: runs that gave the same number differ by nothing."""
    return variance if variance > (_ROUNDING * float(np.abs(values).max())) ** 2 else 0.0


_ROUNDING = 1e-9
