"""What one run of a search says of its load: counts of misses, and how much less they prove than independent requests would.

Pure numpy. The requests come in the order in which they were due, each with the share of the SLO that it used up: its latency over its limit, the
largest of them where there are several; more than 1, or infinite for a request that did not end ok, is a miss.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Shares = NDArray[np.float64]

WORST = 0.1
BATCHES = (30, 15, 8)
"""Into how many stretches of time the requests are cut, to see how far a stretch varies. Many see short bursts of misses, few see long ones."""

GROWTH_BATCHES = 20
_T_99 = 2.552
"""Student's 99 % quantile for 18 degrees of freedom: a line through 20 batch means."""


@dataclass(frozen=True, slots=True)
class Sample:
    """``requests`` due in the window, ``misses`` among them; ``inflation`` ≥ 1: the variance of the share of misses over what it were
    if each request missed for itself alone; ``growing``: more was in flight from stretch to stretch.
    """

    requests: int
    misses: int
    inflation: float
    growing: bool

    @property
    def attainment(self) -> float | None:
        return 1 - self.misses / self.requests if self.requests else None


def sample(used: Shares, in_flight: Shares) -> Sample:
    """``used`` [n]: share of the SLO that each request used up, in the order of their schedule. ``in_flight`` [m]: how many requests were
    in flight, at any m instants in order of time.
    """
    misses = int(np.count_nonzero(~(used <= 1)))
    return Sample(len(used), misses, inflation(used), growing(in_flight))


def inflation(used: Shares) -> float:
    """By how much neighbours resemble each other: Var(batch means) · batch size / (p(1 − p)) of the indicator "among the worst tenth"
    and of the misses themselves; the largest over both and over the numbers of BATCHES, at least 1.

    The misses alone would not do. In a run with none they vary not at all, though where queues build up they would have come in
    bursts, and one such run is as likely as the gap between two bursts is long. The worst tenth comes in the same bursts and is there
    to be counted. Nor would the worst tenth alone: misses may have a cause of their own, a pause of the target's, that comes in bursts
    while all the rest is independent.
    """
    n = len(used)
    if n < 2 * min(BATCHES):
        return 1.0
    finite = np.where(np.isnan(used), np.inf, used)
    rank = int(n * (1 - WORST))
    worst = finite > min(1.0, float(np.partition(finite, rank)[rank]))
    return max(_likeness(worst), _likeness(finite > 1))


def _likeness(bad: NDArray[np.bool_]) -> float:
    n, share = len(bad), float(bad.mean())
    if share in {0.0, 1.0}:
        return 1.0
    found = [1.0]
    for batches in BATCHES:
        size = n // batches
        if size < 2:
            continue
        # The remainder is cut off at the front, where a start-up may still be seen.
        means = bad[n - size * batches :].reshape(batches, size).mean(axis=1)
        found.append(float(means.var(ddof=1)) * size / (share * (1 - share)))
    return max(found)


def growing(in_flight: Shares) -> bool:
    """Whether what is in flight rises over the run, significantly (99 %, one-sided) and by more than a quarter of its mean: a target that
    is slower than its arrivals misses no limit until its queue has grown, so that misses alone would accept it too soon.

    A line through the means of 20 stretches; its standard error is widened by how far neighbouring residuals resemble each other.
    """
    n = len(in_flight)
    if n < 2 * GROWTH_BATCHES:
        return False
    size = n // GROWTH_BATCHES
    y = in_flight[n - size * GROWTH_BATCHES :].reshape(GROWTH_BATCHES, size).mean(axis=1)
    x = np.arange(GROWTH_BATCHES) - (GROWTH_BATCHES - 1) / 2
    slope = float(x @ y / (x @ x))
    residuals = y - y.mean() - slope * x
    spread = float(residuals @ residuals)
    if slope <= 0 or slope * GROWTH_BATCHES < 0.25 * float(y.mean()):
        return False
    if spread == 0:
        return True
    like = min(0.9, max(0.0, float(residuals[1:] @ residuals[:-1]) / spread))
    error = (spread / (GROWTH_BATCHES - 2) / float(x @ x) * (1 + like) / (1 - like)) ** 0.5
    return bool(slope > _T_99 * error)
