"""HTTP/1.1 framing as the socket transport follows it: the same answer at every split, and what is no framing."""

from __future__ import annotations

import pytest
from pieces import (
    ANSWER,
    CHUNKED,
    CHUNKED_HEAD,
    END,
    ONE,
    SIZED,
    TWO,
    TYPE,
    Site,
    apart,
    asked,
    chunked,
    event,
    facts,
    run,
    stamping,
)
from wiring import Visit

from generator.apis.events import EventDecoder
from generator.transport.framing import LONGEST, Framing


@pytest.mark.parametrize(
    ("answer", "max_tokens"),
    [(CHUNKED, 8), (CHUNKED, None), (SIZED, None)],
    ids=["chunked", "chunked, no end in sight", "sized"],
)
def test_every_split(answer: bytes, max_tokens: int | None) -> None:
    """Cut anywhere in two reads, an answer gives the same facts; all over one connection, so nothing is left of the one before."""

    async def play(site: Site, visit: Visit) -> None:
        cut = visit.number + 1
        await apart(site.wiring, visit, answer[:cut], answer[cut:])

    async def work() -> None:
        async with Site(play).open() as (wiring, there, visits):
            for number in range(1, len(answer)):
                stream = await asked(wiring, there, number, max_tokens=max_tokens)
                assert facts(wiring) == ("ok", 200, [3, 5], "stop"), f"cut at {number}"
                assert (stream.reads, stream.bytes_received) == (2, len(answer))
            assert len({visit.peer for visit in visits}) == 1
            assert not any(stream.resent for stream, _ in wiring.closed)

    run(work())


@pytest.mark.parametrize(
    ("answer", "max_tokens"),
    [(CHUNKED, 8), (CHUNKED, None), (SIZED, None)],
    ids=["chunked", "chunked, no end in sight", "sized"],
)
def test_byte_by_byte(answer: bytes, max_tokens: int | None) -> None:
    """A read a byte is a read a byte: the same answer, and its stamps are in order."""

    async def play(site: Site, visit: Visit) -> None:
        await apart(site.wiring, visit, *[answer[i : i + 1] for i in range(len(answer))])

    async def work() -> None:
        async with Site(play).open() as (wiring, there, _):
            stream = await asked(wiring, there, max_tokens=max_tokens)
            assert facts(wiring) == ("ok", 200, [3, 5], "stop")
            assert stream.reads == len(answer)
            instants = [stream.sent_ns, stream.first_byte_ns, stream.headers_ns, stream.last_read_before_ns]
            instants += [row[1] for row in wiring.tokens(stream)] + [stream.done_ns]
            assert instants == sorted(instants)

    run(work())


def sized_as(line: bytes, payload: bytes) -> bytes:
    return line % len(payload) + b"\r\n" + payload + b"\r\n"


CRLF_EVENT = event("four").replace(b"\n", b"\r\n")

INSIDE = {"upper case": [30], "two in a read": [3, 5], "longer than most": [LONGEST], "its lines end with CR LF": [4]}

ODD = {
    "upper case": sized_as(b"%X", event("k" * 30)),
    "leading zeros": sized_as(b"00%x", ONE),
    "an extension": sized_as(b"%x;name=value", ONE),
    "two in a read": chunked(ONE) + chunked(TWO),
    "longer than most": chunked(event("k" * LONGEST)),
    "its lines end with CR LF": chunked(CRLF_EVENT),
}


@pytest.mark.parametrize("odd", list(ODD))
@pytest.mark.parametrize("hold_ns", [0, 20_000_000], ids=["understood soon", "held"])
def test_whole_chunks_and_others(odd: str, hold_ns: int) -> None:
    """A chunk that is a read is not parsed as others are; whatever comes between two of them, and wherever that is cut, nothing is lost,
    doubled or out of order."""
    between = ODD[odd]
    cuts = sorted({1, 2, 3, 4, 5, len(between) // 2, *range(len(between) - 8, len(between))})
    many = [event("w" * n) for n in range(1, 40)]
    end = chunked(END + b"data: [DONE]\n\n") + b"0\r\n\r\n"

    async def play(site: Site, visit: Visit) -> None:
        halves = (
            [between] if visit.number == 0 else [between[: cuts[visit.number - 1]], between[cuts[visit.number - 1] :]]
        )
        pieces = [CHUNKED_HEAD, *map(chunked, many), *halves, *map(chunked, many), end]
        site.fields["sent"] = pieces
        await apart(site.wiring, visit, *pieces)

    async def work() -> None:
        site = Site(play)
        async with site.open(hold_ns) as (wiring, there, visits):
            plain = list(range(1, len(many) + 1))
            inside = INSIDE.get(odd, [3])
            for number in range(1, len(cuts) + 2):
                stream = await asked(wiring, there, number, max_tokens=None)
                assert facts(wiring) == ("ok", 200, plain + inside + plain, "stop")
                assert stream.reads == len(site.fields["sent"])
                assert stream.bytes_received == sum(map(len, site.fields["sent"]))
                rows = wiring.tokens(stream)
                reads = [row[3] for row in rows]
                assert reads[: len(plain)] == plain
                assert reads[-len(plain) :] == list(range(stream.reads - 1 - len(plain), stream.reads - 1))
                assert reads == sorted(reads)
                instants = [row[1] for row in rows]
                assert instants == sorted(instants)
                assert all(row[7] for row in [*rows[: len(plain)], *rows[-len(plain) :]])
            assert len({visit.peer for visit in visits}) == 1

    with stamping():
        run(work())


def test_whole_chunks_pass_the_parser_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """It sees the head with what follows it, the first chunk, and the end: what comes between is not fed to it. Nor does the decoder see it
    again, which knows from the first token what the others look like: each is a row as it is read."""
    fed: list[bytes] = []
    decoded: list[bytes] = []
    understand = EventDecoder.feed
    monkeypatch.setattr(
        EventDecoder,
        "feed",
        lambda self, reads: (decoded.extend(payload for payload, *_ in reads), understand(self, reads))[1],
    )
    feed = Framing.feed
    monkeypatch.setattr(Framing, "feed", lambda self, data: (fed.append(data), feed(self, data))[1])
    end = chunked(END + b"data: [DONE]\n\n") + b"0\r\n\r\n"
    pieces = [CHUNKED_HEAD, *(chunked(event("w" * n)) for n in range(1, 40)), end]

    async def play(site: Site, visit: Visit) -> None:
        await apart(site.wiring, visit, *pieces)

    async def work() -> None:
        async with Site(play).open() as (wiring, there, _):
            stream = await asked(wiring, there, max_tokens=None)
            assert facts(wiring) == ("ok", 200, list(range(1, 40)), "stop")
            assert stream.reads == len(pieces)
            assert fed == [CHUNKED_HEAD, pieces[1], end]
            assert decoded == [event("w"), END + b"data: [DONE]\n\n"]

    run(work())


@pytest.mark.parametrize(("max_tokens", "near"), [(None, False), (60, True), (70, False), (3, True)])
def test_an_answer_is_seen_to_be_about_to_end(max_tokens: int | None, near: bool) -> None:
    """However many reads wait to be looked at; and one that ends unawares is not."""
    pieces = [CHUNKED_HEAD, *(chunked(ONE) for _ in range(60)), chunked(END + b"data: [DONE]\n\n") + b"0\r\n\r\n"]

    async def play(site: Site, visit: Visit) -> None:
        await apart(site.wiring, visit, *pieces)

    async def work() -> None:
        async with Site(play).open(hold_ns=20_000_000) as (wiring, there, _):
            stream = await asked(wiring, there, max_tokens=max_tokens)
            assert stream.near_end == near
            assert wiring.transport.poller.gathering.ending == near  # the desk counts down

    run(work())


def test_until_the_connection_closes() -> None:
    """Without a length the end of the connection ends the answer; it counts as ended when its last byte came."""

    async def play(site: Site, visit: Visit) -> None:
        head = TYPE + b"\r\n"
        cut = 7 * visit.number + 3
        await apart(site.wiring, visit, (head + ANSWER)[:cut], (head + ANSWER)[cut:])
        visit.hang_up()

    async def work() -> None:
        async with Site(play).open() as (wiring, there, _):
            for number in range(1, 30):
                stream = await asked(wiring, there, number)
                assert facts(wiring) == ("ok", 200, [3, 5], "stop")
                assert stream.done_ns == stream.last_byte_ns

    run(work())


@pytest.mark.parametrize("joined", [False, True])
def test_continue_comes_before_the_answer(joined: bool) -> None:
    """100 and 103 are no answers: status, headers and limits are those of the answer that follows."""
    before = b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"

    async def play(site: Site, visit: Visit) -> None:
        if joined:
            await apart(site.wiring, visit, b"".join(before) + CHUNKED)
        else:
            await apart(site.wiring, visit, *before, CHUNKED)

    async def work() -> None:
        async with Site(play).open() as (wiring, there, visits):
            for number in (1, 2):
                stream = await asked(wiring, there, number)
                assert facts(wiring) == ("ok", 200, [3, 5], "stop")
                assert [name for name, _ in stream.headers] == [b"content-type", b"transfer-encoding"]
            assert len({visit.peer for visit in visits}) == 1

    run(work())


def test_a_response_without_headers() -> None:
    """A bare status line is a response all the same."""

    async def play(site: Site, visit: Visit) -> None:
        await apart(site.wiring, visit, b"HTTP/1.1 204 No Content\r\n\r\n")

    async def work() -> None:
        async with Site(play).open() as (wiring, there, _):
            await asked(wiring, there)
            assert facts(wiring) == ("truncated", 204, [], None)

    run(work())


def test_trailers_stay_with_their_answer() -> None:
    """Fields after the last chunk are no headers of the next answer on the connection."""

    async def play(site: Site, visit: Visit) -> None:
        await apart(
            site.wiring, visit, CHUNKED[:-2] + b"X-Ratelimit-Limit-Requests: 7\r\n\r\n" if visit.number == 0 else SIZED
        )

    async def work() -> None:
        async with Site(play).open() as (wiring, there, visits):
            await asked(wiring, there, 1)
            stream = await asked(wiring, there, 2)
            assert [outcome for _, outcome in wiring.closed] == ["ok", "ok"]
            assert [name for name, _ in stream.headers] == [b"content-type", b"content-length"]
            assert visits[0].peer == visits[1].peer

    run(work())


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize(
    "fault",
    [b"zz\r\nabc\r\n", b"3\r\nabcdef", b"-1\r\n", b"fffffffffffffffff\r\n"],
    ids=["no hex", "too long", "negative", "huge"],
)
def test_malformed_chunks(fault: bytes, joined: bool) -> None:
    """Framing that is none fails the stream; what came before is kept, status too, in however many reads it came."""
    whole = CHUNKED_HEAD, chunked(ONE), fault

    async def play(site: Site, visit: Visit) -> None:
        await apart(site.wiring, visit, *([b"".join(whole)] if joined else whole))
        await visit.reader.read()
        visit.hang_up()

    async def work() -> None:
        async with Site(play).open() as (wiring, there, _):
            stream = await asked(wiring, there)
            assert facts(wiring) == ("stream_error", 200, [3], None)
            assert stream.failure.error_type == "http_framing"
            assert wiring.transport.connections == 0

    run(work())


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01\x00", b"SSH-2.0-x\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\x00" * 70_000])
def test_no_http_at_all(garbage: bytes) -> None:
    """Whatever speaks there, it is told as a framing error and never as an exception."""

    async def play(site: Site, visit: Visit) -> None:
        await apart(site.wiring, visit, garbage)
        visit.hang_up()

    async def work() -> None:
        async with Site(play).open() as (wiring, there, _):
            await asked(wiring, there)
            assert facts(wiring)[:3] == ("stream_error", None, [])

    run(work())


@pytest.mark.parametrize(
    "extra", [b"X", CHUNKED, b"HTTP/1.1 408 Request Timeout\r\n\r\n"], ids=["byte", "second answer", "408"]
)
@pytest.mark.parametrize("answer", [CHUNKED, SIZED], ids=["chunked", "sized"])
def test_bytes_after_the_answer(answer: bytes, extra: bytes) -> None:
    """The answer stands, no part of what follows is taken for it, and the connection is not used again."""

    async def play(site: Site, visit: Visit) -> None:
        await apart(site.wiring, visit, answer + extra)

    async def work() -> None:
        async with Site(play).open() as (wiring, there, visits):
            for number in (1, 2):
                await asked(wiring, there, number)
                assert facts(wiring) == ("ok", 200, [3, 5], "stop")
            assert visits[0].peer != visits[1].peer
            assert wiring.transport.connections == 0

    run(work())
