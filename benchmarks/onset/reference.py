"""Limiters as their definitions say, one request at a time: what the analysis is held against. It shares no line with the analysis."""

from __future__ import annotations

import math
from typing import Protocol


class Reference(Protocol):
    def fits(self, t_s: float, charge: float) -> bool:
        """Whether the limiter would take this request. Times never go back."""

    def take(self, t_s: float, charge: float) -> None:
        """It does."""

    def released(self) -> None:
        """A request that was taken has ended."""


class Bucket:
    """Holds ``size`` units, refilled continuously."""

    def __init__(self, size: float, refill_per_s: float) -> None:
        self.size, self.refill_per_s, self.there, self.seen_s = size, refill_per_s, size, 0.0

    def fits(self, t_s: float, charge: float) -> bool:
        self.there = min(self.size, self.there + self.refill_per_s * (t_s - self.seen_s))
        self.seen_s = t_s
        return charge <= self.there

    def take(self, t_s: float, charge: float) -> None:  # noqa: ARG002 - asked right before
        self.there -= charge

    def released(self) -> None:
        pass


class SlidingLog:
    """At most ``size`` units in any trailing window."""

    def __init__(self, size: float, window_s: float) -> None:
        self.size, self.window_s, self.taken = size, window_s, list[tuple[float, float]]()

    def fits(self, t_s: float, charge: float) -> bool:
        self.taken = [(at, c) for at, c in self.taken if at > t_s - self.window_s]
        return sum(c for _, c in self.taken) + charge <= self.size

    def take(self, t_s: float, charge: float) -> None:
        self.taken.append((t_s, charge))

    def released(self) -> None:
        pass


class FixedWindow:
    """At most ``size`` units in each window; windows begin at ``phase_s`` and its multiples, or, where that is None, with a request."""

    def __init__(self, size: float, window_s: float, phase_s: float | None) -> None:
        self.size, self.window_s, self.phase_s = size, window_s, phase_s
        self.start_s, self.sum = -math.inf, 0.0

    def fits(self, t_s: float, charge: float) -> bool:
        if t_s >= self.start_s + self.window_s:
            self.sum = 0.0
            self.start_s = t_s
            if self.phase_s is not None:
                self.start_s = self.phase_s + math.floor((t_s - self.phase_s) / self.window_s) * self.window_s
        return self.sum + charge <= self.size

    def take(self, t_s: float, charge: float) -> None:  # noqa: ARG002 - asked right before
        self.sum += charge

    def released(self) -> None:
        pass


class InFlight:
    """At most ``size`` requests at a time."""

    def __init__(self, size: int) -> None:
        self.size, self.now = size, 0

    def fits(self, t_s: float, charge: float) -> bool:  # noqa: ARG002 - it asks for neither
        return self.now < self.size

    def take(self, t_s: float, charge: float) -> None:  # noqa: ARG002 - alike
        self.now += 1

    def released(self) -> None:
        self.now -= 1
