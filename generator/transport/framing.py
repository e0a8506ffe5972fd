"""The framing of HTTP/1.1 responses (RFC 9112): what the HTTP parser says of a connection's bytes, kept until the connection asks.

Most reads of a stream of tokens are one whole chunk, and the length of such a read tells what its size line must say. Between two
chunks one comparison then does what the parser does for any read, at a fraction of the cost, and leaves it standing where it stood.
"""

from __future__ import annotations

import httptools

LONGEST = 2048
"""Longer reads are the parser's, and so are size lines with extensions or leading zeros."""


def _size_lines() -> list[tuple[bytes, ...]]:
    lines: list[tuple[bytes, ...]] = [()] * (LONGEST + 1)
    for size in range(1, LONGEST):  # a chunk of no bytes ends the body
        line = b"%x\r\n" % size
        if (length := len(line) + size + 2) <= LONGEST:
            lines[length] = (line, b"%X\r\n" % size)
    return lines


SIZE_LINES = _size_lines()
"""What a read of so many bytes begins with if it is one chunk, in lower and in upper case; nothing where no chunk is so long."""


class Framing:
    """``bodies`` are the pieces of payload since they were last cleared. ``between_chunks``: the next byte begins a size line.
    ``keep``: the connection may serve another request. The connection resets what it has used up."""

    __slots__ = (
        "_chunk_over",
        "_chunked",
        "_informational",
        "between_chunks",
        "bodies",
        "close_delimited",
        "complete",
        "headers",
        "headers_complete",
        "keep",
        "on_body",
        "parser",
    )

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.bodies: list[bytes] = []
        self.on_body = self.bodies.append  # httptools calls it straight: no frame of ours for each chunk
        self.complete = False
        self.keep = False
        self._chunked = False
        self.close_delimited = False  # only the connection's end tells the body's
        self.begin()

    def begin(self) -> None:
        """Before each response."""
        self.headers_complete = False
        self.between_chunks = False
        self._chunk_over = False
        self._informational = False
        self.parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Raises httptools.HttpParserError."""
        self.between_chunks = False
        self.parser.feed_data(data)
        # A size line that is not complete yet has not been told, but does not end so either.
        self.between_chunks = self._chunk_over and not self.complete and data.endswith(b"\r\n")

    def head(self) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Status and headers of a block that is complete, once."""
        headers, self.headers = self.headers, []
        self._chunked = any(n == b"transfer-encoding" and b"chunked" in v.lower() for n, v in headers)
        self.close_delimited = not self._chunked and not any(n == b"content-length" for n, _ in headers)
        return self.parser.get_status_code(), headers

    def ends_with(self, data: bytes, payload: bytes) -> bool:
        """Whether the last byte of ``payload``, or the framing that closes it, is the last of the read ``data``."""
        if self._chunked:
            return not self.complete and data.endswith(payload[-2:] + b"\r\n")
        return data.endswith(payload[-2:])

    # -- what httptools calls; headers are kept until the block is complete ---------------------------------------------

    def on_message_begin(self) -> None:
        if self.complete:
            raise ValueError("bytes after the response")  # before they are taken for a part of it

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.headers_complete:  # a trailer says nothing that is asked for
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._informational = self.parser.get_status_code() < 200
        self.headers_complete = not self._informational

    def on_chunk_header(self) -> None:
        self._chunk_over = False

    def on_chunk_complete(self) -> None:
        self._chunk_over = True

    def on_message_complete(self) -> None:
        if self._informational:
            self._informational = False
            self.headers = []
        else:
            self.complete = True
            # Asked here, because the parser forgets the headers with the message's end.
            self.keep = self.parser.should_keep_alive()
