"""Requests on their way: slow readers, early answers, what fails before a byte is sent, which address is taken."""

from __future__ import annotations

import asyncio
import errno
import socket
from types import SimpleNamespace
from typing import Any

import pytest
from pieces import SIZED, Site, apart, asked, at, raw, run
from wiring import Visit, opened

from generator.errors import TargetError
from generator.transport import connection as connection_module

LONG = "word " * 1_000_000


def test_a_slow_reader_gets_it_all() -> None:
    """Five megabytes to a target that reads late and little: the rest waits for the socket, and arrives once, in order."""
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
        body = b""
        while len(body) < length:
            body += await reader.read(50_000)
            if len(body) < 500_000:
                await asyncio.sleep(0.005)
        got.append(body)
        writer.write(SIZED)

    async def work() -> None:
        async with raw(serve) as port:
            there = at(port)
            async with opened("socket", there) as wiring:
                stream = await asked(wiring, there, prompt=LONG)
                assert wiring.closed[0][1] == "ok"
                assert got == [stream.encoded.body]
                assert len(wiring.transport.idle) == 1

    run(work())


@pytest.mark.parametrize("end", ["waits", "closes", "resets"])
def test_an_answer_before_the_request_was_sent(end: str) -> None:
    """A target may refuse a long request after its head: the 413 is the outcome, not the write that fails, and the connection
    is not used again."""
    refusal = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\n\r\ntoo long"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(refusal)
        await writer.drain()
        if end == "waits":
            await asyncio.sleep(5)
        elif end == "resets":
            await asyncio.sleep(0.05)
        writer.close()

    async def work() -> None:
        async with raw(serve) as port:
            there = at(port)
            async with opened("socket", there) as wiring:
                stream = await asked(wiring, there, prompt=LONG)
                assert (wiring.closed[0][1], stream.status) == ("client_error", 413)
                assert stream.failure.error_message == "too long"
                assert wiring.transport.connections == 0

    run(work())


def test_no_descriptor_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket that cannot be made is that request's failure, in the kernel's words; the issuer never sees an exception."""

    async def work() -> None:
        there = at(9)
        async with opened("socket", there) as wiring:

            def refuse(*_: Any) -> None:
                raise OSError(errno.EMFILE, "Too many open files")

            stream = wiring.stream(there)
            with monkeypatch.context() as patched:
                patched.setattr(connection_module.socket, "socket", refuse)
                wiring.transport.send(stream)
            assert wiring.left == []
            await wiring.until_closed(1)
            assert wiring.closed[0][1] == "connect_error"
            assert "Too many open files" in stream.failure.error_message
            assert wiring.transport.connections == 0

    run(work())


def test_a_connect_that_fails_at_once() -> None:
    """No route is told from the loop, after send() has returned, and leaves no connection behind."""

    async def work() -> None:
        there = at(9)
        async with opened("socket", there) as wiring:
            wiring.transport._addresses = [(socket.AF_INET, ("255.255.255.255", 9))]
            stream = wiring.stream(there)
            wiring.transport.send(stream)
            await wiring.until_closed(1)
            assert (wiring.closed[0][1], stream.failure.error_type) == ("connect_error", "connect")
            assert wiring.transport.connections == 0

    run(work())


def test_ipv6() -> None:
    """A literal IPv6 host, with its brackets in the Host header."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(SIZED)

    async def work() -> None:
        try:
            server = raw(serve, "::1")
            port = await server.__aenter__()
        except OSError as e:
            pytest.skip(f"no IPv6 loopback here: {e}")
        there = at(port, url=f"http://[::1]:{port}/v1")
        async with opened("socket", there) as wiring:
            stream = await asked(wiring, there)
            assert (wiring.closed[0][1], stream.remote_addr) == ("ok", "::1")
        await server.__aexit__(None, None, None)
        assert b"Host: [::1]:%d\r\n" % port in heads[0]

    run(work())


async def prompt(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(SIZED)


def hosts(port: int, *last: int) -> list[Any]:
    """The addresses 127.0.0.N, as a look-up of the target's name gives them."""
    return [(socket.AF_INET, (f"127.0.0.{n}", port)) for n in last]


def test_addresses_take_turns() -> None:
    """New connections go round the addresses of the name."""

    async def work() -> None:
        async with raw(prompt, "0.0.0.0") as port:
            there = at(port, connections="per-request")
            async with opened("socket", there) as wiring:
                wiring.transport._addresses = hosts(port, 1, 2)
                streams = [await asked(wiring, there, n) for n in range(1, 5)]
                assert [s.remote_addr for s in streams] == ["127.0.0.1", "127.0.0.2"] * 2

    run(work())


@pytest.mark.parametrize("listening", [1, 2, 3])
def test_an_address_that_refuses_is_passed_over(listening: int) -> None:
    """A name with several addresses of which one answers fails no request; what refused is not asked again before the next look-up."""
    tried: list[str] = []

    async def work() -> None:
        async with raw(prompt, f"127.0.0.{listening}") as port:
            there = at(port, connections="per-request")
            async with opened("socket", there) as wiring:
                wiring.transport._addresses = hosts(port, 1, 2, 3)
                connect = wiring.transport._connect

                def watched(*args: Any) -> Any:
                    connection = connect(*args)
                    tried.append(connection.address[0])
                    return connection

                wiring.transport._connect = watched
                streams = [await asked(wiring, there, n) for n in range(1, 7)]
                assert [outcome for _, outcome in wiring.closed] == ["ok"] * 6
                assert {s.remote_addr for s in streams} == {f"127.0.0.{listening}"}
                assert all(s.issued_ns <= s.connected_ns <= s.sent_ns for s in streams)
                assert len(tried) <= 6 + 2, "each of the two others at most once"
                await wiring.transport._resolve()
                assert not wiring.transport._refused
                assert wiring.transport.connections == 0

    run(work())


def test_an_address_of_a_family_that_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name may have an IPv6 address where the kernel makes no such sockets: it is as if it had none."""
    made = socket.socket

    def limited(family: int = socket.AF_INET, *rest: Any, **more: Any) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return made(family, *rest, **more)

    async def both(_: str, port: int, **__: Any) -> list[Any]:
        places = ((socket.AF_INET6, ("::1", port, 0, 0)), (socket.AF_INET, ("127.0.0.1", port)))
        return [(family, socket.SOCK_STREAM, 6, "", place) for family, place in places]

    async def work() -> None:
        async with raw(prompt) as port:
            there = at(port, connections="per-request")
            async with opened("socket", there) as wiring:
                wiring.transport._loop = SimpleNamespace(getaddrinfo=both)
                monkeypatch.setattr(connection_module.socket, "socket", limited)
                await wiring.transport._resolve()
                for number in range(4):
                    await asked(wiring, there, number)
                monkeypatch.undo()
                assert [outcome for _, outcome in wiring.closed] == ["ok"] * 4

    run(work())


def test_all_addresses_refuse() -> None:
    """Each is tried once, by every request anew, before it fails; the message names them all."""

    async def work() -> None:
        with socket.socket() as unused:
            unused.bind(("0.0.0.0", 0))
            port = unused.getsockname()[1]
            there = at(port)
            async with opened("socket", there) as wiring:
                wiring.transport._addresses = [(socket.AF_INET, ("255.255.255.255", port)), *hosts(port, 1, 2)]
                for number in (1, 2):
                    stream = await asked(wiring, there, number)
                    assert (wiring.closed[-1][1], stream.failure.error_type) == ("connect_error", "connect")
                    assert stream.sent_ns is None
                    for address in ("127.0.0.1", "127.0.0.2", "255.255.255.255"):
                        assert stream.failure.error_message.count(f"{address} port {port}: ") == 1
                assert wiring.transport.connections == 0

    run(work())


def test_cold_looks_the_name_up_each_time() -> None:
    """``cold`` resolves for every request; a name that is gone is that request's failure."""
    lookups = 0

    async def play(site: Site, visit: Visit) -> None:
        await apart(site.wiring, visit, SIZED)

    async def work() -> None:
        nonlocal lookups
        async with Site(play, connections="cold").open() as (wiring, there, visits):
            resolve = wiring.transport._resolve

            async def counted() -> None:
                nonlocal lookups
                lookups += 1
                if lookups == 3:
                    raise TargetError("gone")
                await resolve()

            wiring.transport._resolve = counted
            for number in (1, 2, 3):
                await asked(wiring, there, number)
            assert [outcome for _, outcome in wiring.closed] == ["ok", "ok", "connect_error"]
            assert wiring.closed[2][0].failure.error_type == "dns"
            assert (lookups, len({visit.peer for visit in visits})) == (3, 2)

    run(work())
