"""A target whose bytes and reads are in the test's hand: each piece of an answer is read by the client before the next is written."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from unittest.mock import patch

import uvloop
from wiring import Visit, Wiring, opened, target

from generator.job import Target
from generator.transport import intake
from generator.transport.socket import SO_TIMESTAMPNS


def event(text: str, finish: str | None = None) -> bytes:
    delta = {"content": text} if text else {}
    chunk = {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


ONE, TWO, END = event("one"), event("three"), event("", "stop")
ANSWER = ONE + TWO + END + b"data: [DONE]\n\n"
TYPE = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED_HEAD = TYPE + b"Transfer-Encoding: chunked\r\n\r\n"


def chunked(*payloads: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in payloads)


CHUNKED = CHUNKED_HEAD + chunked(ONE, TWO, END + b"data: [DONE]\n\n") + b"0\r\n\r\n"
SIZED = TYPE + b"Content-Length: %d\r\n\r\n" % len(ANSWER) + ANSWER


def run(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


def at(port: int, **fields: Any) -> Target:
    return Target(**{"name": "t", "url": f"http://127.0.0.1:{port}/v1", "api": "openai-chat", "model": "m", **fields})


def facts(wiring: Wiring, index: int = -1) -> tuple[Any, ...]:
    """What must not depend on how the bytes were cut: outcome, status, rows' characters, finish."""
    stream, outcome = wiring.closed[index]
    finish = stream.answer.finish_reason if stream.answer is not None else None
    return outcome, stream.status, [row[4] for row in wiring.tokens(stream)], finish


async def asked(wiring: Wiring, there: Target, number: int = 1, **more: Any) -> Any:
    """One request to its end; its stream."""
    stream = wiring.stream(there, number, **more)
    before = len(wiring.closed)
    wiring.transport.send(stream)
    await wiring.until_closed(before + 1)
    return stream


async def apart(wiring: Wiring, visit: Visit, *pieces: bytes) -> None:
    """Each piece is read by the client before the next is written."""
    for piece in pieces:
        before = wiring.transport.reads
        visit.writer.write(piece)
        await visit.writer.drain()
        await wiring.until(lambda before=before: wiring.transport.reads > before or not wiring.transport.connections)


def abort(visit: Visit) -> None:
    """RST in place of FIN."""
    sock = visit.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    visit.writer.transport.abort()


@asynccontextmanager
async def raw(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], host: str = "127.0.0.1"
) -> AsyncIterator[int]:
    """A server that does with each connection as ``serve`` does: its port."""
    server = await asyncio.start_server(serve, host, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


class Site:
    """One target and one transport in one loop; ``play`` may look at ``wiring``."""

    wiring: Wiring

    def __init__(self, play: Callable[[Site, Visit], Awaitable[None]], **fields: Any) -> None:
        self.play = play
        self.fields = fields

    async def _play(self, visit: Visit) -> None:
        await self.play(self, visit)

    @asynccontextmanager
    async def open(self, hold_ns: int = 0) -> AsyncIterator[tuple[Wiring, Target, list[Visit]]]:
        async with target(self._play) as (port, visits):
            there = at(port, **self.fields)
            # Decoded at once: holding bytes is another test's subject, and waiting for it here would take minutes.
            with patch.object(intake, "HOLD_NS", hold_ns):
                async with opened("socket", there) as self.wiring:
                    yield self.wiring, there, visits


@contextmanager
def stamping() -> Iterator[None]:
    """The kernel stamps, from here on: it begins some milliseconds after the first socket of the machine asks for it. A run asks
    long before it sends; a test does not."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as keeper:
        keeper.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        peer, _ = server.accept()
        with peer:
            stamps: list[Any] = []
            for _ in range(1_000):
                peer.send(b"x")
                stamps = keeper.recvmsg(1, 64)[1]
                if stamps:
                    break
                time.sleep(0.005)
            assert stamps
            yield
