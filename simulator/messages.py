"""Anthropic Messages: blocks of thinking and text, pings, a usage that counts up, errors in Anthropic's own shape.

``input_tokens`` leaves out what was read from or written to the prompt cache, so that the three sum to all input. The usage of
``message_start`` is a pre-count; ``message_delta`` carries totals, and with ``usage: growing`` there are two of them.
"""

from __future__ import annotations

from typing import Any

from simulator import troubles, wire
from simulator.asked import Asked, BadRequestError, conversation, json_object, length_of, model_of
from simulator.connection import HttpRequest
from simulator.form import CONTENT, Form, Said, Shape
from simulator.settings import Settings

VERSION = b"anthropic-version"
_PRE_COUNT = 1
_SIGNATURE = "c2ltdWxhdGVk"


def parse(request: HttpRequest, settings: Settings) -> Asked:
    """``max_tokens`` and the header ``anthropic-version`` are required, as by Anthropic."""
    if VERSION not in request.headers:
        raise BadRequestError("anthropic-version: header is required")
    asked = json_object(request.body)
    model = model_of(asked)
    said = conversation(asked.get("messages"), roles=("user", "assistant"))
    max_tokens = length_of(asked, ("max_tokens",), settings.output_tokens_max)
    if max_tokens is None:
        raise BadRequestError("max_tokens: Field required", "max_tokens")
    system = asked.get("system")
    if system is not None:
        before = conversation([{"role": "system", "content": system}])
        said.words += before.words
        said.roles.insert(0, "system")
        said.hashes.insert(0, before.hashes[0])
    return Asked(
        model=model,
        words=said.words,
        stream=asked.get("stream") is True,
        max_tokens=max_tokens,
        style=settings.usage,
        roles=said.roles,
        message_hashes=said.hashes,
    )


class MessageForm(Form):
    prefix = "msg_"

    def headers(self, processing_ms: int) -> wire.Headers:
        return [(b"x-envoy-upstream-service-time", b"%d" % processing_ms)]

    def event(self, _shape: Shape, _index: int, kind: str, text: str) -> bytes:
        if kind == CONTENT:
            return self._delta(int(self.reasons), {"type": "text_delta", "text": text})
        return self._delta(0, {"type": "thinking_delta", "thinking": text})

    def opening(self, shape: Shape) -> list[bytes]:
        message = self._message(shape, [], None, _usage(shape, _PRE_COUNT))
        first = {"type": "thinking", "thinking": "", "signature": ""} if self.reasons else _TEXT
        return [
            wire.sse({"type": "message_start", "message": message}, "message_start"),
            _block_start(0, first),
            wire.sse({"type": "ping"}, "ping"),
        ]

    def turn(self, _shape: Shape, _said: Said) -> list[bytes]:
        signature = self._delta(0, {"type": "signature_delta", "signature": _SIGNATURE})
        return [signature, _block_stop(0), wire.sse({"type": "ping"}, "ping"), _block_start(1, _TEXT)]

    def closing(self, shape: Shape, _said: Said) -> list[bytes]:
        found = [_block_stop(int(shape.events > shape.reasoning_events > 0))]
        if self.style == "growing":
            found.append(_message_delta(None, _usage(shape, max(1, shape.output_tokens // 2))))
        found.append(_message_delta(_stop_reason(shape), _usage(shape, shape.output_tokens)))
        return [*found, wire.sse({"type": "message_stop"}, "message_stop")]

    def document(self, shape: Shape, said: Said) -> Any:
        blocks: list[Any] = []
        if said.reasoning:
            blocks.append({"type": "thinking", "thinking": said.reasoning, "signature": _SIGNATURE})
        if said.content:
            blocks.append({"type": "text", "text": said.content})
        return self._message(shape, blocks, _stop_reason(shape), _usage(shape, shape.output_tokens))

    def trouble(self, shape: Shape, kind: str, message: str) -> bytes:
        return wire.sse(self.trouble_document(shape, kind, message), "error")

    def trouble_document(self, _shape: Shape, kind: str, message: str) -> Any:
        return troubles.document(troubles.ANTHROPIC, kind, message)

    def _delta(self, block: int, delta: dict[str, Any]) -> bytes:
        return wire.sse({"type": "content_block_delta", "index": block, "delta": delta}, "content_block_delta")

    def _message(self, shape: Shape, blocks: list[Any], stop: str | None, counts: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": shape.ident,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": blocks,
            "stop_reason": stop,
            "stop_sequence": None,
            "usage": counts,
        }


_TEXT = {"type": "text", "text": ""}


def _block_start(index: int, block: dict[str, Any]) -> bytes:
    return wire.sse(
        {"type": "content_block_start", "index": index, "content_block": block},
        "content_block_start",
    )


def _block_stop(index: int) -> bytes:
    return wire.sse({"type": "content_block_stop", "index": index}, "content_block_stop")


def _message_delta(stop: str | None, counts: dict[str, Any]) -> bytes:
    delta = {"stop_reason": stop, "stop_sequence": None}
    return wire.sse({"type": "message_delta", "delta": delta, "usage": counts}, "message_delta")


def _stop_reason(shape: Shape) -> str:
    return "end_turn" if shape.stopped else "max_tokens"


def _usage(shape: Shape, output_tokens: int) -> dict[str, Any]:
    counts: dict[str, Any] = {
        "input_tokens": shape.input_tokens - shape.cached_tokens - shape.written_tokens,
        "cache_creation_input_tokens": shape.written_tokens,
        "cache_read_input_tokens": shape.cached_tokens,
        "output_tokens": output_tokens,
    }
    if shape.reasoning_tokens and output_tokens > _PRE_COUNT:
        counts["output_tokens_details"] = {"thinking_tokens": min(output_tokens, shape.reasoning_tokens)}
    return counts
