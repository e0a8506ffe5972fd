"""What a worker puts around a transport, and a target that plays a script of bytes: for tests of transports and streams."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import uvloop

from generator import clock
from generator.apis.api import Call
from generator.apis.openai_chat import OpenAIChat
from generator.counters import WIDTH
from generator.job import Target
from generator.pacer import Pacer
from generator.rows import TOKEN
from generator.stream import Stream
from generator.transport.aiohttp import AiohttpTransport
from generator.transport.fake import FakeTransport
from generator.transport.intake import Intake
from generator.transport.poller import Poller
from generator.transport.socket import SocketTransport
from generator.transport.transport import Transport
from generator.workload.make import Prompt

GOLDEN = Path(__file__).parent / "golden"
ANSWER = (GOLDEN / "llama_cpp.sse").read_bytes()
EVENTS = [event + b"\n\n" for event in ANSWER.split(b"\n\n")[:-1]]
KINDS = pytest.mark.parametrize("kind", ["socket", "aiohttp"])
"""Every real transport."""


class Wiring:
    """An intake whose closed streams are kept; ``transport`` is set by whoever opens it."""

    def __init__(self, poller: Poller | None = None, pacer: Pacer | None = None) -> None:
        self.rows: list[bytes] = []
        self.closed: list[tuple[Stream, str]] = []
        self.left: list[Stream] = []
        self.transport: Any = None
        counters = memoryview(bytearray(8 * WIDTH)).cast("q")
        self.intake = Intake(
            defaultdict(OpenAIChat),
            self.rows.append,
            counters,
            pacer or Pacer(),
            self.left.append,
            lambda stream, outcome: self.closed.append((stream, outcome)),
            self._drop,
        )
        self.poller = poller
        if poller is not None:
            poller.intake = self.intake

    def _drop(self, stream: Stream) -> None:
        self.transport.drop(stream)

    def stream(self, target: Target, number: int = 1, prompt: str = "Hi", max_tokens: int | None = 8) -> Stream:
        call = Call(target.model, prompt, max_tokens, target.stream)
        now_ns = clock.monotonic_ns()
        made = Prompt(prompt, 1, 8, None)
        encoded = OpenAIChat().encode(call)
        stream = Stream(self.intake, target, None, -number, number, now_ns, made, call, encoded, "probe")
        stream.issued_ns = now_ns
        return stream

    def tokens(self, stream: Stream) -> list[tuple[Any, ...]]:
        """The stream's rows, as the fields of rows.TOKEN."""
        rows = [TOKEN.unpack(row) for row in self.rows]
        return [row for row in rows if row[0] == stream.request_id]

    async def until_closed(self, count: int) -> None:
        await self.until(lambda: len(self.closed) >= count)

    async def until(self, met: Callable[[], bool]) -> None:
        """Looks every other millisecond: what is waited for is told by plain calls, here as in a worker."""
        loop = asyncio.get_running_loop()
        end = loop.time() + 10
        while not met():
            assert loop.time() < end, "not within 10 s"
            await asyncio.sleep(0.002)
            if self.poller is not None:
                self.poller.wake()  # a worker's own beat does so: what is held is decoded though no socket is ready


@asynccontextmanager
async def opened(kind: str, target: Target, ids: Iterator[int] | None = None) -> AsyncIterator[Wiring]:
    """A real transport (``socket`` or ``aiohttp``) of this loop, ready to send to ``target``; ``ids`` number its connections."""
    loop = asyncio.get_running_loop()
    pacer = Pacer()
    poller = Poller(loop, pacer, linger_ns=0)  # the target of a test lives in the same loop
    wiring = Wiring(poller, pacer)
    transport: Transport
    ids = ids or count(1)
    if kind == "aiohttp":
        transport = AiohttpTransport(target, OpenAIChat(), "run", poller, loop, ids)
    else:
        transport = SocketTransport(target, OpenAIChat(), "run", poller, clock.Offset(), loop, ids)
    wiring.transport = transport
    await transport.start()
    try:
        yield wiring
    finally:
        await transport.close()
        poller.close()


def faked(transport: FakeTransport) -> Wiring:
    wiring = Wiring()
    wiring.transport = transport
    return wiring


Play = Callable[["Visit"], Awaitable[None]]


class Visit:
    """One request as the target sees it: ``number`` from 0 over all connections, ``peer`` the client's port."""

    def __init__(
        self, number: int, head: str, body: bytes, writer: asyncio.StreamWriter, reader: asyncio.StreamReader
    ) -> None:
        self.number = number
        self.head = head
        self.body = body
        self.writer = writer
        self.reader = reader
        self.peer = writer.get_extra_info("peername")[1]
        self.over = False

    @property
    def line(self) -> str:
        return self.head.split("\r\n", 1)[0]

    @property
    def headers(self) -> dict[str, str]:
        pairs = (line.split(": ", 1) for line in self.head.split("\r\n")[1:])
        return {name.lower(): value for name, value in pairs}

    async def write(self, *pieces: bytes) -> None:
        """Each piece in a segment of its own."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0.003)

    async def answer(self, body: bytes, status: str = "200 OK", **headers: str) -> None:
        """With a content-length, in one write."""
        named = {"content-type": "text/event-stream", **{k.replace("_", "-"): v for k, v in headers.items()}}
        lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        await self.write(f"HTTP/1.1 {status}\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def hang_up(self) -> None:
        self.over = True


@asynccontextmanager
async def target(play: Play, ssl: Any = None) -> AsyncIterator[tuple[int, list[Visit]]]:
    """A server on loopback that reads requests and lets ``play`` answer each: (port, visits)."""
    visits: list[Visit] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n"))[:-4].decode()
                length = next((int(x[15:]) for x in head.lower().split("\r\n") if x.startswith("content-length:")), 0)
                visit = Visit(len(visits), head, await reader.readexactly(length), writer, reader)
                visits.append(visit)
                await play(visit)
                if visit.over:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=ssl)
    try:
        yield server.sockets[0].getsockname()[1], visits
    finally:
        server.close()


def run(work: Coroutine[Any, Any, None]) -> None:
    """On the loop that workers use."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


def at(port: int, **fields: Any) -> Target:
    return Target(**{"name": "t", "url": f"http://127.0.0.1:{port}/v1", "api": "openai-chat", "model": "m", **fields})


async def whole(visit: Visit) -> None:
    await visit.answer(ANSWER)
