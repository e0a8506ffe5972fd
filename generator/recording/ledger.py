"""A worker's rows on their way to its recorder process: the loop only fills buffers and hands them to a pipe.

Writing Parquet in a thread of the worker held the interpreter and the core for up to milliseconds every two seconds, and an
arrival that fell due just then was late. In a process of its own it cannot, and what was handed over outlives a worker that is
killed: the recorder writes it when the pipe ends.
"""

from __future__ import annotations

import asyncio
import marshal
import struct
import sys
from collections.abc import Callable
from typing import Any

import orjson

from generator import clock
from generator.job import Plan
from generator.rows import TOKEN
from generator.run_dir import RunDir

FRAME = struct.Struct("<cI")
"""What the pipe carries: kind, bytes that follow."""

TOKENS, REQUESTS, HEALTH, TEXTS = b"T", b"R", b"H", b"X"
"""Packed ``rows.TOKEN``; marshalled lists of rows in the schema's order."""

HAND_OVER_NS = 250_000_000
"""What a killed worker loses at most, beside what is in flight."""

HAND_OVER_BYTES = 1 << 20

Row = tuple[Any, ...]


class Ledger:
    """``sink`` takes packed token rows. No method waits for the disk; ``close`` waits until all of it is written."""

    def __init__(self, on_trouble: Callable[[str], None]) -> None:
        self._on_trouble = on_trouble
        self._tokens = bytearray()
        self._handed_tokens = 0
        self._requests: list[Row] = []
        self._texts: list[Row] = []
        self._handed_ns = 0
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None
        self._closing = False
        self.sink = self._tokens.extend

    async def start(self, run: RunDir, worker_id: int, plan: Plan) -> None:
        """Start the recorder process; returns when it is ready to write."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "generator.recording.recorder",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        first = {
            "run_dir": str(run.path),
            "worker_id": worker_id,
            "workers": plan.workers,
            "segment_rows": plan.segment_rows,
            "segment_s": plan.segment_s,
        }
        self._process.stdin.write(orjson.dumps(first) + b"\n")
        await self._process.stdout.readline()
        self._listening = asyncio.create_task(self._listen(self._process.stdout))

    @property
    def tokens(self) -> int:
        """Token rows taken so far."""
        return self._handed_tokens + len(self._tokens) // TOKEN.size

    def request(self, row: Row) -> None:
        """One row of ``requests``, in the schema's order."""
        self._requests.append(row)

    def text(self, row: Row) -> None:
        """One row of ``texts``, in the schema's order; its request's row follows."""
        self._texts.append(row)

    def health(self, row: Row) -> None:
        """One row of ``health``, in the schema's order."""
        self._hand_over(HEALTH, marshal.dumps([row]))

    def breathe(self, now_ns: int) -> None:
        """Hand buffers over when they are large or old; called several times a second."""
        if len(self._tokens) >= HAND_OVER_BYTES or now_ns - self._handed_ns > HAND_OVER_NS:
            self.flush(now_ns)

    def flush(self, now_ns: int) -> None:
        """Hand everything over now."""
        self._handed_ns = now_ns
        if self._tokens:
            self._hand_over(TOKENS, bytes(self._tokens))
            self._handed_tokens = self.tokens
            self._tokens.clear()
        if self._texts:
            self._hand_over(TEXTS, marshal.dumps(self._texts))
            self._texts.clear()
        if self._requests:
            self._hand_over(REQUESTS, marshal.dumps(self._requests))
            self._requests.clear()

    async def close(self) -> None:
        """All rows are written, or told to ``on_trouble`` as lost."""
        if self._process is None or self._process.stdin is None:
            return
        self.flush(clock.monotonic_ns())
        self._closing = True
        self._process.stdin.close()
        if self._listening is not None:
            await self._listening
        await self._process.wait()

    def _hand_over(self, kind: bytes, data: bytes) -> None:
        if self._process is not None and self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.write(FRAME.pack(kind, len(data)))
            self._process.stdin.write(data)

    async def _listen(self, stdout: asyncio.StreamReader) -> None:
        while line := await stdout.readline():
            self._on_trouble(orjson.loads(line)["message"])
        if not self._closing:
            self._on_trouble("the recorder process died; what it had not written yet is lost, and the run stops")
