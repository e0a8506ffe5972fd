"""Does a load meet the SLO? Looked at after each part of a probe, until that is proven, disproven, or the probe has had its time.

At each look the misses so far are held against the share that the SLO allows, twice: so few would come with probability α at most if the share
were larger, then the load is accepted (MLPerf's early stopping, Clopper & Pearson 1934); so many would come with probability α at most if it
were smaller, then it is rejected. Who looks several times errs more often than who looks once, so 1 − confidence is dealt out over the
looks, to each what it adds to the probe's time: whatever a probe says is wrong with probability 1 − confidence at most.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from analysis.differences.laws import binomial_at_least, binomial_at_most
from analysis.enough import least_n
from analysis.searching.sample import Sample

Verdict = Literal["accepted", "rejected", "undecided"]

SHARES = (0.125, 0.125, 0.25, 0.5)
"""Of a probe's time, by part: a look after an eighth, a quarter, half and all of it."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All parts of a probe together. ``inflation``: so many requests prove what one independent request would; ``alpha``: of the last look,
    on each side; ``growing``: of the last part. ``verdict`` None: go on.
    """

    requests: int
    misses: int
    inflation: float
    alpha: float
    growing: bool
    verdict: Verdict | None

    @property
    def effective(self) -> float:
        """As many independent requests would prove as much."""
        return self.requests / self.inflation

    @property
    def attainment(self) -> float | None:
        return 1 - self.misses / self.requests if self.requests else None

    def bounds(self) -> tuple[float | None, float | None]:
        """Of the attainment: the largest target that these counts accept and the smallest that they reject; None without any. Takes
        milliseconds.
        """
        return bounds(self.misses, self.requests, self.inflation, self.alpha)


def weigh(parts: Sequence[Sample], target: float, confidence: float) -> Evidence:
    """``parts`` of one load, in order, at most as many as SHARES; ``target``: the attainment that the SLO asks for, in (0, 1)."""
    requests, misses = sum(p.requests for p in parts), sum(p.misses for p in parts)
    # Parts are independent runs: the variance of the pooled share is the sum of theirs, weighted by their squares.
    inflation = sum(p.requests * p.inflation for p in parts) / requests if requests else 1.0
    alpha = (1 - confidence) * SHARES[len(parts) - 1]
    grows = parts[-1].growing
    verdict: Verdict | None = None
    if rejects(misses, requests, inflation, target, alpha):
        verdict = "rejected"
    elif accepts(misses, requests, inflation, target, alpha) and not grows:
        verdict = "accepted"
    elif len(parts) == len(SHARES):
        verdict = "undecided"
    return Evidence(requests, misses, inflation, alpha, grows, verdict)


def accepts(misses: int, requests: int, inflation: float, target: float, alpha: float) -> bool:
    """Effective misses and requests are what the counts come to once they are shared among those that are alike, and no whole numbers."""
    return requests > misses and binomial_at_most(misses / inflation, requests / inflation, 1 - target) <= alpha


def rejects(misses: int, requests: int, inflation: float, target: float, alpha: float) -> bool:
    return misses > 0 and binomial_at_least(misses / inflation, requests / inflation, 1 - target) <= alpha


def bounds(misses: int, requests: int, inflation: float, alpha: float) -> tuple[float | None, float | None]:
    """Of the attainment: the largest target that these counts would accept and the smallest that they would reject; None without any."""
    if requests < inflation:
        return None, None
    low = _last(lambda share: accepts(misses, requests, inflation, share, alpha))
    high = 1 - _last(lambda miss: rejects(misses, requests, inflation, 1 - miss, alpha))
    return low, high


def _last(holds: Callable[[float], bool]) -> float:
    """The largest share in (0, 1) for which it holds, which it does from 0 up to there; to 10⁻⁵."""
    low, high = 0.0, 1.0
    while high - low > 1e-5:
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def least_requests(target: float, confidence: float) -> int:
    """As many without a miss prove the target at the first look."""
    return least_n(target, 0, 1 - (1 - confidence) * SHARES[0])
