"""The worker processes as the coordinator sees them: orders go in as JSON lines, events come out, an end without ``bye`` is a loss."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson

from generator.run_dir import RunDir

Event = dict[str, Any]

EVENT_BYTES = 1 << 24
"""The longest line that a worker may say: what a hundred probes were answered."""

_PACKAGE_PARENT = str(Path(__file__).resolve().parent.parent)


def environment() -> dict[str, str]:
    """That of this process, with this package first on the path of those that it starts."""
    paths = [_PACKAGE_PARENT, *filter(None, [os.environ.get("PYTHONPATH")])]
    return dict(os.environ) | {"PYTHONPATH": os.pathsep.join(paths)}


class Member:
    """One worker process."""

    def __init__(self, number: int, process: asyncio.subprocess.Process) -> None:
        self.number = number
        self.process = process
        self.said: set[tuple[str, int | None]] = set()
        self.alive = True
        self.left = False


class Crew:
    """Starts workers in sessions of their own, so that a Ctrl-C of the terminal reaches the coordinator alone."""

    def __init__(
        self, on_event: Callable[[Member, Event], None], on_loss: Callable[[Member, int | None], None]
    ) -> None:
        self._on_event = on_event
        self._on_loss = on_loss
        self.members: list[Member] = []
        self._readers: list[asyncio.Task[None]] = []
        self._leaving = False
        self.changed = asyncio.Event()

    async def start(self, run: RunDir, workers: int, secrets: dict[str, str], pin: bool) -> None:
        """Start every worker; each says ``ready`` when it is."""
        cpus = sorted(os.sched_getaffinity(0)) if pin else []
        with run.log_path.open("ab") as log:
            for number in range(workers):
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-P",  # whatever the working folder holds, it is not our package
                    "-m",
                    "generator.worker",
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=log,
                    env=environment(),
                    start_new_session=True,
                    limit=EVENT_BYTES,
                )
                member = Member(number, process)
                self.members.append(member)
                self._readers.append(asyncio.create_task(self._listen(member)))
                first: Event = {"run_dir": str(run.path), "worker_id": number, "secrets": secrets}
                if cpus:
                    first["cpu"] = cpus[number % len(cpus)]
                self.tell(member, first)

    def tell(self, member: Member, order: Event) -> None:
        """Secrets go this way too: a pipe, never an argument list."""
        assert member.process.stdin is not None
        if member.alive and not member.process.stdin.is_closing():
            member.process.stdin.write(orjson.dumps(order) + b"\n")

    def tell_all(self, order: Event) -> None:
        for member in self.members:
            self.tell(member, order)

    def all_said(self, event: str, step_id: int | None = None) -> bool:
        """Every worker that is still there has said it."""
        return all((event, step_id) in m.said for m in self.members if m.alive)

    async def until(self, done: Callable[[], bool], timeout_s: float | None) -> bool:
        """Wait for ``done``, looked at after each event; False when the time ran out first."""

        async def watch() -> None:
            while not done():
                self.changed.clear()
                await self.changed.wait()

        return await finishes(watch(), timeout_s)

    def kill(self, member: Member) -> None:
        """A worker that does not answer. SIGKILL ends a stopped process, too."""
        if member.process.returncode is None:
            os.kill(member.process.pid, signal.SIGKILL)

    async def leave(self, grace_s: float) -> None:
        """Tell all to finish, wait, and end those that do not."""
        self._leaving = True
        self.tell_all({"op": "finish"})
        await self.until(lambda: not any(m.alive for m in self.members), grace_s)
        for member in self.members:
            self.kill(member)
            await member.process.wait()
        await asyncio.gather(*self._readers)

    async def _listen(self, member: Member) -> None:
        try:
            await self._hear(member)
        except Exception as e:  # noqa: BLE001 - whatever it is, nobody must wait for ever for a worker that is not heard
            words = f"it is ended, for what it says cannot be followed: {type(e).__name__}: {e}"
            self._on_event(member, {"event": "note", "message": words})
            self.kill(member)
        code = await member.process.wait()
        member.alive = False
        if not member.left:
            self._on_loss(member, code)
        self.changed.set()

    async def _hear(self, member: Member) -> None:
        assert member.process.stdout is not None
        while line := await member.process.stdout.readline():
            try:
                event = orjson.loads(line)
            except orjson.JSONDecodeError:  # a line that a kill cut short
                continue
            member.said.add((event["event"], event.get("step_id")))
            # Whoever says goodbye unasked (SIGTERM from outside) leaves its share of the schedule behind all the same.
            member.left = member.left or event["event"] == "fatal" or (event["event"] == "bye" and self._leaving)
            self._on_event(member, event)
            self.changed.set()


async def finishes(work: Awaitable[None], timeout_s: float | None) -> bool:
    """Whether it did in time; else it is cancelled."""
    try:
        await asyncio.wait_for(work, timeout_s)
    except TimeoutError:
        return False
    return True
