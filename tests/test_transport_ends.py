"""How connections of the socket transport end, and which are used again."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest
from pieces import CHUNKED, CHUNKED_HEAD, SIZED, TYPE, Site, abort, apart, asked, at, run
from wiring import Visit, opened

from generator.transport.socket import IDLE_NS


@pytest.mark.parametrize("cut", [1, 20, len(TYPE), len(CHUNKED_HEAD), len(CHUNKED_HEAD) + 40, len(CHUNKED) - 1])
@pytest.mark.parametrize("how", ["closed", "reset"])
def test_cut_off(cut: int, how: str) -> None:
    """An answer that ends before its framing does is truncated, with the rows that were whole, and is not asked for again."""

    async def play(site: Site, visit: Visit) -> None:
        await apart(site.wiring, visit, CHUNKED[:cut])
        if how == "reset":
            abort(visit)
        visit.hang_up()

    async def work() -> None:
        async with Site(play).open() as (wiring, there, visits):
            stream = await asked(wiring, there)
            assert wiring.closed[-1][1] == "truncated"
            assert stream.failure.error_type == how
            assert stream.status == (200 if cut >= len(CHUNKED_HEAD) else None)
            assert len(wiring.tokens(stream)) == (2 if cut == len(CHUNKED) - 1 else 0)
            assert len(visits) == 1

    run(work())


def test_a_second_death_is_a_failure() -> None:
    """Once on a new connection, and no more: the schedule is kept, the row says resent and why it failed."""

    async def play(site: Site, visit: Visit) -> None:
        if visit.number == 0:
            await apart(site.wiring, visit, SIZED)
        else:
            visit.hang_up()

    async def work() -> None:
        async with Site(play).open() as (wiring, there, visits):
            await asked(wiring, there, 1)
            stream = wiring.stream(there, 2)
            due_ns = stream.scheduled_ns
            wiring.transport.send(stream)
            await wiring.until_closed(2)
            assert (wiring.closed[1][1], stream.resent, stream.scheduled_ns) == ("truncated", True, due_ns)
            assert "before any byte" in stream.failure.error_message
            assert len(visits) == 3

    run(work())


def test_a_death_after_the_first_byte_is_not_sent_again() -> None:
    """The target has begun to answer, so it has acted: a second request would be another one."""

    async def play(site: Site, visit: Visit) -> None:
        await apart(site.wiring, visit, SIZED if visit.number == 0 else b"H")
        if visit.number:
            visit.hang_up()

    async def work() -> None:
        async with Site(play).open() as (wiring, there, visits):
            await asked(wiring, there, 1)
            stream = await asked(wiring, there, 2)
            assert (wiring.closed[1][1], stream.resent, len(visits)) == ("truncated", False, 2)

    run(work())


def test_a_reset_that_the_send_meets() -> None:
    """The connection was reset while idle and the send is the first to notice: still a silent death, so it is sent again."""

    async def work() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.setblocking(False)
            there = at(server.getsockname()[1])

            async def answered() -> socket.socket:
                peer, _ = await loop.sock_accept(server)
                await loop.sock_recv(peer, 65_536)
                await loop.sock_sendall(peer, SIZED)
                return peer

            async with opened("socket", there) as wiring:
                wiring.transport.send(wiring.stream(there, 1))
                peer = await answered()
                await wiring.until_closed(1)
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                peer.close()
                stream = wiring.stream(there, 2)
                due_ns = stream.scheduled_ns
                wiring.transport.send(stream)  # no turn of the poller between the reset and this
                assert wiring.closed[1:] == []
                peer = await answered()
                await wiring.until_closed(2)
                peer.close()
                assert (wiring.closed[1][1], stream.resent, stream.scheduled_ns) == ("ok", True, due_ns)
                assert stream.connected_ns is not None

    run(work())


@pytest.mark.parametrize(
    "words", [b"", b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"], ids=["closed", "said 408"]
)
def test_an_idle_connection_ends_in_silence(words: bytes) -> None:
    """A target that ends an idle connection, with words or without, costs nothing: the next request takes a new one, unmarked."""
    let_go = asyncio.Event()

    async def play(site: Site, visit: Visit) -> None:
        await apart(site.wiring, visit, SIZED)
        if visit.number == 0:
            await let_go.wait()
            visit.writer.write(words)
            visit.hang_up()

    async def work() -> None:
        async with Site(play).open() as (wiring, there, _):
            await asked(wiring, there, 1)
            assert wiring.transport.connections == 1
            let_go.set()
            await wiring.until(lambda: wiring.transport.connections == 0)
            assert wiring.transport.idle == []
            stream = await asked(wiring, there, 2)
            assert (wiring.closed[1][1], stream.resent) == ("ok", False)

    run(work())


def test_idle_connections_age() -> None:
    """What has been idle for 4 s is closed, for servers close at 5; what has not is kept."""

    async def play(site: Site, visit: Visit) -> None:
        await apart(site.wiring, visit, SIZED)

    async def work() -> None:
        async with Site(play).open() as (wiring, there, _):
            await asked(wiring, there)
            idle = wiring.transport.idle[0]
            wiring.transport.sweep(idle.idle_since_ns + IDLE_NS)
            assert wiring.transport.idle == [idle]
            wiring.transport.sweep(idle.idle_since_ns + IDLE_NS + 1)
            assert (wiring.transport.idle, wiring.transport.connections) == ([], 0)

    run(work())


def test_last_in_first_out() -> None:
    """Of several idle connections the one that was used last is taken, so that the others age and go."""
    turn = [asyncio.Event(), asyncio.Event()]

    async def play(site: Site, visit: Visit) -> None:
        if visit.number < 2:
            await turn[visit.number].wait()
        await apart(site.wiring, visit, SIZED)

    async def work() -> None:
        async with Site(play).open() as (wiring, there, visits):
            wiring.transport.send(wiring.stream(there, 1))
            wiring.transport.send(wiring.stream(there, 2))
            await wiring.until(lambda: len(visits) == 2)
            for first_done, event in enumerate(reversed(turn)):
                event.set()
                await wiring.until_closed(first_done + 1)
            await asked(wiring, there, 3)
            assert visits[2].peer == visits[0].peer

    run(work())
