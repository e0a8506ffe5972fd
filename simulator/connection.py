"""One client's connection: bytes → requests (httptools), and writes that may not fit the socket's buffer."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
from collections import deque
from dataclasses import dataclass
from typing import Any

import httptools

from simulator.clock import now_ns

READ_BYTES = 1 << 16
BODY_BYTES_MAX = 64 << 20
OUT_BYTES_MAX = 64 << 20
_BLOCKED = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_LINGER_NONE = struct.pack("ii", 1, 0)


class BadHttpError(ValueError):
    """What came is not HTTP/1.1, or too much of it. ``status`` says which."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """Header names in lower case; of a repeated header the last one."""

    method: str
    path: str
    headers: dict[bytes, bytes]
    body: bytes
    keep_alive: bool


class _Reader:
    """httptools' callbacks. ``ready`` collects complete requests; ``expects`` is set while a client waits for 100."""

    def __init__(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        self.ready: list[HttpRequest] = []
        self.expects = False
        self.on_message_begin()

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        self.expects = self._headers.get(b"expect", b"").lower() == b"100-continue"

    def on_body(self, data: bytes) -> None:
        self.expects = False
        self._body_bytes += len(data)
        if self._body_bytes > BODY_BYTES_MAX:
            raise BadHttpError(f"the body is longer than {BODY_BYTES_MAX} bytes", 413)
        self._body.append(data)

    def on_message_complete(self) -> None:
        self.expects = False
        parser = self.parser
        path = httptools.parse_url(self._url).path.decode("latin-1")
        body = b"".join(self._body)
        self.ready.append(
            HttpRequest(parser.get_method().decode(), path, self._headers, body, parser.should_keep_alive())
        )


class Connection:
    """``out`` holds what the socket did not take; while it holds anything, everything goes through it, in order.

    ``idle_since_ns``: right after the last ``recv(2)`` that brought anything, or the end of the last answer, whichever is later.
    """

    __slots__ = (
        "_epoll",
        "_reader",
        "answer",
        "closing",
        "fd",
        "handshaking",
        "idle_since_ns",
        "number",
        "out",
        "requests",
        "send",
        "sock",
    )

    def __init__(self, sock: socket.socket, number: int, epoll: select.epoll) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.number = number
        self.idle_since_ns = now_ns()
        self.send = sock.send
        self.out = bytearray()
        self.requests: deque[tuple[HttpRequest, int]] = deque()
        self.answer: Any = None  # the server's business: what is under way here
        self.closing = False
        self.handshaking = isinstance(sock, ssl.SSLSocket)
        self._epoll = epoll
        self._reader: _Reader | None = _Reader()
        epoll.register(self.fd, select.EPOLLIN)

    def read(self) -> list[HttpRequest] | None:
        """Requests that are complete now, perhaps none; None: the client is gone. Raises :class:`BadHttpError`."""
        if self.handshaking and not self._handshake():
            return []
        try:
            data = self.sock.recv(READ_BYTES)
            if isinstance(self.sock, ssl.SSLSocket):
                # What TLS has decrypted already wakes no epoll.
                while pending := self.sock.pending():
                    data += self.sock.recv(pending)
        except _BLOCKED:
            return []
        except OSError:
            return None
        self.idle_since_ns = now_ns()
        if not data or self._reader is None:
            return None
        return self._feed(self._reader, data)

    def _feed(self, reader: _Reader, data: bytes) -> list[HttpRequest]:
        try:
            reader.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            raise BadHttpError("this server speaks HTTP/1.1 only") from None
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, BadHttpError):
                raise error.__context__ from None
            raise BadHttpError(f"not HTTP/1.1: {error}") from None
        found, reader.ready = reader.ready, []
        return found

    def wants_continue(self) -> bool:
        """True once for a client that holds its body back until it reads 100 Continue."""
        reader = self._reader
        if reader is None or not reader.expects:
            return False
        reader.expects = False
        return True

    def _handshake(self) -> bool:
        assert isinstance(self.sock, ssl.SSLSocket)
        try:
            self.sock.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLWantWriteError:
            self._wait_for_room()
            return False
        except OSError:
            return True  # the recv that follows tells that it is gone
        self.handshaking = False
        return True

    def write(self, data: bytes) -> bool:
        """True if the kernel took all of it at once. Raises OSError when the client is gone or reads nothing for too long."""
        if self.out:
            self.keep(data)
            return False
        try:
            sent = self.send(data)
        except _BLOCKED:
            sent = 0
        if sent == len(data):
            return True
        self.keep(data[sent:])
        return False

    def keep(self, data: bytes) -> None:
        """Holds what could not be sent, in front of anything later."""
        if len(self.out) + len(data) > OUT_BYTES_MAX:
            raise ConnectionAbortedError("the client does not read")
        self.out += data
        self._wait_for_room()

    def _wait_for_room(self) -> None:
        self._epoll.modify(self.fd, select.EPOLLIN | select.EPOLLOUT)

    def flush(self) -> bool:
        """Sends on; True if nothing is held any more. Raises OSError when the client is gone."""
        if self.handshaking and not self._handshake():
            return False
        while self.out:
            try:
                sent = self.send(self.out)
            except _BLOCKED:
                return False
            del self.out[:sent]
        self._epoll.modify(self.fd, select.EPOLLIN)
        return True

    def close(self, *, reset: bool = False, abrupt: bool = False) -> None:
        """``reset``: RST instead of FIN. ``abrupt``: no TLS goodbye."""
        if reset:
            with contextlib.suppress(OSError):
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
        elif not abrupt and isinstance(self.sock, ssl.SSLSocket) and not self.handshaking:
            with contextlib.suppress(OSError, ValueError):
                self.sock.unwrap()
        self._reader = None  # it and its parser hold each other, and the garbage collector sleeps
        self.sock.close()
