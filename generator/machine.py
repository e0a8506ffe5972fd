"""What this machine has: descriptors, ports, processors, memory. Read from the kernel, never guessed; None where it does not say."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path

TIME_WAIT_S = 60
"""How long Linux keeps the port of a connection that this side closed (TCP_TIMEWAIT_LEN, not a setting)."""

_PROC = Path("/proc")
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Machine:
    """``descriptors`` are those of one process; ``ports`` local ones for each remote address and port; ``cpus`` what affinity and
    quota leave, with fractions; ``memory_bytes`` what can still be had.
    """

    descriptors_soft: int
    descriptors_hard: int
    ports: int
    ports_in_time_wait: int
    cpus: float
    memory_bytes: int | None


def look() -> Machine:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Machine(_bounded(soft), _bounded(hard), _ports(), _time_wait(), _cpus(), _memory_bytes())


def raise_soft_limit() -> int:
    """Lift the soft limit of descriptors to the hard one; gives what holds then. Never raises."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):  # macOS: a hard limit of "unlimited" is above what it lets a process have
        return _bounded(soft)
    return _bounded(hard)


def default_workers(machine: Machine) -> int:
    """Processors less one for the coordinator, at least one worker."""
    return max(1, int(machine.cpus) - 1)


def _bounded(limit: int) -> int:
    return 2**31 if limit == resource.RLIM_INFINITY else limit


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""


def _ports() -> int:
    words = _read(_PROC / "sys/net/ipv4/ip_local_port_range").split()
    # 16,384 is the dynamic range of RFC 6335, which macOS uses.
    return int(words[1]) - int(words[0]) + 1 if len(words) == 2 else 16_384


def _time_wait() -> int:
    words = _read(_PROC / "net/sockstat").split()
    return int(words[words.index("tw") + 1]) if "tw" in words else 0


def _cpus() -> float:
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _read(_CGROUP / "cpu.max").split()
    if len(quota) == 2 and quota[0] != "max":
        return min(float(affinity), int(quota[0]) / int(quota[1]))
    return float(affinity)


def _memory_bytes() -> int | None:
    free = next(
        (int(line.split()[1]) * 1024 for line in _read(_PROC / "meminfo").splitlines() if "MemAvailable" in line), None
    )
    limit, used = _read(_CGROUP / "memory.max").strip(), _read(_CGROUP / "memory.current").strip()
    if limit.isdecimal() and used.isdecimal():
        room = max(0, int(limit) - int(used))
        return room if free is None else min(free, room)
    return free
