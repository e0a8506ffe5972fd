"""The simulator's only clock, CLOCK_MONOTONIC in ns, and a timer on it that ``epoll`` can wait for.

``epoll_wait`` as Python offers it counts in milliseconds; a timerfd fires to the microsecond. Python has names for
timerfd from 3.13 on; before, ctypes calls the C library.
"""

from __future__ import annotations

import ctypes
import functools
import os
from email.utils import formatdate
from time import monotonic_ns as now_ns
from time import time

__all__ = ["Timer", "http_date", "now_ns", "unix_s"]

_CLOCK_MONOTONIC = 1
_TFD_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
_TFD_TIMER_ABSTIME = 1
_NS_PER_S = 1_000_000_000


def unix_s() -> int:
    """Seconds since 1970, for what answers say of the date only: no time of the truth log comes from here."""
    return int(time())


def http_date() -> bytes:
    """Now, as the ``date`` header writes it."""
    return _date(unix_s())


@functools.lru_cache(maxsize=1)
def _date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()


class _Itimerspec(ctypes.Structure):
    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


class Timer:
    """One absolute timer. Register ``fd`` edge-triggered: arming it anew clears the old expiry, so nobody has to read it."""

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._settime = libc.timerfd_settime
        # With types declared once, a call converts nothing: 0.5 µs less than a call without.
        self._settime.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
        self.fd: int = libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_FLAGS)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self._spec = _Itimerspec()
        self._address = ctypes.addressof(self._spec)
        self._armed_ns: int | None = None

    def arm(self, at_ns: int | None) -> None:
        """Fires once at ``at_ns``, at once when that is past; None disarms."""
        if at_ns == self._armed_ns:
            return
        self._armed_ns = at_ns
        spec = self._spec
        # A value of 0/0 would disarm, so an instant is never 0.
        spec.value_s, spec.value_ns = (0, 0) if at_ns is None else divmod(max(at_ns, 1), _NS_PER_S)
        if self._settime(self.fd, _TFD_TIMER_ABSTIME, self._address, None) != 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime failed")

    def fired(self) -> None:
        """Tells the timer that its expiry was seen, so that the same instant may be armed again."""
        self._armed_ns = None

    def close(self) -> None:
        os.close(self.fd)
