"""The generator's account of itself."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator import clock
from generator.counters import INDEX, WIDTH
from generator.health import Garbage, LoopLag, health_row, p99, rss_bytes
from generator.schema import HEALTH


@pytest.fixture
def garbage() -> Iterator[Garbage]:
    made = Garbage()
    yield made
    gc.callbacks.remove(made._time)
    gc.unfreeze()
    gc.enable()


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=500))
def test_p99_is_the_nearest_rank(values: list[int]) -> None:
    """The smallest value that at least 99 % are not above."""
    found = p99(list(values))
    assert found is not None
    assert 100 * sum(v <= found for v in values) >= 99 * len(values)
    assert 100 * sum(v < found for v in values) < 99 * len(values)


def test_p99_of_nothing() -> None:
    """None, and of a hundred the 99th."""
    assert p99([]) is None
    assert p99(list(range(1, 101))) == 99


def test_a_row_has_every_column() -> None:
    """Counters fill theirs, facts theirs, and what neither knows is NULL."""
    counters = memoryview(bytearray(8 * WIDTH)).cast("q")
    counters[INDEX["sent"]] = 5
    counters[INDEX["late_10ms"]] = 2
    before_ns = clock.monotonic_ns()
    row = dict(zip(HEALTH.names, health_row("r", 3, counters, gc_ns=9, clock_offset_ns=-4), strict=True))
    assert (row["run_id"], row["worker_id"], row["sent"], row["late_10ms"], row["gc_ns"]) == ("r", 3, 5, 2, 9)
    assert (row["clock_offset_ns"], row["read_lag_ns_p99"]) == (-4, None)
    assert before_ns <= row["t_ns"] <= clock.monotonic_ns()
    assert row["cpu_s"] > 0
    assert row["rss_bytes"] > 10_000_000


def test_memory_is_this_process_s() -> None:
    """It grows by what is taken and touched."""
    before = rss_bytes()
    block = bytearray(b"x" * 50_000_000)
    assert rss_bytes() - before > 40_000_000
    del block


def test_loop_lag_sees_a_stall() -> None:
    """A callback that keeps the loop for 50 ms while a sample waits is a lag of that; after stop() no sample is asked for."""

    def stall() -> None:
        time.sleep(0.05)

    async def work() -> list[int]:
        lag = LoopLag(asyncio.get_running_loop())
        stall()
        await asyncio.sleep(0)
        found = lag.take()
        lag.stop()
        await asyncio.sleep(0.03)
        assert len(lag.take()) <= 1
        await asyncio.sleep(0.03)
        assert lag.take() == []
        return found

    assert max(asyncio.run(work())) >= 50_000_000


class Cycle:
    """Garbage that only the collector can free."""

    alive = 0

    def __init__(self) -> None:
        type(self).alive += 1
        self.self = self

    def __del__(self) -> None:
        type(self).alive -= 1


def test_the_young_are_collected_when_idle(garbage: Garbage) -> None:
    """Not before a quarter of a second, not while work waits, but after five seconds in any case; the time it takes is counted."""
    garbage.freeze()
    assert not gc.isenabled()
    start_ns = clock.monotonic_ns()
    spent_ns = garbage.ns
    Cycle()
    garbage.breathe(start_ns, idle=True)
    garbage.breathe(start_ns + 1_000_000_000, idle=False)
    assert (Cycle.alive, garbage.ns) == (1, spent_ns)
    garbage.breathe(start_ns + 1_000_000_000, idle=True)
    assert Cycle.alive == 0
    assert garbage.ns > spent_ns
    Cycle()
    garbage.breathe(start_ns + 1_100_000_000, idle=True)
    assert Cycle.alive == 1
    garbage.breathe(start_ns + 7_000_000_000, idle=False)
    assert Cycle.alive == 0


def test_everything_is_collected_between_steps(garbage: Garbage) -> None:
    """What has grown old too."""
    garbage.freeze()
    Cycle()
    garbage.full()
    assert Cycle.alive == 0
