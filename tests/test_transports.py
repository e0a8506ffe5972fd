"""Both real transports against a target of scripted bytes: the same outcome and the same records from either."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from pieces import abort
from wiring import ANSWER, EVENTS, GOLDEN, KINDS, Visit, Wiring, at, opened, run, target, whole

from generator.errors import TargetError
from generator.job import Target
from generator.stream import Stream

LIMITED = b'{"error":{"message":"Slow","type":"requests","code":"rate_limit_exceeded"}}'


def chunked(payload: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(payload), payload)


CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nX-Ratelimit-Limit-Requests: 60\r\n\r\n"


@KINDS
def test_a_stream_of_chunks(kind: str) -> None:
    """A chunk an event, an event a segment: all rows, all facts, and the request as the API wants it."""

    async def play(visit: Visit) -> None:
        await visit.write(CHUNKED_HEAD, *map(chunked, EVENTS), b"0\r\n\r\n")

    async def work() -> None:
        async with target(play) as (port, visits):
            there = at(port, api_key="sk-1", headers={"x-team": "a"})
            async with opened(kind, there) as wiring:
                stream = wiring.stream(there)
                wiring.transport.send(stream)
                await wiring.until_closed(1)
            assert wiring.closed == [(stream, "ok")]
            rows = wiring.tokens(stream)
            assert [row[4] for row in rows] == [4, 1, 2]
            assert [row[7] for row in rows] == (
                [1, 1, 1] if kind == "socket" else [0, 0, 0]
            )  # kernel stamps alone are exact
            assert stream.status == 200
            assert stream.answer is not None
            assert stream.answer.server_ms == 299.75
            assert stream.limits is not None
            assert stream.limits.limit_requests == 60
            assert stream.stamp_source == ("kernel" if kind == "socket" else "process")
            assert not stream.resent
            instants = [stream.issued_ns, stream.connected_ns, stream.sent_ns, stream.first_byte_ns, stream.headers_ns]
            instants += [rows[0][1], rows[-1][1], stream.done_ns]
            assert instants == sorted(instants)
            assert stream.reads == len(EVENTS) + 2 - (kind == "aiohttp") * 2  # aiohttp reads head and end for itself
            assert stream.bytes_received >= len(CHUNKED_HEAD) + len(ANSWER) - 20
            assert stream.remote_addr == "127.0.0.1"
            visit = visits[0]
            assert visit.line == "POST /v1/chat/completions HTTP/1.1"
            assert visit.headers["authorization"] == "Bearer sk-1"
            assert visit.headers["x-request-id"] == "run--1"
            assert visit.headers["x-team"] == "a"
            assert visit.headers["content-type"] == "application/json"
            assert visit.headers["accept-encoding"] == "identity"
            assert visit.body == stream.encoded.body
            assert stream.bytes_sent == len(visit.head) + 4 + len(visit.body)

    run(work())


@KINDS
@pytest.mark.parametrize(("connections", "peers"), [("reuse", 1), ("per-request", 3), ("cold", 3)])
def test_connections_are_used_as_asked(kind: str, connections: str, peers: int) -> None:
    """reuse: one connection for requests in turn, and only the first is told as connected; the others: one each."""

    async def work() -> None:
        async with target(whole) as (port, visits):
            there = at(port, connections=connections)
            async with opened(kind, there) as wiring:
                for n in range(1, 4):
                    wiring.transport.send(wiring.stream(there, n))
                    await wiring.until_closed(n)
            assert [outcome for _, outcome in wiring.closed] == ["ok"] * 3
            assert len({visit.peer for visit in visits}) == peers
            new = [stream.connected_ns is not None for stream, _ in wiring.closed]
            assert new == [True, peers > 1, peers > 1]

    run(work())


def asking(wiring: Wiring, there: Target, number: int, method: str) -> Stream:
    """A stream whose request has this method: what is idempotent, HTTP libraries send again by themselves."""
    made = wiring.stream(there, number)
    made.encoded = replace(made.encoded, method=method, body=made.encoded.body if method == "POST" else b"")
    return made


@KINDS
@pytest.mark.parametrize("how", ["closes", "resets"])
@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
def test_a_reused_connection_that_died_is_replaced_once(kind: str, method: str, how: str) -> None:
    """No byte of an answer came: sent again on a new connection, marked, with its schedule kept. Whatever the method."""

    async def play(visit: Visit) -> None:
        if visit.number != 1:
            await visit.answer(ANSWER)
        elif how == "resets":
            abort(visit)
        else:
            visit.hang_up()

    async def work() -> None:
        async with target(play) as (port, visits):
            there = at(port)
            async with opened(kind, there) as wiring:
                wiring.transport.send(asking(wiring, there, 1, method))
                await wiring.until_closed(1)
                again = asking(wiring, there, 2, method)
                due_ns = again.scheduled_ns
                wiring.transport.send(again)
                await wiring.until_closed(2)
            assert [(stream.resent, outcome) for stream, outcome in wiring.closed] == [(False, "ok"), (True, "ok")]
            assert again.scheduled_ns == due_ns
            assert again.connected_ns is not None
            assert len(visits) == 3

    run(work())


@KINDS
def test_connections_are_numbered_throughout_a_worker(kind: str) -> None:
    """Whichever target they go to: its transports share one count, so that (worker, connection_id) is one connection."""
    ids = count(1)

    async def play(visit: Visit) -> None:
        await visit.write(CHUNKED_HEAD, *map(chunked, EVENTS), b"0\r\n\r\n")

    async def work() -> None:
        async with target(play) as (one, _), target(play) as (other, _):
            async with opened(kind, at(one), ids) as first, opened(kind, at(other), ids) as second:
                for number in (1, 2):
                    for port, wiring in ((one, first), (other, second)):
                        wiring.transport.send(wiring.stream(at(port), number))
                        await wiring.until_closed(number)
            found = [[stream.connection_id for stream, _ in wiring.closed] for wiring in (first, second)]
            assert found == [[1, 1], [2, 2]]

    run(work())


@KINDS
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_new_connection_that_dies_is_not_tried_again(kind: str, method: str) -> None:
    """A target that hangs up on everyone is told as it is, after one request."""

    async def play(visit: Visit) -> None:
        visit.hang_up()

    async def work() -> None:
        async with target(play) as (port, visits):
            there = at(port)
            async with opened(kind, there) as wiring:
                wiring.transport.send(asking(wiring, there, 1, method))
                await wiring.until_closed(1)
            stream, outcome = wiring.closed[0]
            assert (outcome, stream.resent, len(visits)) == ("truncated", False, 1)
            assert stream.failure is not None
            assert stream.failure.error_type == "closed"

    run(work())


@KINDS
def test_refused(kind: str) -> None:
    """Nobody listens: connect_error, and nothing was sent."""

    async def work() -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            there = at(unused.getsockname()[1])
            async with opened(kind, there) as wiring:
                wiring.transport.send(wiring.stream(there))
                await wiring.until_closed(1)
        stream, outcome = wiring.closed[0]
        assert outcome == "connect_error"
        assert stream.failure is not None
        assert stream.failure.error_type == "connect"
        assert stream.sent_ns is None

    run(work())


async def cut_short(visit: Visit) -> None:
    await visit.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9999\r\n\r\n" + EVENTS[1])
    visit.hang_up()


async def cut_chunk(visit: Visit) -> None:
    await visit.write(CHUNKED_HEAD, chunked(EVENTS[1]), b"fff\r\ndata")
    visit.hang_up()


async def reset(visit: Visit) -> None:
    await visit.write(CHUNKED_HEAD, chunked(EVENTS[1]))
    await asyncio.sleep(0.02)
    visit.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    visit.writer.transport.abort()
    visit.hang_up()


async def no_finish(visit: Visit) -> None:
    await visit.answer(EVENTS[1] + b"data: [DONE]\n\n")


async def nonsense(visit: Visit) -> None:
    await visit.write(b"SMTP ready, who are you?\r\n\r\n")
    visit.hang_up()


async def bad_chunk(visit: Visit) -> None:
    await visit.write(CHUNKED_HEAD, chunked(EVENTS[1]), b"zz\r\n")
    await asyncio.sleep(0.05)
    visit.hang_up()


async def until_closed(visit: Visit) -> None:
    await visit.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n", ANSWER)
    visit.hang_up()


async def limited(visit: Visit) -> None:
    await visit.answer(LIMITED, "429 Too Many Requests", content_type="application/json", retry_after="2")


async def squeezed(visit: Visit) -> None:
    await visit.answer(gzip.compress(ANSWER), content_encoding="gzip")


async def document(visit: Visit) -> None:
    await visit.answer((GOLDEN / "whole.json").read_bytes(), content_type="application/json")


async def elsewhere(visit: Visit) -> None:
    await visit.answer(b"", "307 Temporary Redirect", location="http://127.0.0.1:1/")


@KINDS
@pytest.mark.parametrize(
    ("play", "outcome", "rows"),
    [
        (whole, "ok", 3),
        (until_closed, "ok", 3),
        (squeezed, "ok", 3),
        (document, "ok", 0),
        (cut_short, "truncated", 1),
        (cut_chunk, "truncated", 1),
        (reset, "truncated", 1),
        (no_finish, "truncated", 1),
        (nonsense, "stream_error", 0),
        (bad_chunk, "stream_error", 1),
        (limited, "rate_limited", 0),
        (elsewhere, "client_error", 0),
    ],
)
def test_ends(kind: str, play: Any, outcome: str, rows: int) -> None:
    """However an answer ends, both transports call it the same, and keep the rows that came."""

    async def work() -> None:
        async with target(play) as (port, visits):
            there = at(port, gzip=True)
            async with opened(kind, there) as wiring:
                wiring.transport.send(wiring.stream(there))
                await wiring.until_closed(1)
            stream, found = wiring.closed[0]
            assert (found, len(wiring.tokens(stream))) == (outcome, rows), stream.failure
            assert len(visits) == 1
            assert stream.done_ns is not None

    run(work())


@KINDS
def test_a_dropped_stream_hears_no_more(kind: str) -> None:
    """A time limit or the end of the drain: the connection closes, and the transport leaves the stream alone."""
    gone = asyncio.Event()

    async def play(visit: Visit) -> None:
        await visit.write(CHUNKED_HEAD, chunked(EVENTS[1]))
        if not await visit.reader.read():
            gone.set()
        visit.hang_up()

    async def work() -> None:
        async with target(play) as (port, _):
            there = at(port)
            async with opened(kind, there) as wiring:
                stream = wiring.stream(there)
                wiring.transport.send(stream)
                await wiring.until(lambda: bool(wiring.rows))
                wiring.transport.drop(stream)
                stream.failed("cancelled", "drain", "cut by the drain", stream.issued_ns + 1)
                await asyncio.wait_for(gone.wait(), 10)
                wiring.intake.flush()
            assert [(s, outcome) for s, outcome in wiring.closed] == [(stream, "cancelled")]
            assert stream.done_ns == stream.issued_ns + 1

    run(work())


@KINDS
def test_an_endless_answer_is_cut_at_the_bound(kind: str) -> None:
    """Gigabytes cost at most max_response_bytes, and the undecoded part of a stream stays small."""

    async def play(visit: Visit) -> None:
        await visit.write(CHUNKED_HEAD)
        while True:
            visit.writer.write(chunked(EVENTS[1] * 200))
            await visit.writer.drain()

    async def work() -> None:
        async with target(play) as (port, _):
            there = at(port, max_response_bytes=500_000)
            async with opened(kind, there) as wiring:
                wiring.transport.send(wiring.stream(there))
                await wiring.until_closed(1)
            stream, outcome = wiring.closed[0]
            assert outcome == "stream_error"
            assert stream.failure is not None
            assert stream.failure.error_type == "response_too_large"
            assert 500_000 < stream.bytes_received < 1_000_000

    run(work())


@KINDS
def test_a_body_larger_than_the_socket_buffer(kind: str) -> None:
    """A prompt of megabytes arrives whole."""

    async def work() -> None:
        async with target(whole) as (port, visits):
            there = at(port)
            async with opened(kind, there) as wiring:
                stream = wiring.stream(there, prompt="word " * 1_000_000)
                wiring.transport.send(stream)
                await wiring.until_closed(1)
            assert wiring.closed[0][1] == "ok"
            assert visits[0].body == stream.encoded.body

    run(work())


@KINDS
def test_a_name_without_an_address(kind: str) -> None:
    """Told at the start, not by every request."""

    async def work() -> None:
        there = at(1, url="http://no-such-host.invalid/v1")
        with pytest.raises(TargetError, match=r"no-such-host\.invalid"):
            async with opened(kind, there):
                pass

    run(work())
