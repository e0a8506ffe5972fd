"""The noise of single requests: how far apart two sides may come to lie though nothing differs between them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from analysis.differences.laws import NORMAL_95, student_ppf
from analysis.differences.sample import Effective, Sample, effective

DRAWS = 10_000
_SEED = 20_240_611
"""Any fixed number: the same data give the same interval."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """b − a, its 95 % interval from single requests, and the standard error and degrees of freedom that stand behind it."""

    a: float
    b: float
    low: float
    high: float
    error: float
    dof: int
    n_effective: tuple[float, float]

    @property
    def difference(self) -> float:
        return self.b - self.a


def bounded(n_effective: float, p: float) -> bool:
    """Whether the interval of a quantile has both ends: 1 − pⁿ ≥ 97.5 %, and the same below. p99 takes 368."""
    return n_effective >= math.log(0.025) / math.log(max(p, 1 - p))


def quantile(a: Sample, b: Sample, p: float) -> Estimate | None:
    """Beta-rank bootstrap: U ~ Beta(n_eff·p, n_eff·(1 − p)) is where the sample's p-quantile may lie in the law that it was drawn from, so
    x_(⌈nU⌉) are quantiles that other samples would have had. 10,000 draws a side, their differences sorted. None where a side is
    too small to bound the quantile.

    Widened by Student's factor, for n_eff is an estimate too.
    """
    rng = np.random.default_rng(_SEED)
    draws, centres, found = [], [], []
    for side in (a, b):
        if not side.n:
            return None
        at = float(np.quantile(side.values, p))
        eff = effective(side, (side.values <= at).astype(np.float64))
        if not bounded(eff.n, p):
            return None
        ranks = np.ceil(side.n * rng.beta(eff.n * p, eff.n * (1 - p), DRAWS)).astype(np.int64)
        draws.append(np.sort(side.values)[np.clip(ranks, 1, side.n) - 1])
        centres.append(at)
        found.append(eff)
    low, high = np.quantile(draws[1] - draws[0], [0.025, 0.975])
    return _widened(centres[0], centres[1], float(low), float(high), found[0], found[1])


def mean(a: Sample, b: Sample) -> Estimate | None:
    """Difference of means, by the central limit; None where a side has fewer than two values."""
    if min(a.n, b.n) < 2:
        return None
    eff_a, eff_b = effective(a, a.values), effective(b, b.values)
    error = math.sqrt(float(a.values.var(ddof=1)) / eff_a.n + float(b.values.var(ddof=1)) / eff_b.n)
    at_a, at_b = float(a.values.mean()), float(b.values.mean())
    centre, reach = at_b - at_a, NORMAL_95 * error
    return _widened(at_a, at_b, centre - reach, centre + reach, eff_a, eff_b)


def share(a: Sample, b: Sample) -> Estimate | None:
    """Difference of shares (values are 0 and 1): Newcombe's hybrid of the two Wilson intervals (1998, method 10), on effective counts."""
    if not a.n or not b.n:
        return None
    eff_a, eff_b = effective(a, a.values), effective(b, b.values)
    p_a, p_b = float(a.values.mean()), float(b.values.mean())
    low_a, high_a = wilson(p_a, eff_a.n)
    low_b, high_b = wilson(p_b, eff_b.n)
    low = p_b - p_a - math.hypot(p_b - low_b, high_a - p_a)
    high = p_b - p_a + math.hypot(high_b - p_b, p_a - low_a)
    return _widened(p_a, p_b, low, high, eff_a, eff_b)


def wilson(share_of: float, n: float) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927); ``n`` need not be whole."""
    z2 = NORMAL_95**2
    middle = (share_of + z2 / (2 * n)) / (1 + z2 / n)
    reach = NORMAL_95 / (1 + z2 / n) * math.sqrt(share_of * (1 - share_of) / n + z2 / (4 * n * n))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def _widened(a: float, b: float, low: float, high: float, eff_a: Effective, eff_b: Effective) -> Estimate:
    dof = max(1, min(eff_a.dof, eff_b.dof))
    # Without batches nothing was estimated, and the normal law stands.
    factor = student_ppf(0.975, dof) / NORMAL_95 if eff_a.dof and eff_b.dof else 1.0
    centre = b - a
    error = (high - low) / 2 / NORMAL_95
    return Estimate(
        a,
        b,
        centre - (centre - low) * factor,
        centre + (high - centre) * factor,
        error,
        dof if factor > 1 else 1_000,
        (eff_a.n, eff_b.n),
    )
