"""What a run tells while it goes, to any number of followers: one reader a run, whose events all followers share.

The run's process appends lines to a file; it does not know whether anybody reads. Here one task reads what is new twice a second and wakes
those who wait. A follower is a number, how far it has read: it costs no copy, no queue, and cannot hold anybody up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import orjson

from console.web.states import OVER, State

LOOK_S = 0.5
QUIET_S = 15.0
KEPT = 7200
"""Moments of a run that are kept for those who come late: an hour. Of a longer run every other one goes, again and again."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Said:
    """One event: ``kind`` is live, state or end; ``data`` is JSON. ``moments``: live events up to and with this one.

    ``number`` counts what this reader said. The wire has ``moments``: it is the same for every reader of the file, so that a follower
    who comes back to another one (all had left, or the service was started anew) is told what it missed, and the end in any case.
    """

    number: int
    moments: int
    kind: str
    data: bytes

    def wire(self) -> bytes:
        return b"id: %d\nevent: %s\ndata: %s\n\n" % (self.moments, self.kind.encode(), self.data)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a benchmark is in its life, as a follower is told. ``end``: of a benchmark that is over, its own JSON."""

    state: State
    position: int | None
    benchmark: bytes


class Feed:
    """Of one benchmark. Lives as long as somebody follows; the file has all that it knows."""

    def __init__(self, path: Path, standing: Callable[[], Standing]) -> None:
        self._path = path
        self._standing = standing
        self._said: list[Said] = []
        self._number = 0
        self._moments = 0
        self._at_bytes = 0
        self._state: bytes = b""
        self._changed = asyncio.Condition()
        self._over = False
        self._task: asyncio.Task[None] | None = None
        self.followers = 0

    def begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._read())

    def end(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def follow(self, after: int) -> AsyncIterator[Said | None]:
        """Events as they come, the past first, live ones after the first ``after`` of the run; None where nothing came for a while."""
        last = 0
        while True:
            fresh = [said for said in self._said[self._place(last) :] if said.number > last]
            for said in fresh:
                last = said.number
                if said.kind != "live" or said.moments > after:
                    yield said
            if fresh:
                continue
            if self._over:
                return
            if not await self._moved(last):
                yield None

    async def _moved(self, last: int) -> bool:
        """Wait until there is an event after ``last`` or the end, but not for ever."""
        try:
            async with asyncio.timeout(QUIET_S), self._changed:
                await self._changed.wait_for(lambda: self._over or self._number > last)
        except TimeoutError:
            return False
        return True

    def _place(self, number: int) -> int:
        """Where the events after ``number`` begin: numbers grow, so from the end it is near."""
        place = len(self._said)
        while place and self._said[place - 1].number > number:
            place -= 1
        return place

    async def _read(self) -> None:
        while not self._over:
            try:
                await self._look()
            except Exception:
                # A database that is away for a moment must not leave the followers waiting for ever.
                log.exception("a feed stumbled")
            if not self._over:
                await asyncio.sleep(LOOK_S)

    async def _look(self) -> None:
        standing = await asyncio.to_thread(self._standing)
        lines = await asyncio.to_thread(self._lines)
        async with self._changed:
            for line in lines:
                self._moments += 1
                self._say("live", line)
            told = orjson.dumps({"state": standing.state, "position": standing.position})
            if told != self._state:
                self._state = told
                self._say("state", told)
            if standing.state in OVER:
                self._say("end", standing.benchmark)
                self._over = True
            self._changed.notify_all()

    def _say(self, kind: str, data: bytes) -> None:
        self._number += 1
        self._said.append(Said(self._number, self._moments, kind, data))
        if len(self._said) > KEPT:
            self._said = [said for n, said in enumerate(self._said) if n % 2 or said.kind != "live"]

    def _lines(self) -> list[bytes]:
        """Whole lines that were written since the last look."""
        try:
            with self._path.open("rb") as f:
                f.seek(self._at_bytes)
                data = f.read()
        except OSError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._at_bytes += len(whole)
        return whole.splitlines()


class Feeds:
    """One feed a benchmark that anybody follows."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._feeds: dict[str, Feed] = {}

    @property
    def followers(self) -> int:
        return sum(feed.followers for feed in self._feeds.values())

    def full(self) -> bool:
        return self.followers >= self._most

    async def follow(
        self, benchmark_id: str, path: Path, standing: Callable[[], Standing], after: int = 0
    ) -> AsyncIterator[Said | None]:
        feed = self._feeds.get(benchmark_id)
        if feed is None:
            feed = self._feeds[benchmark_id] = Feed(path, standing)
            feed.begin()
        feed.followers += 1
        try:
            async for said in feed.follow(after):
                yield said
        finally:
            feed.followers -= 1
            if not feed.followers:
                feed.end()
                if self._feeds.get(benchmark_id) is feed:
                    del self._feeds[benchmark_id]
