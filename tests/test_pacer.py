"""The timer and the pacer: never before its time, moved and put to rest at will. How late it fires is for benchmarks."""

from __future__ import annotations

import select
from collections.abc import Iterator

import pytest

from generator import clock
from generator.pacer import NEVER, Pacer, TimerFd


@pytest.fixture
def timer() -> Iterator[TimerFd]:
    made = TimerFd()
    yield made
    made.close()


@pytest.fixture
def pacer() -> Iterator[Pacer]:
    made = Pacer()
    yield made
    made.timer.close()


def readable(fd: int, within_s: float) -> bool:
    return bool(select.select([fd], [], [], within_s)[0])


def test_it_fires_after_its_time(timer: TimerFd) -> None:
    """Readable, and not before CLOCK_MONOTONIC passed the instant; an acknowledged expiry is gone."""
    for wait_ns in (0, 1, 1_000_000, 20_000_000):
        at_ns = clock.monotonic_ns() + wait_ns
        timer.arm(at_ns)
        assert readable(timer.fd, 10)
        assert clock.monotonic_ns() >= at_ns
        timer.acknowledge()
        assert not readable(timer.fd, 0)


def test_the_past_fires_at_once(timer: TimerFd) -> None:
    """An instant long gone, even 0, which timerfd_settime itself takes for "disarm"."""
    for at_ns in (1, 0, -5, clock.monotonic_ns() - 10**9):
        timer.arm(at_ns)
        assert readable(timer.fd, 10)
        timer.acknowledge()


def test_it_can_be_moved_and_disarmed(timer: TimerFd) -> None:
    """The last word counts; NEVER also takes back an expiry that nobody has read."""
    timer.arm(clock.monotonic_ns() + 10**12)
    timer.arm(clock.monotonic_ns() + 1000)
    assert readable(timer.fd, 10)
    timer.arm(NEVER)
    assert not readable(timer.fd, 0)
    timer.arm(clock.monotonic_ns() + 5_000_000)
    timer.arm(NEVER)
    assert not readable(timer.fd, 0.03)
    timer.acknowledge()  # of nothing: no error


def test_the_pacer_follows_its_source(pacer: Pacer) -> None:
    """The source is called when its instant passed, with the time, and says when it wants to be called again."""
    first_ns = clock.monotonic_ns() + 1_000_000
    calls: list[int] = []

    def source(now_ns: int) -> int:
        calls.append(now_ns)
        return first_ns + len(calls) * 1_000_000 if len(calls) < 3 else NEVER

    pacer.follow(source, first_ns)
    while pacer.due_ns != NEVER:
        assert readable(pacer.timer.fd, 10)
        pacer.on_timer(select.EPOLLIN)
    assert len(calls) == 3
    assert all(now_ns >= first_ns + k * 1_000_000 for k, now_ns in enumerate(calls))
    assert not readable(pacer.timer.fd, 0)


def test_a_source_called_early_by_the_poller_is_not_called_twice(pacer: Pacer) -> None:
    """Between reads the poller looks at due_ns itself; the timer's own event then finds nothing due and waits for the next."""
    calls: list[int] = []
    later_ns = clock.monotonic_ns() + 10**12

    def source(now_ns: int) -> int:
        calls.append(now_ns)
        return later_ns

    pacer.follow(source, clock.monotonic_ns())
    assert readable(pacer.timer.fd, 10)
    pacer.fire()
    pacer.on_timer(select.EPOLLIN)
    assert len(calls) == 1
    assert pacer.due_ns == later_ns
    pacer.at(clock.monotonic_ns() + 1000)  # a slot fell free: the instant moves
    assert readable(pacer.timer.fd, 10)
    pacer.on_timer(select.EPOLLIN)
    assert len(calls) == 2


def test_a_pacer_at_rest_fires_nothing(pacer: Pacer) -> None:
    """After rest() no source is called, not even for an instant that has passed."""
    pacer.follow(lambda _: pytest.fail("called at rest"), clock.monotonic_ns() + 1_000)
    pacer.rest()
    assert pacer.due_ns == NEVER
    assert not readable(pacer.timer.fd, 0.01)
    pacer.fire()
    pacer.on_timer(select.EPOLLIN)
