"""TLS of the socket transport: the session over memory at every split, and what the scenario's keys mean against real servers."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pieces import ANSWER, CHUNKED_HEAD, SIZED, TYPE, asked, at, chunked, event, raw, run, stamping
from wiring import opened

from generator.errors import ScenarioError
from generator.job import Target, Tls
from generator.transport.tls import TlsSession, context

NAME = "api.test"


@pytest.fixture(scope="module", autouse=True)
def _kernel_stamps() -> Iterator[None]:
    with stamping():
        yield


@dataclass(frozen=True)
class Papers:
    """A CA, a certificate that it signed for api.test and 127.0.0.1 with its key, and one that nobody signed."""

    ca: str
    cert: str
    key: str
    other: str
    other_key: str

    def served(self, *, clients: bool = False) -> ssl.SSLContext:
        made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        made.load_cert_chain(self.cert, self.key)
        if clients:
            made.verify_mode = ssl.CERT_REQUIRED
            made.load_verify_locations(self.ca)
        return made


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command to make certificates")
    folder = tmp_path_factory.mktemp("papers")

    def make(name: str, *more: str) -> None:
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", f"{name}.key"]
        subprocess.run([*command, "-out", f"{name}.pem", *more], check=True, capture_output=True, cwd=folder)

    names = f"subjectAltName=DNS:{NAME},IP:127.0.0.1"
    make("ca", "-subj", "/CN=Our CA")
    make("cert", "-subj", f"/CN={NAME}", "-addext", names, "-CA", "ca.pem", "-CAkey", "ca.key")
    make("other", "-subj", "/CN=Stranger", "-addext", names)
    return Papers(*(str(folder / name) for name in ("ca.pem", "cert.pem", "cert.key", "other.pem", "other.key")))


# -- the session, in memory -------------------------------------------------------------------------------------------


class Peer:
    """A server's end over memory."""

    def __init__(self, made: ssl.SSLContext) -> None:
        self.inward, self.outward = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = made.wrap_bio(self.inward, self.outward, server_side=True)

    def handshake(self, data: bytes) -> bytes:
        self.inward.write(data)
        with contextlib.suppress(ssl.SSLError):  # it wants more, or has an alert to send
            self.object.do_handshake()
        return self.outward.read()

    def record(self, plain: bytes) -> bytes:
        self.object.write(plain)
        return self.outward.read()


def shaken(papers: Papers, split: Callable[[bytes], list[bytes]]) -> tuple[TlsSession, Peer]:
    """A client and a server that have shaken hands; what the server says is cut by ``split``."""
    peer = Peer(papers.served())
    client = TlsSession(context(Tls(ca=papers.ca)), NAME, None)
    out, done, error = client.handshake(b"")
    while out:
        flight, out = peer.handshake(out), b""
        for piece in split(flight):
            if done:
                client.decrypt(piece)  # session tickets come after the handshake
                continue
            more, done, error = client.handshake(piece)
            assert error is None
            out += more
    assert done
    return client, peer


@pytest.mark.parametrize("size", [1, 3, 7, 100_000])
def test_a_handshake_in_any_pieces(papers: Papers, size: int) -> None:
    """However the server's flights are cut, the handshake ends, and both can speak."""
    client, peer = shaken(papers, lambda data: [data[i : i + size] for i in range(0, len(data), size)])
    peer.inward.write(client.encrypt(b"ask"))
    assert peer.object.read(9) == b"ask"
    assert client.decrypt(peer.record(b"answer")) == (b"answer", True, None)


def test_whole_says_that_nothing_of_a_later_record_was_read(papers: Papers) -> None:
    """For every split of two records: true exactly where a record ends the read. OpenSSL itself does not tell."""
    client, peer = shaken(papers, lambda data: [data])
    lengths = len(peer.record(b"first")), len(peer.record(b"second"))
    client, peer = shaken(papers, lambda data: [data])
    for cut in range(1, sum(lengths)):
        both = peer.record(b"first") + peer.record(b"second")
        plain, whole, end = client.decrypt(both[:cut])
        assert (whole, end) == (cut == lengths[0], None)
        assert plain == (b"first" if cut >= lengths[0] else b"")
        plain, whole, end = client.decrypt(both[cut:])
        assert (whole, end) == (True, None)
        assert plain == (b"second" if cut >= lengths[0] else b"firstsecond")


def test_a_closing_alert_comes_with_what_was_read_before_it(papers: Papers) -> None:
    """The plaintext is given, and the end with it: neither is swallowed."""
    client, peer = shaken(papers, lambda data: [data])
    last = peer.record(b"last")
    with pytest.raises(ssl.SSLWantReadError):
        peer.object.unwrap()
    assert client.decrypt(last + peer.outward.read()) == (b"last", False, "")
    assert client.closed


def test_a_damaged_record_is_an_error_in_words(papers: Papers) -> None:
    """The reason is OpenSSL's, and the stream did not end well."""
    client, peer = shaken(papers, lambda data: [data])
    damaged = bytearray(peer.record(b"bad"))
    damaged[-1] ^= 1
    plain, whole, end = client.decrypt(bytes(damaged))
    assert (plain, whole) == (b"", False)
    assert end
    assert not client.closed


@pytest.mark.parametrize(("field", "text"), [("ca", "tls.ca"), ("cert", "tls.cert")])
def test_files_that_cannot_be_used(tmp_path: Path, field: str, text: str) -> None:
    """Missing or no PEM: the key of the scenario and the file are named."""
    with pytest.raises(ScenarioError, match=rf"{text}.*gone\.pem"):
        context(Tls(**{field: str(tmp_path / "gone.pem")}))
    (tmp_path / "gone.pem").write_text("no PEM")
    with pytest.raises(ScenarioError, match=rf"{text}.*gone\.pem"):
        context(Tls(**{field: str(tmp_path / "gone.pem")}))


# -- the transport ------------------------------------------------------------------------------------------------------


class Server:
    """Says ``words`` after each request's head; remembers names asked for, and which sessions were resumed."""

    def __init__(self, made: ssl.SSLContext, *words: bytes, close: bool = False) -> None:
        self.names: list[str | None] = []
        self.resumed: list[bool] = []
        self.certificates: list[Any] = []
        self.made = made
        self.made.sni_callback = lambda _sock, name, _made: self.names.append(name)
        self.words = words
        self.close = close

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tls = writer.get_extra_info("ssl_object")
        self.resumed.append(tls.session_reused)
        self.certificates.append(tls.getpeercert())
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]))
                for word in self.words:
                    writer.write(word)
                    await asyncio.sleep(0.005)
                if self.close:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def ask(server: Server, count: int = 1, name: str = "127.0.0.1", **fields: Any) -> list[tuple[Any, str, list[Any]]]:
    """``count`` requests in turn: stream, outcome and rows of each."""
    found: list[tuple[Any, str, list[Any]]] = []

    async def work() -> None:
        started = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=server.made)
        port = started.sockets[0].getsockname()[1]
        there: Target = at(port, url=f"https://{name}:{port}/v1", **fields)
        async with opened("socket", there) as wiring:
            for number in range(1, count + 1):
                stream = await asked(wiring, there, number)
                found.append((stream, wiring.closed[-1][1], wiring.tokens(stream)))
            assert wiring.transport.process_stamps == 0
        started.close()

    run(work())
    return found


def test_the_name_is_that_of_the_url_or_of_the_scenario(papers: Papers) -> None:
    """``tls.server_name`` is asked for and verified in place of the URL's host; an address is verified as one."""
    server = Server(papers.served(), SIZED)
    trusted = Tls(ca=papers.ca)
    assert [o for _, o, _ in ask(server, tls=trusted)] == ["ok"]
    assert [o for _, o, _ in ask(server, tls=Tls(ca=papers.ca, server_name=NAME))] == ["ok"]
    assert server.names == [None, NAME]
    ((stream, outcome, _),) = ask(server, tls=Tls(ca=papers.ca, server_name="else.test"))
    assert (outcome, stream.failure.error_type) == ("connect_error", "tls")
    assert "else.test" in stream.failure.error_message


def test_a_client_certificate(papers: Papers) -> None:
    """Shown where the target asks for one; without it the request fails with the alert's words, whenever that comes."""
    server = Server(papers.served(clients=True), SIZED)
    shown = Tls(ca=papers.ca, cert=papers.cert, key=papers.key)
    assert [o for _, o, _ in ask(server, tls=shown)] == ["ok"]
    assert dict(entry[0] for entry in server.certificates[0]["subject"])["commonName"] == NAME


def test_a_missing_client_certificate(papers: Papers) -> None:
    """TLS 1.3 tells only after the request was sent: a refusal to connect all the same, in the alert's words, and never sent again."""
    visits = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal visits
        visits += 1
        peer = Peer(papers.served(clients=True))
        while data := await reader.read(65_536):
            writer.write(peer.handshake(data))
        writer.close()

    async def work() -> None:
        async with raw(serve) as port:
            there = at(port, url=f"https://127.0.0.1:{port}/v1", tls=Tls(ca=papers.ca))
            async with opened("socket", there) as wiring:
                stream = await asked(wiring, there)
                assert (wiring.closed[0][1], stream.failure.error_type) == ("connect_error", "tls")
                assert "CERTIFICATE" in stream.failure.error_message.upper()
                assert (visits, stream.resent) == (1, False)

    run(work())


def test_sessions(papers: Papers) -> None:
    """``per-request`` resumes a session, as clients with many connections do; ``cold`` begins anew each time; ``reuse`` needs one
    handshake."""
    for connections, expected in (("per-request", [False, True, True]), ("cold", [False] * 3), ("reuse", [False])):
        server = Server(papers.served(), SIZED)
        found = ask(server, 3, tls=Tls(ca=papers.ca), connections=connections)
        assert [o for _, o, _ in found] == ["ok"] * 3
        assert server.resumed == expected, connections


def test_exactness_under_tls(papers: Papers) -> None:
    """A record that ends its read with an event is exact; two in one read are exact for the last alone."""
    one, two = chunked(event("one")), chunked(event("three"))
    server = Server(papers.served(), CHUNKED_HEAD, one, two, chunked(event("", "stop")), b"0\r\n\r\n")
    ((_, outcome, rows),) = ask(server, tls=Tls(ca=papers.ca))
    assert (outcome, [row[7] for row in rows]) == ("ok", [1, 1])
    server = Server(papers.served(), CHUNKED_HEAD, one + two, chunked(event("", "stop")), b"0\r\n\r\n")
    ((_, outcome, rows),) = ask(server, tls=Tls(ca=papers.ca))
    assert (outcome, [row[7] for row in rows]) == ("ok", [0, 1])


def test_an_answer_that_the_closing_alert_ends(papers: Papers) -> None:
    """Without a length, the alert says that the answer is whole, also when it comes in the read of the last bytes."""
    server = Server(papers.served(), TYPE + b"\r\n" + ANSWER, close=True)
    assert [o for _, o, _ in ask(server, 3, tls=Tls(ca=papers.ca))] == ["ok"] * 3


def test_an_answer_that_only_the_connection_ends(papers: Papers) -> None:
    """Without a length and without the alert anyone may have cut it (RFC 9112, 9.8): truncated, although the API's mark is there."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(papers.served())
        asked_for = b""
        while not asked_for:
            writer.write(peer.handshake(await reader.read(65_536)))
            with contextlib.suppress(ssl.SSLWantReadError):
                asked_for = peer.object.read(65_536)
        writer.write(peer.record(TYPE + b"\r\n" + ANSWER))
        writer.close()

    async def work() -> None:
        async with raw(serve) as port:
            there = at(port, url=f"https://127.0.0.1:{port}/v1", tls=Tls(ca=papers.ca))
            async with opened("socket", there) as wiring:
                stream = await asked(wiring, there)
                assert wiring.closed[0][1] == "truncated"
                assert [row[4] for row in wiring.tokens(stream)] == [3, 5]

    run(work())


@pytest.mark.parametrize("words", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"], ids=["closes", "speaks HTTP"])
def test_a_port_that_speaks_no_tls(words: bytes) -> None:
    """Told as a failure to connect, with a reason a person can follow."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.write(words)
        writer.close()

    async def work() -> None:
        async with raw(serve) as port:
            there = at(port, url=f"https://127.0.0.1:{port}/v1")
            async with opened("socket", there) as wiring:
                stream = await asked(wiring, there)
                assert wiring.closed[0][1] == "connect_error"
                assert stream.failure.error_message
                assert stream.sent_ns is None

    run(work())
