"""What one answer is made of, and the skeleton of a stream's bytes, which each API fills in.

A token's event is ``size line + head + tail``: the head belongs to the answer (its id), size line and tail to the word.
Both are made ahead, so that a token costs two concatenations and no JSON. A form whose events are all different (numbered, or with
counts that grow) is ``ordered``: each is made when it is due, which costs some microseconds more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from simulator import wire

CONTENT, REASONING = "content", "reasoning"
ID_HEX_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Shape:
    """What an answer is made of, decided when it was admitted. ``ident`` is of one length, which the size lines rely on.

    ``own``: the words to answer with, in place of drawn ones. ``asked`` is what the API's own parser kept for its form.
    """

    ident: str
    created: int
    form: Form
    streamed: bool
    input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    tokens_per_chunk: int
    stopped: bool
    fault: str | None
    headers: wire.Headers
    keep_alive: bool
    cached_tokens: int = 0
    written_tokens: int = 0
    own: tuple[str, ...] | None = None
    asked: Any = None

    @property
    def events(self) -> int:
        return max(1, -(-self.output_tokens // self.tokens_per_chunk))

    @property
    def reasoning_events(self) -> int:
        return -(-self.reasoning_tokens // self.tokens_per_chunk)

    @property
    def fault_at(self) -> int:
        return max(1, self.events // 2)


@dataclass(frozen=True, slots=True)
class Said:
    """The text of an answer, as far as it came."""

    content: str
    reasoning: str


@dataclass(frozen=True, slots=True)
class Pool:
    """Ready-made events of one kind: ``words[i]`` is (size line, tail) of an event whose head is :meth:`Form.event_head`."""

    kind: str
    words: list[tuple[bytes, bytes]] = field(default_factory=list)


class Form:
    """One kind of answer of one API for one model. What a subclass must have is what raises NotImplementedError here.

    ``style``: the API's own variants (where usage goes, which framing of events). ``reasons``: answers begin with reasoning.
    """

    prefix = ""
    content_type = b"text/event-stream; charset=utf-8"
    last_mark = b""
    """Payload that ends a stream of any kind, a broken one, too."""

    def __init__(self, model: str, style: str, *, chunked: bool, reasons: bool, texts: list[str]) -> None:
        self.model = model
        self.style = style
        self.chunked = chunked
        self.reasons = reasons
        self.texts = texts
        self.ordered = self._is_ordered()
        self.content = self._pool(CONTENT)
        self.reasoning = self._pool(REASONING) if reasons else self.content

    def _is_ordered(self) -> bool:
        return False

    # -- what each API says ---------------------------------------------------------------------------------------------

    def event(self, shape: Shape, index: int, kind: str, text: str) -> bytes:
        """The event of content chunk ``index``."""
        raise NotImplementedError

    def opening(self, shape: Shape) -> list[bytes]:
        """What comes before the first content chunk."""
        raise NotImplementedError

    def turn(self, _shape: Shape, _said: Said) -> list[bytes]:
        """What comes between reasoning and content."""
        return []

    def closing(self, shape: Shape, said: Said) -> list[bytes]:
        """What comes after the last content chunk, but for ``last_mark``."""
        raise NotImplementedError

    def document(self, shape: Shape, said: Said) -> Any:
        """The answer in one piece."""
        raise NotImplementedError

    def trouble(self, shape: Shape, kind: str, message: str) -> bytes:
        """The event of an error inside the stream."""
        raise NotImplementedError

    def trouble_document(self, _shape: Shape, kind: str, message: str) -> Any:
        """The error in place of an answer in one piece."""
        raise NotImplementedError

    def broken(self, shape: Shape) -> bytes:
        """An event whose JSON breaks off."""
        whole = self.event(shape, shape.fault_at, CONTENT, " broken")
        return whole[: whole.index(b" broken") + 3] + b"\n\n"

    def headers(self, _processing_ms: int) -> wire.Headers:
        """Of an answer that succeeds, beside the usual."""
        return []

    # -- bytes ----------------------------------------------------------------------------------------------------------

    def framed(self, payload: bytes) -> bytes:
        return wire.chunk(payload) if self.chunked else payload

    def frames(self, payloads: Iterable[bytes]) -> bytes:
        return b"".join(map(self.framed, payloads))

    def close(self, *payloads: bytes) -> bytes:
        """Last payloads and the end of the framing."""
        last = wire.LAST_CHUNK if self.chunked else b""
        return self.frames(payload for payload in payloads if payload) + last

    def event_head(self, shape: Shape, kind: str) -> bytes:
        return b"" if self.ordered else self._cut(shape, kind)[0]

    def _cut(self, shape: Shape, kind: str) -> tuple[bytes, bytes]:
        """An event as (before its text, after it)."""
        # The last one: a model's name may hold the mark, too, and comes before the text.
        before, mark, after = self.event(shape, 0, kind, "\0").rpartition(b"\\u0000")
        assert mark
        return before, after

    def _pool(self, kind: str) -> Pool:
        if self.ordered:
            return Pool(kind)
        before, after = self._cut(_sample(self), kind)
        words = []
        for text in self.texts:
            tail = orjson.dumps(text)[1:-1] + after
            size = b"%x\r\n" % (len(before) + len(tail)) if self.chunked else b""
            words.append((size, tail + b"\r\n" if self.chunked else tail))
        return Pool(kind, words)


def response_id(prefix: str, number: int) -> str:
    return f"{prefix}{number:0{ID_HEX_DIGITS}x}"


def _sample(form: Form) -> Shape:
    return Shape(
        ident=response_id(form.prefix, 0),
        created=1_000_000_000,
        form=form,
        streamed=True,
        input_tokens=0,
        output_tokens=1,
        reasoning_tokens=0,
        tokens_per_chunk=1,
        stopped=False,
        fault=None,
        headers=[],
        keep_alive=True,
    )
