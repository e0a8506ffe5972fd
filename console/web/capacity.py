"""How much of this machine's memory queries and reports may take, so that a small machine holds them beside the runs that it measures.

Of memory T (the machine's, or the container's where that has less), and with one of each at a time below 8 GB, two from there on:

- a query's DuckDB gets T/16, 128 MB to 512 MB; its whole process twice that and 300 MB, for rows on their way through Arrow and Python to
  an answer (measured: 675 MB with 256 MB for DuckDB, over 100,000 rows);
- a report gets T/2 by itself, T/4 where two are made, 4 GB at most. The report of a million requests takes 1.5 GB.

Together that is less than nine tenths of a machine of 2 GB or more.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import psutil

_MB = 1_000_000
_LARGE_BYTES = 8_000 * _MB
_CGROUP = Path("/sys/fs/cgroup")


def total_bytes(cgroup: Path = _CGROUP) -> int:
    """The machine's memory, or less where a control group allows less."""
    total = int(psutil.virtual_memory().total)
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):  # there is no such file, or it says "max"
            total = min(total, int((cgroup / name).read_text()))
    return total


def at_once(total: int) -> int:
    """Queries, and as many reports."""
    return 1 if total < _LARGE_BYTES else 2


def query_bytes(total: int) -> int:
    """DuckDB's own limit in a query."""
    return max(128 * _MB, min(total // 16, 512 * _MB))


def resident_bytes(duckdb_bytes: int) -> int:
    """What the process of a query holds in memory at most."""
    return 2 * duckdb_bytes + 300 * _MB


def report_bytes(total: int) -> int:
    """What the process of a report, a plan or a comparison holds in memory at most."""
    return min(total // (2 * at_once(total)), 4_000 * _MB)
