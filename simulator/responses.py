"""OpenAI Responses: named, numbered events; the last one carries the whole answer and its usage.

An answer that its ``max_output_tokens`` ended is ``response.incomplete``, one that ended by itself ``response.completed``.
"""

from __future__ import annotations

from typing import Any

from simulator import troubles, wire
from simulator.asked import Asked, BadRequestError, Conversation, json_object, length_of, model_of
from simulator.connection import HttpRequest
from simulator.form import CONTENT, Form, Said, Shape
from simulator.settings import Settings

_OPENED = 2  # response.created and response.in_progress
_STARTED = 2  # output_item.added and content_part.added
_ENDED = 3  # text done, content_part.done, output_item.done


def parse(request: HttpRequest, settings: Settings) -> Asked:
    """``input`` is a text or a list of messages; other items (calls of tools, their outputs) count as no text."""
    asked = json_object(request.body)
    if asked.get("previous_response_id") is not None:
        raise BadRequestError("no answer is stored here; send the conversation as input", "previous_response_id")
    said = Conversation()
    if isinstance(asked.get("instructions"), str):
        said.take("system", asked["instructions"])
    given = asked.get("input")
    if isinstance(given, str):
        said.take("user", given)
    elif isinstance(given, list) and given and all(isinstance(item, dict) for item in given):
        for item in given:
            said.take(str(item.get("role") or item.get("type")), item.get("content"))
    else:
        raise BadRequestError("'input' must be a text or a list of items", "input")
    return Asked(
        model=model_of(asked),
        words=said.words,
        stream=asked.get("stream") is True,
        max_tokens=length_of(asked, ("max_output_tokens",), settings.output_tokens_max),
        roles=said.roles,
        message_hashes=said.hashes,
    )


class ResponseForm(Form):
    prefix = "resp_"

    def _is_ordered(self) -> bool:
        return True

    def headers(self, processing_ms: int) -> wire.Headers:
        return [(b"openai-processing-ms", b"%d" % processing_ms)]

    def event(self, shape: Shape, index: int, kind: str, text: str) -> bytes:
        name = "response.output_text.delta" if kind == CONTENT else "response.reasoning_text.delta"
        more: dict[str, Any] = {"logprobs": []} if kind == CONTENT else {}
        return _event(name, self._number(shape, index), **self._place(shape, kind), delta=text, **more)

    def opening(self, shape: Shape) -> list[bytes]:
        bare = self._response(shape, "in_progress", [], None)
        found = [_event("response.created", 0, response=bare), _event("response.in_progress", 1, response=bare)]
        kind = "reasoning" if shape.reasoning_events else CONTENT
        return found + self._start(shape, kind, _OPENED)

    def turn(self, shape: Shape, said: Said) -> list[bytes]:
        number = _OPENED + _STARTED + shape.reasoning_events
        found = self._finish(shape, "reasoning", said.reasoning, number)
        return found + self._start(shape, CONTENT, number + _ENDED)

    def closing(self, shape: Shape, said: Said) -> list[bytes]:
        number = self._number(shape, shape.events)
        kind, text = (CONTENT, said.content) if shape.events > shape.reasoning_events else ("reasoning", said.reasoning)
        found = self._finish(shape, kind, text, number)
        whole = self.document(shape, said)
        return [*found, _event(f"response.{whole['status']}", number + _ENDED, response=whole)]

    def document(self, shape: Shape, said: Said) -> dict[str, Any]:
        output = []
        if said.reasoning:
            output.append(self._item(shape, "reasoning", said.reasoning, _status(shape, "reasoning")))
        if said.content or not said.reasoning:
            output.append(self._item(shape, CONTENT, said.content, _status(shape, CONTENT)))
        return self._response(shape, _status(shape, CONTENT), output, _usage(shape))

    def trouble(self, shape: Shape, kind: str, message: str) -> bytes:
        error_type, code = troubles.words(troubles.OPENAI, kind)
        number = self._number(shape, shape.fault_at)
        return _event("error", number, code=code or error_type, message=message, param=None)

    def trouble_document(self, shape: Shape, kind: str, message: str) -> Any:
        """The API's own failure: status 200, ``status: failed``."""
        error_type, code = troubles.words(troubles.OPENAI, kind)
        failed = self._response(shape, "failed", [], None)
        return failed | {"error": {"code": code or error_type, "message": message}}

    def _number(self, shape: Shape, index: int) -> int:
        """``sequence_number`` of content chunk ``index``, or of what follows the last one."""
        turned = 0 < shape.reasoning_events <= index and shape.reasoning_events < shape.events
        return _OPENED + _STARTED + index + (_ENDED + _STARTED if turned else 0)

    def _place(self, shape: Shape, kind: str) -> dict[str, Any]:
        first = kind != CONTENT or not shape.reasoning_events
        return {"item_id": _item_id(shape, kind), "output_index": 0 if first else 1, "content_index": 0}

    def _item(self, shape: Shape, kind: str, text: str | None, status: str) -> dict[str, Any]:
        """``text`` None: nothing of it has come yet."""
        parts = [] if text is None else [_part(kind, text)]
        item = {"id": _item_id(shape, kind), "status": status, "content": parts}
        if kind == CONTENT:
            return {"type": "message", "role": "assistant"} | item
        return {"type": "reasoning", "summary": []} | item

    def _start(self, shape: Shape, kind: str, number: int) -> list[bytes]:
        place = self._place(shape, kind)
        item = self._item(shape, kind, None, "in_progress")
        return [
            _event("response.output_item.added", number, output_index=place["output_index"], item=item),
            _event("response.content_part.added", number + 1, **place, part=_part(kind, "")),
        ]

    def _finish(self, shape: Shape, kind: str, text: str, number: int) -> list[bytes]:
        place = self._place(shape, kind)
        name = "response.output_text.done" if kind == CONTENT else "response.reasoning_text.done"
        item = self._item(shape, kind, text, _status(shape, kind))
        return [
            _event(name, number, **place, text=text),
            _event("response.content_part.done", number + 1, **place, part=_part(kind, text)),
            _event("response.output_item.done", number + 2, output_index=place["output_index"], item=item),
        ]

    def _response(self, shape: Shape, status: str, output: list[Any], counts: dict[str, Any] | None) -> dict[str, Any]:
        return {
            "id": shape.ident,
            "object": "response",
            "created_at": shape.created,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "model": self.model,
            "output": output,
            "usage": counts,
        }


def _event(name: str, number: int, **fields: Any) -> bytes:
    return wire.sse({"type": name, "sequence_number": number} | fields, name)


def _status(shape: Shape, kind: str) -> str:
    """Reasoning is over when content follows; only the last item can have been cut."""
    return "completed" if shape.stopped or (kind != CONTENT and shape.events > shape.reasoning_events) else "incomplete"


def _item_id(shape: Shape, kind: str) -> str:
    digits = shape.ident.removeprefix(ResponseForm.prefix)
    return f"msg_{digits}" if kind == CONTENT else f"rs_{digits}"


def _part(kind: str, text: str) -> dict[str, Any]:
    if kind == CONTENT:
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "reasoning_text", "text": text}


def _usage(shape: Shape) -> dict[str, Any]:
    return {
        "input_tokens": shape.input_tokens,
        "input_tokens_details": {"cached_tokens": shape.cached_tokens},
        "output_tokens": shape.output_tokens,
        "output_tokens_details": {"reasoning_tokens": shape.reasoning_tokens},
        "total_tokens": shape.input_tokens + shape.output_tokens,
    }
