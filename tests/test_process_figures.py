"""A process of this machine: what it and its children take, and what is said when it has gone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from whole_runs import until

from generator.scraping.process_figures import Watched

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "sum(range(10**7)); print('worked', flush=True); input()"], stdin=subprocess.PIPE)
sys.stdin.readline()
child.stdin.close()
child.wait()
print("ended", flush=True)
sys.stdin.readline()
"""


def values(of: Watched) -> dict[str, float | None]:
    return {r.name: r.value for r in of.read()}


def test_children_count_and_their_cpu_time_stays() -> None:
    """Threads and files are of all that live; the CPU time of a child that ended is not taken back."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        watched = Watched(process.pid)
        assert process.stdout.readline() == "worked\n"
        both = values(watched)
        assert both["process_threads"] == 2
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ended\n"
        alone = values(watched)
        process.stdin.close()
    assert alone["process_threads"] == 1
    assert alone["process_cpu_seconds_total"] >= both["process_cpu_seconds_total"] > 0
    assert alone["process_resident_memory_bytes"] < both["process_resident_memory_bytes"]
    with pytest.raises(LookupError, match=str(process.pid)):
        watched.read()


def test_a_process_that_is_not_there() -> None:
    """Told with its number. An ended process whose parent has not asked for it yet has ended, too."""
    with pytest.raises(LookupError, match="no process"):
        Watched(2**22 + 5).read()
    process = subprocess.Popen([sys.executable, "-c", ""])
    watched = Watched(process.pid)
    try:

        def gone() -> bool:
            try:
                watched.read()
            except LookupError:
                return True
            return False

        until(gone, "the end of a process that nobody waits for")
    finally:
        process.wait()


def test_labels_say_which() -> None:
    """Two processes of one target are two series."""
    assert {r.labels for r in Watched(os.getpid()).read()} == {f'{{"pid":"{os.getpid()}"}}'}
