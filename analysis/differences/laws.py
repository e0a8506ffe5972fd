"""Student's t and the normal law, without scipy: an import of 40 MB for four functions of a few lines."""

from __future__ import annotations

import math
from statistics import NormalDist

NORMAL_95 = NormalDist().inv_cdf(0.975)
POWER_80 = NormalDist().inv_cdf(0.8)
"""Added to a test's critical value it gives the difference, in standard errors, that is found four times in five."""


def student_cdf(t: float, dof: int) -> float:
    """P(T ≤ t) for whole degrees of freedom: the finite sums of Abramowitz & Stegun, 26.7.3 and 26.7.4."""
    theta = math.atan2(t, math.sqrt(dof))
    cosine, sine = math.cos(theta), math.sin(theta)
    if dof % 2:
        term = total = cosine if dof > 1 else 0.0
        for k in range(3, dof - 1, 2):
            term *= cosine**2 * (k - 1) / k
            total += term
        inside = 2 / math.pi * (theta + sine * total)
    else:
        term = total = 1.0
        for k in range(2, dof - 1, 2):
            term *= cosine**2 * (k - 1) / k
            total += term
        inside = sine * total
    return (1 + inside) / 2


def student_ppf(probability: float, dof: int) -> float:
    """The t that ``student_cdf`` maps to ``probability``, within 1e-10, by bisection."""
    if probability < 0.5:
        return -student_ppf(1 - probability, dof)
    low, high = 0.0, 1.0
    while student_cdf(high, dof) < probability and high < 1e12:
        low, high = high, high * 2
    while high - low > 1e-10 * max(1.0, high):
        middle = (low + high) / 2
        if student_cdf(middle, dof) < probability:
            low = middle
        else:
            high = middle
    return high


def two_sided(estimate: float, standard_error: float, dof: int) -> float:
    """p-value of no difference. An error of zero makes anything certain, and nothing of no difference."""
    if standard_error == 0:
        return 1.0 if estimate == 0 else 0.0
    # The upper tail from the lower one: 1 − cdf would lose what is smaller than 1e-16.
    return min(1.0, 2 * student_cdf(-abs(estimate) / standard_error, dof))


def fisher_tail(f: float, between: int, within: int) -> float:
    """P(F > f) of Fisher's F with so many degrees of freedom: I_x(within/2, between/2) at x = within / (within + between·f)."""
    if f <= 0:
        return 1.0
    return _incomplete_beta(within / (within + between * f), within / 2, between / 2)


def binomial_at_most(x: float, n: float, share: float) -> float:
    """P(X ≤ x) of X ~ Binomial(n, share), for counts that need not be whole: I_{1 − share}(n − x, x + 1) (DLMF 8.17.5)."""
    return 1.0 if x >= n else _incomplete_beta(1 - share, n - x, x + 1)


def binomial_at_least(x: float, n: float, share: float) -> float:
    """P(X ≥ x), likewise: I_share(x, n − x + 1). Not 1 − the other, which would lose what is small."""
    return 1.0 if x <= 0 else _incomplete_beta(share, x, n - x + 1)


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """I_x(a, b), the regularised incomplete beta function, by its continued fraction (DLMF 8.17.22), which converges fast below the
    mean; above it, by 1 − I_{1−x}(b, a).
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(1 - x, b, a)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    # Evaluated from far down: no term is near zero for 0 < x below the mean, so nothing needs guarding.
    fraction = 1.0
    for m in range(_TERMS, 0, -1):
        odd = -(a + m - 1) * (a + b + m - 1) * x / ((a + 2 * m - 2) * (a + 2 * m - 1))
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        fraction = 1 + odd / (1 + even / fraction)
    return math.exp(log_front) / a / fraction


_TERMS = 400
"""Enough for a million degrees of freedom to ten digits; a fraction of a millisecond."""
