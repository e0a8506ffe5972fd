"""One epoll set for all sockets: the order of a turn, and what may not happen in it. Pipes stand for sockets."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
import uvloop

from generator import clock
from generator.pacer import LEAD_NS, NEVER, Pacer
from generator.transport import poller as poller_module
from generator.transport.gathering import LONG_NS, SHORT_NS
from generator.transport.poller import LINGER_NS, READ, Poller


class Pipes:
    def __init__(self) -> None:
        self.open: list[int] = []

    def pair(self) -> tuple[int, int]:
        read, write = os.pipe2(os.O_NONBLOCK)
        self.open += [read, write]
        return read, write


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    made = Pipes()
    yield made
    for fd in made.open:
        os.close(fd)


def run(
    work: Callable[[Poller, Pacer], Coroutine[Any, Any, None]], lead_ns: int = 0, linger_ns: int = LINGER_NS
) -> None:
    async def main() -> None:
        pacer = Pacer(lead_ns)
        poller = Poller(asyncio.get_running_loop(), pacer, linger_ns)
        await asyncio.wait_for(work(poller, pacer), 20)
        poller.close()
        pacer.timer.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def test_a_due_send_goes_before_every_read(pipes: Pipes) -> None:
    """An arrival that falls due while sockets are served does not wait for the rest of them."""
    order: list[str] = []

    async def work(poller: Poller, pacer: Pacer) -> None:
        pacer.follow(lambda _: order.append("send") or NEVER, clock.monotonic_ns() + 10**15)

        def handle(fd: int, name: str) -> None:
            os.read(fd, 10)
            order.append(name)
            pacer.due_ns = 0  # the next arrival is due from here on

        for name in ("first", "second"):
            read, write = pipes.pair()
            poller.add(read, READ, lambda _, fd=read, name=name: handle(fd, name))
            os.write(write, b"x")
        for _turn in range(50):
            await asyncio.sleep(0.001)
        assert order in (["first", "send", "second", "send"], ["second", "send", "first", "send"])

    run(work)


def test_a_descriptor_that_was_removed_in_the_turn_is_not_served(pipes: Pipes) -> None:
    """Its readiness was reported before; its number may be another's by now."""
    served: list[int] = []

    async def work(poller: Poller, _: Pacer) -> None:
        reads = []
        for _n in range(3):
            read, write = pipes.pair()
            reads.append(read)
            os.write(write, b"x")

        def handle(fd: int) -> None:
            served.append(fd)
            for other in reads:
                poller.remove(other)

        for read in reads:
            poller.add(read, READ, lambda _, fd=read: handle(fd))
        await asyncio.sleep(0.05)
        assert len(served) == 1
        poller.remove(reads[0])  # once more: no error

    run(work)


def test_replace_changes_the_function(pipes: Pipes) -> None:
    """A connection that stands is served by another function than one that is being made."""
    served: list[str] = []

    async def work(poller: Poller, _: Pacer) -> None:
        read, write = pipes.pair()
        poller.add(read, READ, lambda _: (os.read(read, 1), served.append("old"), poller.replace(read, READ, then)))

        def then(_mask: int) -> None:
            os.read(read, 1)
            served.append("new")

        os.write(write, b"xy")
        for _turn in range(50):
            await asyncio.sleep(0.001)
        assert served == ["old", "new"]

    run(work)


def test_the_loop_lives_beside_sockets_that_never_rest(pipes: Pipes) -> None:
    """However much there is to read, timers, the control pipe and the beat have their turn."""
    reads = 0

    async def work(poller: Poller, _: Pacer) -> None:
        nonlocal reads
        read, write = pipes.pair()
        os.write(write, b"x")

        def handle(_mask: int) -> None:
            nonlocal reads
            reads += 1  # and leaves it readable

        poller.add(read, READ, handle)
        for _turn in range(20):
            await asyncio.sleep(0.001)
        assert reads > 20
        poller.remove(read)

    run(work)


def test_the_loop_lives_beside_arrivals_without_end() -> None:
    """At a rate whose every arrival is near when the one before is sent, the loop has its turn all the same."""

    async def work(poller: Poller, pacer: Pacer) -> None:
        sent = 0

        def source(now_ns: int) -> int:
            nonlocal sent
            sent += 1
            return now_ns + 10_000

        pacer.follow(source, clock.monotonic_ns())
        for _turn in range(20):
            await asyncio.sleep(0.001)
        assert sent > 20
        pacer.rest()

    run(work, lead_ns=LEAD_NS)


def test_awake_before_an_arrival_and_never_early() -> None:
    """With a lead the poller looks out for the arrival, which counts as awake, and fires it when it is due, not before."""
    fired: list[tuple[int, int]] = []

    async def work(poller: Poller, pacer: Pacer) -> None:
        def source(now_ns: int) -> int:
            fired.append((due[0], now_ns))
            due[0] += 3_000_000
            return due[0] if len(fired) < 10 else NEVER

        due = [clock.monotonic_ns() + 3_000_000]
        pacer.follow(source, due[0])
        for _turn in range(200):
            await asyncio.sleep(0.001)
        assert len(fired) == 10
        assert all(now_ns >= due_ns for due_ns, now_ns in fired)
        assert poller.awake_ns > 0

    run(work, lead_ns=1_000_000)


@pytest.mark.parametrize("held_at", range(10))
def test_an_arrival_that_is_near_is_not_forgotten(held_at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its timer has fired already when the process is held up, at whichever look at the clock: it goes out late, though nothing else
    ever wakes this worker."""
    real, looks, due = clock.monotonic_ns, 0, [NEVER]

    def held_up() -> int:
        nonlocal looks
        now_ns = real()
        if due[0] - 1_000_000 <= now_ns < due[0]:
            looks += 1
            if looks == held_at + 1:
                time.sleep(0.02)
                return real()
        return now_ns

    monkeypatch.setattr(poller_module.clock, "monotonic_ns", held_up)
    fired: list[int] = []

    async def work(_: Poller, pacer: Pacer) -> None:
        def source(now_ns: int) -> int:
            fired.append(now_ns)
            return NEVER

        due[0] = real() + 5_000_000
        pacer.follow(source, due[0])
        for _turn in range(100):
            await asyncio.sleep(0.001)
        assert len(fired) == 1

    run(work, lead_ns=1_000_000)


def test_what_is_read_came_after_the_quiet(pipes: Pipes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is served arrived later than ``quiet_ns`` says, after short waits and long ones, beside busy descriptors and alone.
    A pipe is ready as soon as it is written to: no margin is needed."""
    monkeypatch.setattr(poller_module, "MARGIN_NS", 0)
    written: dict[int, int] = {}
    served: list[tuple[int, int]] = []

    async def work(poller: Poller, _: Pacer) -> None:
        ends = [pipes.pair() for _ in range(3)]

        def handle(fd: int) -> None:
            os.read(fd, 10)
            served.append((written[fd], poller.quiet_ns))

        for read, _write in ends:
            poller.add(read, READ, lambda _, fd=read: handle(fd))
        for turn in range(60):
            for read, write in ends[: 1 + turn % 3]:
                written[read] = clock.monotonic_ns()
                os.write(write, b"x")
            await asyncio.sleep((0, 0.001, 0.012)[turn % 3 if turn % 2 else 0])
        await asyncio.sleep(0.02)
        assert len(served) > 60
        assert all(written_ns > quiet_ns for written_ns, quiet_ns in served)
        assert served[-1][1] > served[0][1]

    run(work)


@pytest.mark.parametrize(("prevented_by", "gathers"), [("nothing", True), ("shared reads", False), ("arrivals", False)])
def test_what_comes_densely_is_gathered(
    prevented_by: str, gathers: bool, pipes: Pipes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a wake-up would find more a moment later, it waits; not while pieces of one answer share reads, nor before an arrival."""
    slept: list[float] = []
    monkeypatch.setattr(poller_module.time, "sleep", slept.append)

    async def work(poller: Poller, pacer: Pacer) -> None:
        ends = [pipes.pair() for _ in range(3)]

        def handle(read: int, write: int) -> None:
            os.write(write, os.read(read, 1))  # at once there is more to read
            if prevented_by == "shared reads":
                poller.gathering.shared_ns = clock.monotonic_ns()

        for read, write in ends:
            poller.add(read, READ, lambda _, read=read, write=write: handle(read, write))
            os.write(write, b"x")
        if prevented_by == "arrivals":
            pacer.follow(lambda now_ns: now_ns + SHORT_NS, clock.monotonic_ns())
        for _turn in range(10):
            await asyncio.sleep(0.001)
        assert bool(slept) == gathers
        assert set(slept) <= {LONG_NS / 1e9}

    run(work)


def test_the_poller_rests_when_dense_traffic_ends(pipes: Pipes) -> None:
    """What was gathered is not looked for without end: the loop is left to sleep."""

    async def work(poller: Poller, _: Pacer) -> None:
        read, write = pipes.pair()
        left = 2_000

        def handle(_mask: int) -> None:
            nonlocal left
            os.read(read, 1)
            left -= 1
            if left:
                os.write(write, b"x")

        poller.add(read, READ, handle)
        os.write(write, b"x")
        for _turn in range(100):
            await asyncio.sleep(0.01)
        assert not left
        before = poller.looks
        await asyncio.sleep(0.2)
        assert poller.looks - before < 10

    run(work)


def test_a_poller_that_does_not_linger_does_not_spin(pipes: Pipes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside another transport the loop waits, however densely arrivals are due: it has work of its own."""

    async def work(poller: Poller, _: Pacer) -> None:
        monkeypatch.setattr(type(poller.gathering), "came", lambda self, *_: setattr(self, "dense", True))
        read, write = pipes.pair()
        poller.add(read, READ, lambda _: os.read(read, 1))
        os.write(write, b"x")
        await asyncio.sleep(0.1)
        assert 0 < poller.looks < 10

    run(work, linger_ns=0)


def test_what_comes_now_and_then_is_read_at_once(pipes: Pipes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing more would come while it waited. A process that was held up between two may find one waiting, and take it for many."""
    slept: list[float] = []
    monkeypatch.setattr(poller_module.time, "sleep", slept.append)

    async def work(poller: Poller, _: Pacer) -> None:
        read, write = pipes.pair()
        poller.add(read, READ, lambda _: os.read(read, 1))
        for _turn in range(20):
            os.write(write, b"x")
            await asyncio.sleep(0.02)
        assert len(slept) < 10

    run(work)


def test_a_wake_after_the_end_is_harmless() -> None:
    """Something may have been queued in the loop's last moment."""

    async def work(poller: Poller, _: Pacer) -> None:
        poller.wake()
        poller.wake()

    run(work)
