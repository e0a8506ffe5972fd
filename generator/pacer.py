"""Waits for the next arrival with a timerfd, which fires within tens of microseconds where a loop's timers tick in milliseconds."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Callable

from generator import clock

NEVER = 2**63 - 1

LEAD_NS = 120_000
"""How early a worker wakes for an arrival: to be awake when it is due. Nine wake-ups of ten take less."""

_CLOCK_MONOTONIC = 1
_TFD_NONBLOCK = 0o4000
_TFD_CLOEXEC = 0o2000000
_TFD_TIMER_ABSTIME = 1


class _Itimerspec(ctypes.Structure):
    """interval_s, interval_ns, value_s, value_ns, as timerfd_settime(2) wants them on 64-bit Linux."""

    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


class TimerFd:
    """A timer as a descriptor, readable once CLOCK_MONOTONIC passes ``at_ns``. Python names these calls from 3.13 on only."""

    def __init__(self) -> None:
        if not sys.platform.startswith("linux"):
            raise OSError("timerfd is Linux's")
        libc = ctypes.CDLL(None, use_errno=True)
        self._settime = libc.timerfd_settime
        self._settime.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.POINTER(_Itimerspec), ctypes.c_void_p)
        self.fd = int(libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC))
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._spec = _Itimerspec(0, 0, 0, 0)
        self._pointer = ctypes.byref(self._spec)

    def arm(self, at_ns: int) -> None:
        """Fire at ``at_ns``, at once if that is past; NEVER disarms."""
        spec = self._spec
        if at_ns == NEVER:
            spec.value_s = spec.value_ns = 0
        else:
            spec.value_s, spec.value_ns = divmod(max(at_ns, 1), 1_000_000_000)
        if self._settime(self.fd, _TFD_TIMER_ABSTIME, self._pointer, None) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def acknowledge(self) -> None:
        """Take the expiry, so that the descriptor is no longer readable."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, 8)

    def close(self) -> None:
        os.close(self.fd)


class Pacer:
    """One instant to wait for and one thing to do then. ``due_ns`` is looked at between reads, so that sends go first.

    The timer fires ``lead_ns`` early, for whoever looks at ``due_ns`` without pause from then on: to wake from sleep takes tens of
    microseconds, and what one send is late makes the gap to the next too short. 0 where nobody looks so.
    """

    __slots__ = ("_armed_ns", "_source", "due_ns", "lead_ns", "timer")

    def __init__(self, lead_ns: int = 0) -> None:
        self.timer = TimerFd()
        self.lead_ns = lead_ns
        self.due_ns = NEVER
        self._armed_ns = NEVER
        self._source: Callable[[int], int] | None = None

    def follow(self, source: Callable[[int], int], first_ns: int) -> None:
        """Call ``source(now_ns)`` once ``first_ns`` has passed; it does what is due and returns the next instant, or NEVER."""
        self._source = source
        self.at(first_ns)

    def rest(self) -> None:
        """Wait for nothing."""
        self._source = None
        self.at(NEVER)

    def at(self, due_ns: int) -> None:
        """Move the instant."""
        self.due_ns = due_ns
        if due_ns != self._armed_ns:
            self._armed_ns = due_ns
            self.timer.arm(due_ns if due_ns == NEVER else due_ns - self.lead_ns)

    def fire(self) -> None:
        """Do what is due; called whenever ``due_ns`` is seen to have passed."""
        source = self._source
        due_ns = NEVER if source is None else source(clock.monotonic_ns())
        if (
            self._source is source
        ):  # else what was done has handed over to another, which said for itself when it is due
            self.at(due_ns)

    def on_timer(self, _mask: int) -> None:
        """The descriptor became readable."""
        self.timer.acknowledge()
        self._armed_ns = NEVER
        left_ns = self.due_ns - clock.monotonic_ns()
        if left_ns <= 0:
            self.fire()
        elif left_ns > self.lead_ns and self.due_ns != NEVER:
            self.at(self.due_ns)
