"""What the coordinator makes of what its workers say, and of how they end. The processes here are pipes that the test fills."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from generator.crew import Crew, Event, Member


class FakeProcess:
    """A worker's pipes and its exit code."""

    def __init__(self) -> None:
        self.stdout = asyncio.StreamReader()
        self.stdin = self
        self.returncode: int | None = None
        self.written = b""
        self.over = asyncio.Event()
        self.pid = -1

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.returncode is not None

    def says(self, line: bytes) -> None:
        self.stdout.feed_data(line)

    def ends(self, code: int) -> None:
        self.returncode = code
        self.stdout.feed_eof()
        self.over.set()

    async def wait(self) -> int | None:
        await self.over.wait()
        return self.returncode


class Office:
    """A crew of fakes, and what it told."""

    def __init__(self, count: int) -> None:
        self.events: list[tuple[int, Event]] = []
        self.losses: list[tuple[int, int | None]] = []
        self.crew = Crew(
            lambda member, event: self.events.append((member.number, event)),
            lambda member, code: self.losses.append((member.number, code)),
        )
        self.processes = [FakeProcess() for _ in range(count)]
        for number, process in enumerate(self.processes):
            member = Member(number, process)  # type: ignore[arg-type]  # pipes alone are looked at
            self.crew.members.append(member)
            self.crew._readers.append(asyncio.create_task(self.crew._listen(member)))

    async def settled(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


def run(work: Any) -> None:
    asyncio.run(asyncio.wait_for(work(), 20))


def test_everyone_has_said_it() -> None:
    """True once all who live have; a step's word is not another step's."""

    async def work() -> None:
        office = Office(2)
        office.processes[0].says(b'{"event":"prepared","step_id":1}\n')
        office.processes[1].says(b'{"event":"prepared","step_id":0}\n')
        await office.settled()
        assert not office.crew.all_said("prepared", 1)
        office.processes[1].says(b'{"event":"prepared","step_id":1}\n')
        assert await office.crew.until(lambda: office.crew.all_said("prepared", 1), 10)
        assert [number for number, _ in office.events] == [0, 1, 1]
        assert not await office.crew.until(lambda: office.crew.all_said("prepared", 2), 0.01)

    run(work)


@pytest.mark.parametrize("last_words", [b"", b'{"event":"iss', b"\xff\xfe\n", b"Killed\n"])
def test_a_worker_that_dies_holds_nobody_up(last_words: bytes) -> None:
    """Whatever it was about to say: it is lost, with its exit code, and the others' word is enough."""

    async def work() -> None:
        office = Office(2)
        office.processes[0].says(b'{"event":"issued","step_id":0}\n')
        office.processes[1].says(last_words)
        office.processes[1].ends(-9)
        assert await office.crew.until(lambda: office.crew.all_said("issued", 0) and bool(office.losses), 10)
        assert office.losses == [(1, -9)]
        assert [member.alive for member in office.crew.members] == [True, False]
        office.crew.tell_all({"op": "stop"})
        assert [process.written for process in office.processes] == [b'{"op":"stop"}\n', b""]

    run(work)


def test_a_worker_that_cannot_be_followed_is_ended() -> None:
    """A line beyond all bounds: the worker is lost and said to be, and nobody waits for it."""

    async def work() -> None:
        office = Office(1)
        office.crew.kill = lambda member: office.processes[member.number].ends(-9)  # type: ignore[method-assign]
        office.processes[0].says(b"x" * (1 << 18))
        assert await office.crew.until(lambda: bool(office.losses), 10)
        ((number, event),) = office.events
        assert (number, event["event"]) == (0, "note")
        assert "cannot be followed" in event["message"]
        assert office.losses == [(0, -9)]
        assert not office.crew.members[0].alive

    run(work)


@pytest.mark.parametrize(
    ("told", "words", "lost"),
    [
        (True, b'{"event":"bye"}\n', False),
        (False, b'{"event":"bye"}\n', True),
        (False, b'{"event":"fatal","message":"no such host"}\n', False),
        (True, b"", True),
    ],
    ids=["told to go", "unasked", "fatal", "without a word"],
)
def test_who_is_lost(told: bool, words: bytes, lost: bool) -> None:
    """Leaving is no loss when it was asked for, or explained; a goodbye out of turn leaves its share of the schedule behind."""

    async def work() -> None:
        office = Office(1)
        leaving = None
        if told:
            leaving = asyncio.create_task(office.crew.leave(10))
            await office.settled()
            assert office.processes[0].written == b'{"op":"finish"}\n'
        office.processes[0].says(words)
        office.processes[0].ends(0)
        if leaving is not None:
            await leaving
        await office.settled()
        assert office.losses == ([(0, 0)] if lost else [])

    run(work)
