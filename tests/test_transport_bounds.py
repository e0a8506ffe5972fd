"""Encodings of an answer's body, and bounds on what a target may send."""

from __future__ import annotations

import gzip

import pytest
from pieces import ANSWER, CHUNKED, CHUNKED_HEAD, TYPE, Site, apart, asked, at, chunked, run
from wiring import Visit, opened, target


def _sized(body: bytes, *lines: bytes, status: bytes = b"200 OK") -> bytes:
    head = b"HTTP/1.1 %b\r\nContent-Length: %d\r\n%b\r\n" % (status, len(body), b"".join(x + b"\r\n" for x in lines))
    return head + body


STREAM, GZIP = b"Content-Type: text/event-stream", b"Content-Encoding: gzip"
LIMITED = b'{"error": {"message": "slow down", "code": "rate_limit_exceeded"}}'


@pytest.mark.parametrize(
    ("answer", "outcome", "error_type"),
    [
        (_sized(gzip.compress(ANSWER, mtime=0), STREAM, GZIP), "ok", None),
        (_sized(ANSWER, STREAM, b"Content-Encoding: br"), "stream_error", "content_encoding"),
        (_sized(b"not gzip", STREAM, GZIP), "stream_error", "content_encoding"),
        (_sized(gzip.compress(ANSWER, mtime=0)[:40], STREAM, GZIP), "truncated", "no_terminal_mark"),
        (_sized(gzip.compress(b" " * 3_000_000, mtime=0), STREAM, GZIP), "stream_error", "response_too_large"),
        (_sized(gzip.compress(LIMITED), GZIP, status=b"429 No"), "rate_limited", "rate_limit_exceeded"),
    ],
    ids=["gzip", "unknown", "damaged", "cut", "bomb", "of an error"],
)
def test_encodings(answer: bytes, outcome: str, error_type: str | None) -> None:
    """gzip is undone, of errors too; what cannot be, or swells beyond the bound, is an error of the stream, although its framing is fine."""

    async def play(site: Site, visit: Visit) -> None:
        await apart(site.wiring, visit, answer[:100], answer[100:])

    async def work() -> None:
        async with Site(play, gzip=True, max_response_bytes=1_000_000).open() as (wiring, there, _):
            stream = await asked(wiring, there)
            assert wiring.closed[0][1] == outcome, stream.failure
            assert (stream.failure.error_type if stream.failure else None) == error_type
            if outcome == "rate_limited":
                assert stream.failure.error_message == "slow down"

    run(work())


@pytest.mark.parametrize("piece", [1_000, 60_000])
def test_a_bound_on_what_a_target_may_send(piece: int) -> None:
    """However large the pieces in which it comes, an answer is cut soon after max_response_bytes."""

    async def play(site: Site, visit: Visit) -> None:
        await apart(site.wiring, visit, CHUNKED_HEAD)
        while site.wiring.transport.connections:
            await apart(site.wiring, visit, chunked(b": " + b"x" * piece + b"\n\n"))
        visit.hang_up()

    async def work() -> None:
        async with Site(play, max_response_bytes=200_000).open() as (wiring, there, _):
            stream = await asked(wiring, there)
            assert (wiring.closed[0][1], stream.failure.error_type) == ("stream_error", "response_too_large")
            assert 200_000 < stream.bytes_received < 400_000

    run(work())


def test_a_bound_on_the_head() -> None:
    """Headers without end are cut too: they would be kept in memory."""

    async def play(site: Site, visit: Visit) -> None:
        await apart(site.wiring, visit, TYPE)
        while site.wiring.transport.connections:
            await apart(site.wiring, visit, b"X-More: %b\r\n" % (b"y" * 8_000))
        visit.hang_up()

    async def work() -> None:
        async with Site(play).open() as (wiring, there, _):
            stream = await asked(wiring, there)
            assert (wiring.closed[0][1], stream.failure.error_type) == ("stream_error", "http_framing")
            assert stream.bytes_received < 400_000

    run(work())


TRAILER = b"X-More: %b\r\n" % (b"y" * 500)
FRAMING = {
    "trailers": (b"0\r\n", TRAILER * 100),
    "a trailer": (b"0\r\nX-More: ", b"y" * 60_000),
    "an extension": (b"1;", b"y" * 60_000),
}
"""How an answer goes on that has no more payload, and how it never ends."""


@pytest.mark.parametrize(
    ("kind", "what"), [*(("socket", what) for what in FRAMING), ("aiohttp", "trailers"), ("aiohttp", "a trailer")]
)
def test_a_bound_on_framing(kind: str, what: str) -> None:
    """What is no payload is cut soon after max_response_bytes, too; aiohttp has bounds of its own on trailers, far below."""
    begin, more = FRAMING[what]

    async def play(visit: Visit) -> None:
        await visit.write(CHUNKED_HEAD + chunked(ANSWER[:200]), begin)
        while True:
            visit.writer.write(more)
            await visit.writer.drain()

    async def work() -> None:
        async with target(play) as (port, _):
            there = at(port, max_response_bytes=500_000)
            async with opened(kind, there) as wiring:
                stream = await asked(wiring, there)
            assert wiring.closed[0][1] in ("stream_error", "truncated")
            assert stream.bytes_received < 1_000_000
            assert kind == "aiohttp" or stream.failure.error_type == "response_too_large"

    run(work())


def test_a_bound_on_heads_before_the_head() -> None:
    """Interim answers without end are a head without end."""

    async def play(visit: Visit) -> None:
        while True:
            visit.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
            await visit.writer.drain()

    async def work() -> None:
        async with target(play) as (port, _):
            there = at(port)
            async with opened("socket", there) as wiring:
                stream = await asked(wiring, there)
            assert (wiring.closed[0][1], stream.failure.error_type) == ("stream_error", "http_framing")
            assert stream.bytes_received < 400_000

    run(work())


def test_trailers_are_no_headers() -> None:
    """What follows the body says nothing of it, whether it was read with the head or after it, and none of it is kept."""
    trailed = CHUNKED[:-2] + b"X-Request-Id: late\r\nX-Ratelimit-Limit-Requests: 7\r\n\r\n"
    reads = [[trailed], [trailed[:-60], trailed[-60:]]]

    async def play(site: Site, visit: Visit) -> None:
        await apart(site.wiring, visit, *reads[visit.number])

    async def work() -> None:
        async with Site(play).open() as (wiring, there, visits):
            for number in (1, 2):
                stream = await asked(wiring, there, number)
                assert wiring.closed[-1][1] == "ok"
                assert [name for name, _ in stream.headers] == [b"content-type", b"transfer-encoding"]
            assert len({visit.peer for visit in visits}) == 1
            assert not wiring.transport.idle[0]._framing.headers

    run(work())
