"""One answer under way: which bytes its next event is. No clock, no socket."""

from __future__ import annotations

from typing import Any

import orjson

from simulator import wire
from simulator.connection import Connection
from simulator.faults import ERRORS_INSIDE
from simulator.form import CONTENT, REASONING, Pool, Said, Shape
from simulator.model import Sequence
from simulator.words import POOL_MASK, fingerprint

BROKEN = "The server had an error while it answered"


class Answer:
    """``index`` is the next content event. Until it reaches ``special`` an event is ``size + head + tail`` of ``words`` and
    nothing else happens: the server's hot path. At ``special`` something does: the first, a turn of pools, a fault, the last.
    """

    __slots__ = (
        "_said",
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
        self._said: tuple[int, Said] | None = None
        self.word = (number * 7) & POOL_MASK
        marks = {0, shape.events - 1, shape.reasoning_events}
        if shape.fault is not None:
            marks.add(shape.fault_at)
        self._specials = sorted(mark for mark in marks if mark < shape.events)
        self.special = self._specials.pop(0)
        self._use(shape.form.reasoning if shape.reasoning_events else shape.form.content)

    def _use(self, pool: Pool) -> None:
        self.pool = pool
        self.words = pool.words
        self.head = self.shape.form.event_head(self.shape, pool.kind)

    def event(self) -> bytes:
        """The bytes of event ``index``."""
        shape = self.shape
        if shape.form.ordered or (self.index == shape.events - 1 and shape.tokens_per_chunk > 1):
            kind = REASONING if self.index < shape.reasoning_events else CONTENT
            return shape.form.framed(shape.form.event(shape, self.index, kind, self._text(self.index)))
        size, tail = self.words[(self.word + self.index) & POOL_MASK]
        return size + self.head + tail

    def _text(self, index: int) -> str:
        shape = self.shape
        if shape.own is not None:
            return shape.own[index % len(shape.own)]
        text = shape.form.texts[(self.word + index) & POOL_MASK]
        missing = shape.events * shape.tokens_per_chunk - shape.output_tokens if index == shape.events - 1 else 0
        return text.rsplit(" ", missing)[0] if missing else text

    def said(self) -> Said:
        """What came so far; an answer in one piece has no space before its first word."""
        if self._said is None or self._said[0] != self.index:
            turn = min(self.index, self.shape.reasoning_events)
            reasoning = "".join(map(self._text, range(turn)))
            content = "".join(map(self._text, range(turn, self.index)))
            if not self.shape.streamed:
                content, reasoning = content.lstrip(), reasoning.lstrip()
            self._said = self.index, Said(content, reasoning)
        return self._said[1]

    def generated(self) -> int:
        """Tokens that came so far."""
        return min(self.index * self.shape.tokens_per_chunk, self.shape.output_tokens)

    def content_hash(self) -> str:
        return fingerprint(self.said().content)

    def turn(self) -> bytes:
        """Call at ``special``, before the event: takes the pool that is due and looks for the next special. What a stream says
        between reasoning and content.
        """
        shape = self.shape
        if not shape.streamed:
            self.special = self.index + 1
            return b""
        between = b""
        if 0 < self.index == shape.reasoning_events:
            between = shape.form.frames(shape.form.turn(shape, self.said()))
            self._use(shape.form.content)
        if shape.form.ordered:
            self.special = self.index + 1
        else:
            self.special = self._specials.pop(0) if self._specials else shape.events
        return between

    def last(self) -> bool:
        return self.index >= self.shape.events

    def stream_head(self, processing_ms: int) -> bytes:
        """Status line, headers and what the API says before the first token: one write."""
        shape, form = self.shape, self.shape.form
        headers = [(b"content-type", form.content_type), (b"cache-control", b"no-cache")]
        headers.append((b"transfer-encoding", b"chunked") if form.chunked else (b"connection", b"close"))
        if form.chunked and not shape.keep_alive:
            headers.append((b"connection", b"close"))
        return wire.head(200, headers + form.headers(processing_ms) + shape.headers) + form.frames(form.opening(shape))

    def broken(self) -> bytes:
        """What the shape's fault writes into a stream; empty for those that write nothing."""
        shape, form = self.shape, self.shape.form
        match shape.fault:
            case "bad-json":
                return form.framed(form.broken(shape))
            case "no-finish":
                return form.close(form.last_mark)
            case "error-in-200" | "overloaded-in-200":
                return form.close(form.trouble(shape, ERRORS_INSIDE[shape.fault], BROKEN))
            case "bad-framing":
                return b"zz\r\ndata: {}\r\n"
        return b""

    def stream_end(self) -> bytes:
        shape, form = self.shape, self.shape.form
        return form.close(*form.closing(shape, self.said()), form.last_mark)

    def whole(self, processing_ms: int) -> bytes:
        """Head and body of an answer that is not streamed."""
        shape, form = self.shape, self.shape.form
        kind = ERRORS_INSIDE.get(shape.fault or "")
        document = form.document(shape, self.said()) if kind is None else form.trouble_document(shape, kind, BROKEN)
        body = orjson.dumps(document)
        if shape.fault == "bad-json":
            body = body[: len(body) // 2]
        return wire.whole(200, body, form.headers(processing_ms) + shape.headers, keep_alive=shape.keep_alive)
