"""Rate limits: token buckets, sliding and fixed windows over requests or tokens, and a limit on what is in flight.

Pure: the time is an argument (ns, never going back), the answer a value. Every limit is L units per window W.

- ``bucket``: holds L, refills L/W continuously; admits while the charge fits what is left.
- ``sliding``: admits while the charges of the trailing W and this one sum to at most L.
- ``fixed``: the same within windows that follow each other; the first request opens the first one.

All arithmetic is in whole numbers, so a bucket neither gains nor loses a token over a day. Several limits hold at once: a
request is charged to all of them or, when one refuses, to none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

NS_PER_S = 1_000_000_000
_NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Limit:
    """``amount`` units of ``dimension`` (requests, tokens) per ``window_ns``, by a law of :data:`LAWS`."""

    dimension: str
    amount: int
    window_ns: int
    law: str

    def __post_init__(self) -> None:
        if self.dimension not in ("requests", "tokens"):
            raise ValueError(f"a limit is on requests or tokens, not on {self.dimension!r}")
        if self.law not in LAWS:
            raise ValueError(f"{self.law!r} is no law of a limit; there are {', '.join(LAWS)}")
        if self.amount < 1 or self.window_ns < 1:
            raise ValueError("a limit has an amount of at least 1 and a window above 0")


CHARGES: dict[str, Callable[[int, int | None, int], int]] = {
    "input": lambda given, _asked, _output: given,
    "input+max_tokens": lambda given, asked, _output: given + (asked or 0),
    "max(max_tokens,input)": lambda given, asked, _output: max(given, asked or 0),
    "actual": lambda given, _asked, output: given + output,
}
"""Rule → tokens charged at admission, from (input tokens, max_tokens asked or None, output tokens). A simulator knows
its output before it starts, so ``actual`` is charged at admission, too, and not given back to who goes away.
"""


class _Gauge(Protocol):
    """The state of one limit. ``used`` may be a part of a unit above a whole number of units; callers round it up."""

    def wait_ns(self, now_ns: int, charge: int) -> int:
        """0: the charge fits now. Else the time until it fits if nothing else comes; -1: it never will."""

    def take(self, now_ns: int, charge: int) -> None: ...

    def used(self, now_ns: int) -> int: ...

    def full_ns(self, now_ns: int) -> int:
        """Time until nothing counts as used."""


class _Bucket:
    def __init__(self, limit: Limit) -> None:
        # The deficit counts in units · window_ns, so that a refill of L units per window is L per ns.
        self._amount = limit.amount
        self._window_ns = limit.window_ns
        self._deficit = 0
        self._seen_ns: int | None = None

    def _refill(self, now_ns: int) -> None:
        if self._seen_ns is not None:
            self._deficit = max(0, self._deficit - self._amount * (now_ns - self._seen_ns))
        self._seen_ns = now_ns

    def wait_ns(self, now_ns: int, charge: int) -> int:
        if charge > self._amount:
            return -1
        self._refill(now_ns)
        if self._deficit + (charge - self._amount) * self._window_ns <= 0:
            return 0
        # From whole units used, as OpenAI tells it: (Used + Requested - Limit) / wait is the refill rate to the digit.
        return -(-(self.used(now_ns) + charge - self._amount) * self._window_ns // self._amount)

    def take(self, now_ns: int, charge: int) -> None:
        self._refill(now_ns)
        self._deficit += charge * self._window_ns

    def used(self, now_ns: int) -> int:
        self._refill(now_ns)
        return -(-self._deficit // self._window_ns)

    def full_ns(self, now_ns: int) -> int:
        return -(-self.used(now_ns) * self._window_ns // self._amount)


class _Sliding:
    def __init__(self, limit: Limit) -> None:
        self._amount = limit.amount
        self._window_ns = limit.window_ns
        self._taken: deque[tuple[int, int]] = deque()
        self._sum = 0

    def _expire(self, now_ns: int) -> None:
        taken = self._taken
        while taken and taken[0][0] + self._window_ns <= now_ns:
            self._sum -= taken.popleft()[1]

    def wait_ns(self, now_ns: int, charge: int) -> int:
        if charge > self._amount:
            return -1
        self._expire(now_ns)
        over = self._sum + charge - self._amount
        if over <= 0:
            return 0
        for taken_ns, taken in self._taken:
            over -= taken
            if over <= 0:
                return taken_ns + self._window_ns - now_ns
        raise AssertionError("the charges sum to what is used")

    def take(self, now_ns: int, charge: int) -> None:
        self._expire(now_ns)
        self._taken.append((now_ns, charge))
        self._sum += charge

    def used(self, now_ns: int) -> int:
        self._expire(now_ns)
        return self._sum

    def full_ns(self, now_ns: int) -> int:
        self._expire(now_ns)
        return self._taken[-1][0] + self._window_ns - now_ns if self._taken else 0


class _Fixed:
    def __init__(self, limit: Limit) -> None:
        self._amount = limit.amount
        self._window_ns = limit.window_ns
        self._start_ns: int | None = None
        self._sum = 0

    def _turn(self, now_ns: int) -> int:
        if self._start_ns is None:
            self._start_ns = now_ns
        passed = (now_ns - self._start_ns) // self._window_ns
        if passed:
            self._start_ns += passed * self._window_ns
            self._sum = 0
        return self._start_ns + self._window_ns - now_ns

    def wait_ns(self, now_ns: int, charge: int) -> int:
        if charge > self._amount:
            return -1
        end_ns = self._turn(now_ns)
        return 0 if self._sum + charge <= self._amount else end_ns

    def take(self, now_ns: int, charge: int) -> None:
        self._turn(now_ns)
        self._sum += charge

    def used(self, now_ns: int) -> int:
        self._turn(now_ns)
        return self._sum

    def full_ns(self, now_ns: int) -> int:
        end_ns = self._turn(now_ns)
        return end_ns if self._sum else 0


LAWS: dict[str, Callable[[Limit], _Gauge]] = {"bucket": _Bucket, "sliding": _Sliding, "fixed": _Fixed}


@dataclass(frozen=True, slots=True)
class Reading:
    """What the headers say of one dimension: the limit of it with the smallest share left."""

    limit: int
    remaining: int
    reset_ns: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is refused: ``limit`` None is the limit on what is in flight; ``wait_ns`` -1 can never be admitted."""

    limit: Limit | None
    amount: int
    used: int
    requested: int
    wait_ns: int


class Limiter:
    """All limits of one endpoint."""

    def __init__(self, limits: Iterable[Limit], concurrency: int | None, charge: str) -> None:
        self._gauges = [(limit, LAWS[limit.law](limit)) for limit in limits]
        self._concurrency = concurrency
        self._charge = CHARGES[charge]
        self._in_flight = 0

    def charge(self, input_tokens: int, max_tokens: int | None, output_tokens: int) -> int:
        return self._charge(input_tokens, max_tokens, output_tokens)

    def admit(self, now_ns: int, tokens: int) -> Refusal | None:
        """None: admitted, charged, in flight until :meth:`release`. Else the refusal that lasts longest."""
        worst: Refusal | None = None
        if self._concurrency is not None and self._in_flight >= self._concurrency:
            # Nobody knows when a place becomes free; a second is what servers say.
            worst = Refusal(None, self._concurrency, self._in_flight, 1, NS_PER_S)
        for limit, gauge in self._gauges:
            charge = tokens if limit.dimension == "tokens" else 1
            wait_ns = gauge.wait_ns(now_ns, charge)
            if wait_ns == -1:
                return Refusal(limit, limit.amount, gauge.used(now_ns), charge, -1)
            if wait_ns and (worst is None or wait_ns > worst.wait_ns):
                worst = Refusal(limit, limit.amount, gauge.used(now_ns), charge, wait_ns)
        if worst is None:
            self._in_flight += 1
            for limit, gauge in self._gauges:
                gauge.take(now_ns, tokens if limit.dimension == "tokens" else 1)
        return worst

    def release(self) -> None:
        self._in_flight -= 1

    def reading(self, now_ns: int, dimension: str) -> Reading | None:
        """None where nothing limits the dimension."""
        found = [
            Reading(limit.amount, max(0, limit.amount - gauge.used(now_ns)), gauge.full_ns(now_ns))
            for limit, gauge in self._gauges
            if limit.dimension == dimension
        ]
        return min(found, key=lambda reading: reading.remaining / reading.limit, default=None)


def go_duration(ns: int) -> str:
    """As Go prints a duration, in the units that OpenAI's headers use: ``12ms``, ``1.78s``, ``6m0s``; rounded up to 1 ms."""
    ms = -(-ns // _NS_PER_MS)
    if ms < 1_000:
        return f"{ms}ms" if ms else "0s"
    minutes, ms = divmod(ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{ms / 1_000:.3f}".rstrip("0").rstrip(".") + "s"
    return f"{hours}h{minutes}m{seconds}" if hours else f"{minutes}m{seconds}" if minutes else seconds
