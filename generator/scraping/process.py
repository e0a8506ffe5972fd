"""The scraper process as the coordinator sees it: started, listened to, ended. Nothing that befalls it stops the run."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable
from typing import Any

import orjson

from generator import job
from generator.crew import environment
from generator.run_dir import RunDir

READY_S = 15.0
END_S = 10.0


class Scraping:
    """``note`` is told what a reader of the run should know."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._account: dict[str, Any] | None = None

    async def start(self, run: RunDir, plan: job.Plan, secrets: dict[str, str]) -> None:
        """Where a target has metrics. Returns at once."""
        if not any(target.metrics for target in plan.targets.values()):
            self._ready.set()
            return
        with run.log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                "generator.scraping.scraper",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=environment(),
                start_new_session=True,
            )
        assert self._process.stdin is not None
        # Secrets go this way: a pipe, never an argument list.
        self._process.stdin.write(orjson.dumps({"run_dir": str(run.path), "secrets": secrets}) + b"\n")
        self._listening = asyncio.create_task(self._listen(self._process))

    async def ready(self) -> None:
        """Its imports are done, which would take a processor from the workers; or it is not worth waiting for."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ready.wait(), READY_S)

    async def end(self) -> dict[str, Any]:
        """Have it take a last look and write all; how reading went, by target. Empty where nothing was read."""
        if self._process is None or self._process.stdin is None or self._listening is None:
            return {}
        self._process.stdin.close()
        try:
            await asyncio.wait_for(asyncio.shield(self._listening), END_S)
        except TimeoutError:
            self._process.kill()
            await self._listening
        return self._account or {}

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            try:
                event = orjson.loads(line)
            except orjson.JSONDecodeError:  # a line that a kill cut short
                continue
            match event["event"]:
                case "ready":
                    self._ready.set()
                case "note":
                    self._note(event["message"])
                case "end":
                    self._account = event["targets"]
        code = await process.wait()
        self._ready.set()
        if self._account is None:
            self._note(f"the process that reads the target's metrics died (exit code {code}); the run went on without")
