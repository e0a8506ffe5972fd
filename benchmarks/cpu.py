"""CPU time and memory of a tree of processes, sampled from outside."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import psutil

WATCH_S = 0.05
LOOK_NS = 200_000_000


@dataclass(frozen=True, slots=True)
class Sample:
    """CPU seconds (user + system) by pid and resident bytes by pid, at one instant of CLOCK_MONOTONIC."""

    t_ns: int
    cpu_s: Mapping[int, float]
    rss_bytes: Mapping[int, int] = field(default_factory=dict)


class Watch(threading.Thread):
    """Samples a process and its descendants twenty times a second until told to stop.

    Close samples, because what a process does right after the last token (sealing) must not be spread over the time before it. New
    descendants are looked for five times a second only: that walks all of /proc.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.samples: list[Sample] = []
        self.commands: dict[int, str] = {}
        self._root = psutil.Process(pid)
        self._ended = threading.Event()

    def run(self) -> None:
        known: list[psutil.Process] = []
        looked_ns = 0
        while not self._ended.wait(WATCH_S):
            now_ns = time.monotonic_ns()
            if now_ns - looked_ns >= LOOK_NS:
                looked_ns = now_ns
                with contextlib.suppress(psutil.NoSuchProcess):
                    known = [self._root, *self._root.children(recursive=True)]
                self._read_words(known)
            self.samples.append(_sample(known))

    def stop(self) -> None:
        self._ended.set()
        self.join()

    def _read_words(self, processes: Sequence[psutil.Process]) -> None:
        # Again each time: between fork and exec a child still has its parent's words.
        for p in processes:
            with contextlib.suppress(psutil.Error):
                self.commands[p.pid] = " ".join(p.cmdline()) or self.commands.get(p.pid, "")


def _sample(processes: Sequence[psutil.Process]) -> Sample:
    cpu_s: dict[int, float] = {}
    rss_bytes: dict[int, int] = {}
    t_ns = time.monotonic_ns()
    for p in processes:
        with contextlib.suppress(psutil.Error), p.oneshot():
            if p.status() == psutil.STATUS_ZOMBIE:
                continue
            times = p.cpu_times()
            cpu_s[p.pid] = times.user + times.system
            rss_bytes[p.pid] = p.memory_info().rss
    return Sample(t_ns, cpu_s, rss_bytes)


def cpu_between(samples: Sequence[Sample], first_ns: int, last_ns: int) -> float:
    """CPU seconds of all sampled processes between two instants, straight lines between samples.

    A process that is not in a sample has not begun (0) or has ended (its last value stands).
    """
    pids = {pid for s in samples for pid in s.cpu_s}
    return sum(_cpu_at(samples, pid, last_ns) - _cpu_at(samples, pid, first_ns) for pid in pids)


def _cpu_at(samples: Sequence[Sample], pid: int, t_ns: int) -> float:
    known = [(s.t_ns, s.cpu_s[pid]) for s in samples if pid in s.cpu_s]
    before = [k for k in known if k[0] <= t_ns]
    after = [k for k in known if k[0] > t_ns]
    if not after:
        return before[-1][1]
    if not before:
        # A process seen first after the instant had not begun, if any sample was taken before it; else nothing better is known.
        return 0.0 if samples[0].t_ns <= t_ns else after[0][1]
    (t0, c0), (t1, c1) = before[-1], after[0]
    return c0 + (c1 - c0) * (t_ns - t0) / (t1 - t0)
