"""How many requests it takes before a percentile may be claimed: early stopping as MLPerf's load generator does it."""

from __future__ import annotations

import math

CONFIDENCE = 0.99


def misses_bounded(p: float, misses: int, n: int, confidence: float = CONFIDENCE) -> bool:
    """Do ``misses`` of ``n`` requests over a limit show, with ``confidence``, that at most 1 − p of all are?

    That is beta.ppf(confidence, misses + 1, n − misses) ≤ 1 − p, which says the same as: so few misses would come with
    probability at most 1 − confidence if the true share were 1 − p (Clopper & Pearson 1934). The sum needs no beta function.
    """
    if n <= misses:
        return False
    return binomial_tail(misses, n, 1 - p) <= 1 - confidence


def least_n(p: float, misses: int, confidence: float = CONFIDENCE) -> int:
    """The smallest n of which ``misses`` over the limit still prove the percentile: p99 takes 459 with none, 662 with one."""
    low, high = misses, misses + 1
    while not misses_bounded(p, misses, high, confidence):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        if misses_bounded(p, misses, middle, confidence):
            high = middle
        else:
            low = middle
    return high


def binomial_tail(most: int, n: int, share: float) -> float:
    """P(X ≤ most) of X ~ Binomial(n, share), 0 < share < 1, summed from logarithms so that no term overflows."""
    log_share, log_rest = math.log(share), math.log1p(-share)
    log_n = math.lgamma(n + 1)
    return math.fsum(
        math.exp(log_n - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * log_share + (n - k) * log_rest)
        for k in range(min(most, n) + 1)
    )
