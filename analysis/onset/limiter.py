"""A limiter that may explain who was admitted: its kind and settings, and once these are settled its size and refill with intervals."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.onset import levels
from analysis.onset.observed import Bools, Floats, Observed

CONCURRENCY, BUCKET, SLIDING, FIXED, TOTAL = (
    "concurrency",
    "token bucket",
    "sliding window",
    "fixed window",
    "allowance",
)

REQUESTS = "requests"

Kind = tuple[str, str, float | None]
"""Law, charge, window in s. Where a fixed window begins and how fast a bucket fills are settings of a kind."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """All but the size. ``refill``: a bucket's units a second. ``phase_s``: a fixed window's beginning after the first request; None
    where each begins with a request. ``errors``: requests that it puts on the wrong side of its best threshold, by ``rough_errors``.
    """

    law: str
    charge: str = REQUESTS
    window_s: float | None = None
    phase_s: float | None = None
    refill: float | None = None
    errors: int = 0

    @property
    def kind(self) -> Kind:
        return (self.law, self.charge, self.window_s)

    def levels(self, seen: Observed) -> Floats:
        """[n] the level to which each request would bring it."""
        if self.law == CONCURRENCY:
            return levels.in_flight(seen)
        charge = seen.charges[self.charge]
        before = levels.charged_before(seen, charge)
        if self.law == TOTAL:
            return levels.total(before, charge)
        if self.law == BUCKET:
            assert self.refill is not None
            return levels.bucket(seen.sent_s, before, charge, self.refill)
        assert self.window_s is not None
        if self.law == SLIDING:
            return levels.sliding(seen.sent_s, before, charge, self.window_s)
        if self.phase_s is None:
            return levels.opened(seen.sent_s, before, charge, self.window_s)
        return levels.fixed(seen.sent_s, before, charge, self.window_s, self.phase_s)


@dataclass(frozen=True, slots=True)
class Range:
    """A figure and its interval."""

    value: float
    low: float
    high: float

    def over(self, divisor: float) -> Range:
        return Range(self.value / divisor, self.low / divisor, self.high / divisor)


@dataclass(frozen=True, slots=True)
class Limiter:
    """``size``: units that fit, in the unit of the charge. ``refill``: units a second in the long run; None of a limit on concurrency.
    ``errors``: requests that it would have treated otherwise than the target did.
    """

    candidate: Candidate
    size: Range
    errors: int
    refill: Range | None = None

    @property
    def kind(self) -> Kind:
        return self.candidate.kind

    def refuses(self, seen: Observed) -> Bools:
        """[n] bool: who would be beyond its size."""
        return self.candidate.levels(seen) > self.size.value
