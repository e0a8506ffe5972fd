"""Which stamps the socket transport may call exact, and what it does where the kernel gives none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pieces import CHUNKED_HEAD, END, ONE, SIZED, TWO, TYPE, Site, apart, asked, chunked, event, run, stamping
from wiring import Visit

from generator import clock
from generator.transport import connection as connection_module
from generator.transport import socket as socket_module


@pytest.fixture(scope="module", autouse=True)
def _kernel_stamps() -> Iterator[None]:
    with stamping():
        yield


@pytest.mark.parametrize(
    ("pieces", "exact"),
    [
        ((CHUNKED_HEAD, chunked(ONE), chunked(TWO), chunked(END), b"0\r\n\r\n"), [1, 1]),
        ((CHUNKED_HEAD, chunked(ONE, TWO), chunked(END), b"0\r\n\r\n"), [0, 1]),
        ((CHUNKED_HEAD, chunked(ONE), chunked(TWO, END) + b"0\r\n\r\n"), [1, 0]),
        ((CHUNKED_HEAD, chunked(ONE)[:-2], b"\r\n" + chunked(TWO), chunked(END) + b"0\r\n\r\n"), [0, 1]),
        ((CHUNKED_HEAD, chunked(ONE)[:-2] + b"\r", b"\n" + chunked(TWO) + b"4", b"7\r\n"), [0, 0]),
        ((CHUNKED_HEAD, chunked(ONE[:9]), chunked(ONE[9:]), chunked(TWO), chunked(END) + b"0\r\n\r\n"), [1, 1]),
        ((CHUNKED_HEAD, chunked(ONE), chunked(TWO) + b"0\r\n\r\n"), [1, 0]),
        ((SIZED[: SIZED.index(TWO)], TWO, END + b"data: [DONE]\n\n"), [1, 1]),
        ((SIZED[: SIZED.index(TWO) + 9], TWO[9:], END + b"data: [DONE]\n\n"), [0, 1]),
    ],
    ids=[
        "each alone",
        "two in a read",
        "read with what follows",
        "its end in the next read",
        "its end and more",
        "in two reads",
        "read with the last chunk",
        "sized",
        "sized, read with a part",
    ],
)
def test_which_stamps_are_exact(pieces: tuple[bytes, ...], exact: list[int]) -> None:
    """A stamp is that of a read's last byte: exact only for the event which, with the framing that closes it, ends its read."""

    async def play(site: Site, visit: Visit) -> None:
        await apart(site.wiring, visit, *pieces)
        visit.hang_up()

    async def work() -> None:
        async with Site(play).open() as (wiring, there, _):
            stream = await asked(wiring, there)
            rows = wiring.tokens(stream)
            assert [row[7] for row in rows] == exact
            assert stream.stamp_source == "kernel"
            assert wiring.transport.process_stamps == 0

    run(work())


@pytest.mark.parametrize(
    ("pieces", "shared"),
    [
        ((CHUNKED_HEAD, chunked(ONE), chunked(TWO), chunked(END), b"0\r\n\r\n"), False),
        ((CHUNKED_HEAD, chunked(ONE) + chunked(TWO), chunked(END) + b"0\r\n\r\n"), False),
        ((CHUNKED_HEAD + chunked(ONE) + chunked(ONE), chunked(TWO), chunked(END) + b"0\r\n\r\n"), False),
        ((CHUNKED_HEAD, chunked(ONE) * 6, chunked(END) + b"0\r\n\r\n"), True),
        ((CHUNKED_HEAD, chunked(ONE), chunked(TWO) * 2, chunked(END) + b"0\r\n\r\n"), True),
        ((CHUNKED_HEAD, chunked(ONE), chunked(TWO) + chunked(END) + b"0\r\n\r\n"), False),
        ((CHUNKED_HEAD, chunked(ONE), chunked(TWO) * 4 + chunked(END) + b"0\r\n\r\n"), True),
    ],
    ids=[
        "apart",
        "the start together",
        "the start with the head",
        "tokens together from the start",
        "tokens together",
        "the end together",
        "tokens together with the end",
    ],
)
def test_tokens_that_share_a_read_say_so_but_a_start_or_an_end_does_not(
    pieces: tuple[bytes, ...], shared: bool
) -> None:
    """Tokens closer than reads forbid to gather what comes; whose words they are comes with any first token, finish reason, usage and
    [DONE] follow any last one at once."""

    async def play(site: Site, visit: Visit) -> None:
        await apart(site.wiring, visit, *pieces)
        visit.hang_up()

    async def work() -> None:
        async with Site(play).open() as (wiring, there, _):
            await asked(wiring, there)
            assert bool(wiring.transport.poller.gathering.shared_ns) == shared

    run(work())


def test_a_read_that_filled_its_buffer_is_not_exact() -> None:
    """More had arrived than was read, so the stamp may be that of a later byte."""
    head = TYPE + b"Content-Length: %d\r\n\r\n"
    room = connection_module.RECV_BYTES - len(head % 99_999) - len(event(""))
    first = event("x" * (room - len(event("x")) + len(event("")) + 1))
    body = first + TWO + END

    async def play(site: Site, visit: Visit) -> None:
        answer = head % len(body) + body
        assert answer[: connection_module.RECV_BYTES].endswith(first)
        await apart(site.wiring, visit, answer)

    async def work() -> None:
        async with Site(play).open() as (wiring, there, _):
            stream = await asked(wiring, there)
            assert [(row[3], row[7]) for row in wiring.tokens(stream)] == [(0, 0), (1, 0)]

    run(work())


def test_a_read_without_a_stamp_is_stamped_here_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """MSG_CTRUNC or no message at all: the time is the process's, the read is counted, and no chunk of it is exact."""
    monkeypatch.setattr(connection_module, "ANCILLARY_BYTES", 0)

    async def play(site: Site, visit: Visit) -> None:
        await apart(site.wiring, visit, CHUNKED_HEAD, chunked(ONE), chunked(TWO), chunked(END), b"0\r\n\r\n")

    async def work() -> None:
        async with Site(play).open() as (wiring, there, _):
            began_ns = clock.monotonic_ns()
            stream = await asked(wiring, there)
            assert wiring.transport.process_stamps == wiring.transport.reads == 5
            rows = wiring.tokens(stream)
            assert [row[7] for row in rows] == [0, 0]
            assert began_ns < rows[0][1] < rows[1][1] < clock.monotonic_ns()

    run(work())


def test_a_platform_without_stamps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the option is refused the run says ``process``, and none of its stamps is called exact."""
    monkeypatch.setattr(socket_module, "SO_TIMESTAMPNS", 9_999)

    async def play(site: Site, visit: Visit) -> None:
        await apart(site.wiring, visit, CHUNKED_HEAD, chunked(ONE, TWO), chunked(END), b"0\r\n\r\n")

    async def work() -> None:
        async with Site(play).open() as (wiring, there, _):
            stream = await asked(wiring, there)
            assert stream.stamp_source == "process"
            assert [row[7] for row in wiring.tokens(stream)] == [0, 0]
            assert wiring.transport.take_read_lags_ns() == []

    run(work())
