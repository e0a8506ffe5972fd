"""The one place that reads clocks.

Everything is CLOCK_MONOTONIC in ns. Kernel receive stamps are CLOCK_REALTIME; :class:`Offset` maps them. A lone pair of
reads would carry whatever interrupted the process between them, so an offset is the narrowest of many mono/real/mono
sandwiches, and a wide one is thrown away.
"""

from __future__ import annotations

import datetime as dt
import sys
import time

monotonic_ns = time.monotonic_ns
cpu_ns = time.process_time_ns
_realtime = time.CLOCK_REALTIME
_clock_gettime_ns = time.clock_gettime_ns

KERNEL_STAMPS = sys.platform.startswith("linux") and sys.maxsize > 2**32
"""Whether this platform stamps what a socket receives, as we know how to ask for it."""

WIDEST_NS = 2_000
"""A sandwich wider than this says nothing: something ran between the reads."""

STEP_NS = 1_000_000
"""The offset moves by slewing at most 500 ppm, half a millisecond a second; more than this between two checks is a step."""


def sandwich(tries: int = 64) -> tuple[int, int]:
    """(CLOCK_REALTIME − CLOCK_MONOTONIC, width) in ns, of the narrowest of ``tries`` sandwiches."""
    best, width = 0, 1 << 62
    for _ in range(tries):
        before = monotonic_ns()
        real = _clock_gettime_ns(_realtime)
        after = monotonic_ns()
        if after - before < width:
            width = after - before
            best = real - (before + after) // 2
    return best, width


class Offset:
    """``kernel_stamp_ns - offset.ns`` is CLOCK_MONOTONIC. ``recheck`` once a second; ``steps`` counts jumps of the wall clock."""

    __slots__ = ("ns", "steps", "width_ns")

    def __init__(self) -> None:
        self.ns, self.width_ns = sandwich(512)
        self.steps = 0

    def recheck(self) -> None:
        """Take a new offset unless every sandwich was too wide to trust."""
        ns, width = sandwich()
        if width > WIDEST_NS:
            return
        if abs(ns - self.ns) > STEP_NS:
            self.steps += 1
        self.ns, self.width_ns = ns, width


def anchor() -> dict[str, int]:
    """The manifest's link between CLOCK_MONOTONIC and UTC: two instants that are one moment."""
    offset, width = sandwich(512)
    now = monotonic_ns()
    return {"monotonic_ns": now, "utc_ns": now + offset, "width_ns": width}


def utc_now() -> dt.datetime:
    """The wall clock, for names and for headers that carry a date; never for a duration."""
    return dt.datetime.now(dt.UTC)


def utc_text() -> str:
    """RFC 3339, to the millisecond, UTC."""
    return utc_now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
