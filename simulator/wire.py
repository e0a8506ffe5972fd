"""HTTP/1.1 as bytes: heads, chunks, whole answers; and the event of a stream."""

from __future__ import annotations

from typing import Any

import orjson

from simulator.clock import http_date

Headers = list[tuple[bytes, bytes]]

JSON = b"application/json"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"

_REASONS = {
    200: b"OK",
    400: b"Bad Request",
    401: b"Unauthorized",
    402: b"Payment Required",
    404: b"Not Found",
    405: b"Method Not Allowed",
    413: b"Content Too Large",
    429: b"Too Many Requests",
    500: b"Internal Server Error",
    503: b"Service Unavailable",
    529: b"Site Overloaded",
}


def head(status: int, headers: Headers) -> bytes:
    lines = [
        b"HTTP/1.1 %d %b" % (status, _REASONS[status]),
        b"server: openloop-simulator",
        b"date: " + http_date(),
    ]
    lines += [b"%b: %b" % header for header in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def whole(status: int, body: bytes, headers: Headers, *, keep_alive: bool, content_type: bytes = JSON) -> bytes:
    """A whole answer with its length."""
    lines = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *headers]
    if not keep_alive:
        lines.append((b"connection", b"close"))
    return head(status, lines) + body


def chunk(payload: bytes) -> bytes:
    """One HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)


def sse(event: Any, name: str = "") -> bytes:
    """One server-sent event whose data is JSON; ``name`` becomes its ``event:`` line."""
    data = b"data: %b\n\n" % orjson.dumps(event)
    return b"event: %b\n%b" % (name.encode(), data) if name else data
