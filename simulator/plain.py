"""A service that is no LLM's: JSON in, the same words in capitals out. Any method, any path under ``/plain/``.

The text is the body's ``input``, ``text`` or ``prompt``; where it has none, words are drawn. Not streamed, the answer is ``{"id",
"output": {"text"}, "count", "received"}``, the last being the body that came. Streamed (``"stream": true`` or an ``accept`` of
``text/event-stream`` or ``application/x-ndjson``) it is an event or a line a word: ``{"index", "text"}``, and at the end
``{"done": true, "count"}``, under SSE named ``done``.
"""

from __future__ import annotations

from typing import Any

import orjson

from simulator import wire
from simulator.asked import Asked, BadRequestError, Conversation, length_of
from simulator.connection import HttpRequest
from simulator.form import Form, Said, Shape
from simulator.settings import Settings

SSE, NDJSON = "sse", "ndjson"
_ACCEPTED = {b"text/event-stream": SSE, b"application/x-ndjson": NDJSON}
_FIELDS = ("input", "text", "prompt")


def parse(request: HttpRequest, settings: Settings) -> Asked:
    """``max_tokens`` bounds the words of the answer."""
    record = _record(request.body)
    asked = record if isinstance(record, dict) else {}
    text = next((asked[name] for name in _FIELDS if isinstance(asked.get(name), str)), "")
    said = Conversation()
    said.take("input", text)
    style = _style(request.headers.get(b"accept", b""))
    stream = asked.get("stream") is True or (style is not None and asked.get("stream") is not False)
    max_tokens = length_of(asked, ("max_tokens",), settings.output_tokens_max)
    own = tuple(f" {word}" for word in text.upper().split())
    return Asked(
        model=asked["model"] if isinstance(asked.get("model"), str) else settings.model,
        words=said.words,
        stream=stream,
        max_tokens=max_tokens,
        templated=False,
        style=style or SSE,
        own=own[:max_tokens] or None,
        more=record,
        roles=said.roles,
        message_hashes=said.hashes,
    )


def _style(accept: bytes) -> str | None:
    """The first of the types in ``accept`` that is one of a stream's; what q= says is not looked at."""
    types = (part.split(b";")[0].strip() for part in accept.split(b","))
    return next((_ACCEPTED[name] for name in types if name in _ACCEPTED), None)


def _record(body: bytes) -> Any:
    if not body:
        return None
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"the body is not JSON: {error}") from None


class PlainForm(Form):
    prefix = "plain-"

    def __init__(self, model: str, style: str, **more: Any) -> None:
        super().__init__(model, style, **more)
        if style == NDJSON:
            self.content_type = b"application/x-ndjson"

    def _is_ordered(self) -> bool:
        return True

    def event(self, _shape: Shape, index: int, _kind: str, text: str) -> bytes:
        return self._line({"index": index, "text": text})

    def opening(self, _shape: Shape) -> list[bytes]:
        return []

    def closing(self, shape: Shape, _said: Said) -> list[bytes]:
        return [self._line({"done": True, "count": shape.output_tokens}, "done")]

    def document(self, shape: Shape, said: Said) -> Any:
        output = {"text": said.content}
        return {"id": shape.ident, "output": output, "count": shape.output_tokens, "received": shape.asked}

    def trouble(self, shape: Shape, kind: str, message: str) -> bytes:
        return self._line(self.trouble_document(shape, kind, message), "error")

    def trouble_document(self, _shape: Shape, _kind: str, message: str) -> Any:
        return {"error": {"message": message}}

    def broken(self, shape: Shape) -> bytes:
        return b'{"index": ' + b"\n" if self.style == NDJSON else super().broken(shape)

    def _line(self, value: dict[str, Any], name: str = "") -> bytes:
        return orjson.dumps(value) + b"\n" if self.style == NDJSON else wire.sse(value, name)
