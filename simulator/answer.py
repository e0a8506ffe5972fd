"""One answer under way: which bytes its next event is. No clock, no socket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from simulator import encode
from simulator.connection import Connection
from simulator.model import Sequence

BROKEN = "The server had an error while it answered"


@dataclass(frozen=True, slots=True)
class Shape:
    """What an answer is made of, decided when it was admitted."""

    ident: str
    created: int
    form: encode.Form
    streamed: bool
    input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    tokens_per_chunk: int
    finish_reason: str
    fault: str | None
    headers: encode.Headers
    keep_alive: bool

    @property
    def events(self) -> int:
        return -(-self.output_tokens // self.tokens_per_chunk)

    @property
    def reasoning_events(self) -> int:
        return -(-self.reasoning_tokens // self.tokens_per_chunk)

    @property
    def fault_at(self) -> int:
        return max(1, self.events // 2)

    def counts(self) -> dict[str, Any]:
        return encode.usage(self.input_tokens, self.output_tokens, self.reasoning_tokens)


class Answer:
    """``index`` is the next content event. Until it reaches ``special`` an event is ``size + head + tail`` of ``words`` and
    nothing else happens: the server's hot path. At ``special`` something does: the first, a turn of pools, a fault, the last.
    """

    __slots__ = (
        "_specials",
        "connection",
        "head",
        "head_sent",
        "index",
        "number",
        "pool",
        "row",
        "sequence",
        "shape",
        "special",
        "word",
        "words",
    )

    def __init__(self, connection: Connection, number: int, shape: Shape, row: dict[str, Any]) -> None:
        self.connection = connection
        self.number = number
        self.shape = shape
        self.row = row
        self.sequence: Sequence | None = None
        self.index = 0
        self.head_sent = False
        self.word = (number * 7) & encode.POOL_MASK
        marks = {0, shape.events - 1, shape.reasoning_events}
        if shape.fault is not None:
            marks.add(shape.fault_at)
        self._specials = sorted(mark for mark in marks if mark < shape.events)
        self.special = self._specials.pop(0)
        self._use(shape.form.reasoning if shape.reasoning_events else shape.form.content)

    def _use(self, pool: encode.Pool) -> None:
        self.pool = pool
        self.words = pool.words
        self.head = self.shape.form.event_head(self.shape.ident, self.shape.created, pool)

    def event(self) -> bytes:
        """The bytes of event ``index``."""
        place = (self.word + self.index) & encode.POOL_MASK
        shape = self.shape
        if self.index == shape.events - 1 and shape.tokens_per_chunk > 1:
            words = self._text(self.index, self.pool)
            return shape.form.text(shape.ident, shape.created, self.pool, words)
        size, tail = self.words[place]
        return size + self.head + tail

    def _text(self, index: int, pool: encode.Pool) -> str:
        shape = self.shape
        text = pool.texts[(self.word + index) & encode.POOL_MASK]
        missing = shape.events * shape.tokens_per_chunk - shape.output_tokens if index == shape.events - 1 else 0
        return text.rsplit(" ", missing)[0] if missing else text

    def turn(self) -> None:
        """Call at ``special``, before the event: takes the pool that is due and looks for the next special."""
        shape = self.shape
        if not shape.streamed:
            self.special = self.index + 1
            return
        if self.index == shape.reasoning_events and self.pool is not shape.form.content:
            self._use(shape.form.content)
        self.special = self._specials.pop(0) if self._specials else shape.events

    def last(self) -> bool:
        return self.index >= self.shape.events

    def stream_head(self, processing_ms: int) -> bytes:
        """Status line, headers and the role event: one write."""
        shape = self.shape
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
        headers.append((b"transfer-encoding", b"chunked") if shape.form.chunked else (b"connection", b"close"))
        if shape.form.chunked and not shape.keep_alive:
            headers.append((b"connection", b"close"))
        headers.append((b"openai-processing-ms", b"%d" % processing_ms))
        return encode.head(200, headers + shape.headers) + shape.form.role(shape.ident, shape.created)

    def broken(self) -> bytes:
        """What the shape's fault writes into a stream; empty for those that write nothing."""
        shape, form = self.shape, self.shape.form
        match shape.fault:
            case "bad-json":
                event = b'{"id":"%b","choices":[{"index":0,"delta":{"content":" br' % shape.ident.encode()
                return form.framed(b"data: %b\n\n" % event)
            case "no-finish":
                return form.close(encode.DONE)
            case "error-in-200":
                return form.close(b"data: %b\n\n" % encode.error(BROKEN, "server_error"))
            case "bad-framing":
                return b"zz\r\ndata: {}\r\n"
        return b""

    def stream_end(self) -> bytes:
        shape = self.shape
        return shape.form.end(shape.ident, shape.created, shape.finish_reason, shape.counts())

    def whole(self, processing_ms: int) -> bytes:
        """Head and body of an answer that is not streamed."""
        shape = self.shape
        turn = shape.reasoning_events
        reasoning = "".join(self._text(index, shape.form.reasoning) for index in range(turn))
        content = "".join(self._text(index, shape.form.content) for index in range(turn, shape.events))
        body = encode.completion(
            shape.ident,
            shape.created,
            shape.form.model,
            content.lstrip(),
            reasoning.lstrip(),
            shape.counts(),
            shape.finish_reason,
        )
        if shape.fault == "bad-json":
            body = body[: len(body) // 2]
        if shape.fault == "error-in-200":
            body = encode.error(BROKEN, "server_error")
        headers = [(b"openai-processing-ms", b"%d" % processing_ms), *shape.headers]
        return plain(200, body, headers, keep_alive=shape.keep_alive)


def plain(status: int, body: bytes, headers: encode.Headers, *, keep_alive: bool) -> bytes:
    """A whole JSON answer with its length."""
    lines = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *headers]
    if not keep_alive:
        lines.append((b"connection", b"close"))
    return encode.head(status, lines) + body
