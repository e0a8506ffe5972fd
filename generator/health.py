"""The raw facts of the verdict: once a second, what the generator itself cost and how late it was."""

from __future__ import annotations

import asyncio
import gc
import os
from pathlib import Path
from typing import Any

from generator import clock
from generator.counters import INDEX
from generator.schema import HEALTH

_COLUMNS = tuple(HEALTH.names)
_LAG_PROBE_S = 0.01
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def rss_bytes() -> int:
    """Resident memory of this process, from /proc; 0 where there is none."""
    try:
        with Path("/proc/self/statm").open("rb") as f:
            return int(f.read().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0


def p99(values: list[int]) -> int | None:
    """Nearest-rank 99th percentile; None of nothing."""
    if not values:
        return None
    values.sort()
    return values[-(-len(values) * 99 // 100) - 1]


class LoopLag:
    """How long one turn of the loop keeps a ready descriptor waiting, sampled a hundred times a second."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._samples: list[int] = []
        self._asked_ns = 0
        self._on = True
        self._ask()

    def _ask(self) -> None:
        self._asked_ns = clock.monotonic_ns()
        self._loop.call_soon(self._answer)

    def _answer(self) -> None:
        self._samples.append(clock.monotonic_ns() - self._asked_ns)
        if self._on:
            self._loop.call_later(_LAG_PROBE_S, self._ask)

    def take(self) -> list[int]:
        samples, self._samples = self._samples, []
        return samples

    def stop(self) -> None:
        self._on = False


class Garbage:
    """The collector under control: frozen after the start, the young generations when idle, everything between steps.

    A full collection over thousands of streams stops the world for tens of milliseconds; left to its own counters it
    would come in the middle of a burst. It is never simply off: a soak would grow.
    """

    YOUNG_S = 0.25
    FORCED_S = 5.0

    def __init__(self) -> None:
        self.ns = 0
        self._began_ns = 0
        self._last_ns = clock.monotonic_ns()
        gc.callbacks.append(self._time)

    def _time(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._began_ns = clock.monotonic_ns()
        else:
            self.ns += clock.monotonic_ns() - self._began_ns

    def freeze(self) -> None:
        """After everything that lasts has been made."""
        gc.collect()
        gc.freeze()
        gc.disable()
        self._last_ns = clock.monotonic_ns()

    def breathe(self, now_ns: int, idle: bool) -> None:
        """Called several times a second: the young generations if nothing waits, and in any case every five seconds."""
        age_s = (now_ns - self._last_ns) / 1e9
        if (idle and age_s > self.YOUNG_S) or age_s > self.FORCED_S:
            gc.collect(1)
            self._last_ns = now_ns

    def full(self) -> None:
        """Between steps."""
        gc.collect()
        self._last_ns = clock.monotonic_ns()


def health_row(run_id: str, worker_id: int, counters: memoryview, **facts: Any) -> tuple[Any, ...]:
    """All of HEALTH's columns; counters fill what they know, ``facts`` the rest, NULL what neither does."""
    row: dict[str, Any] = dict.fromkeys(_COLUMNS)
    row.update(run_id=run_id, worker_id=worker_id, t_ns=clock.monotonic_ns(), cpu_s=clock.cpu_ns() / 1e9)
    row["rss_bytes"] = rss_bytes()
    for name in ("in_flight", "sent", "late_1ms", "late_10ms", "late_100ms", "dropped", "tokens"):
        row[name] = counters[INDEX[name]]
    row.update(facts)
    return tuple(row[name] for name in _COLUMNS)
