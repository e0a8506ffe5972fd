"""Anthropic Messages: blocks that open, grow and close, usage that grows with ``message_delta``, and ``message_stop`` at the end."""

from __future__ import annotations

from typing import Any

import orjson

from generator.apis.api import Call, Decoder, Encoded, Messages, RowSink
from generator.apis.bodies import post, turns
from generator.apis.events import EventDecoder
from generator.apis.failures import malformed
from generator.apis.fields import count, word
from generator.rows import CONTENT, REASONING, TOOL, UNKNOWN

VERSION = "2023-06-01"

MAX_TOKENS = 4096
"""What is asked for when the workload leaves the length open, since the API insists on a number: the most that every model takes
(Claude 3 Haiku's limit)."""

_SYSTEM = ("system", "developer")

# The events whose data is looked at; others may be added at any time, and a ping says nothing.
_EVENTS = frozenset(
    {b"message_start", b"content_block_start", b"content_block_delta", b"message_delta", b"message_stop"}
)
_KNOWN = _EVENTS | {b"error"}

_DELTAS = {
    "text_delta": ("text", CONTENT),
    "thinking_delta": ("thinking", REASONING),
    "input_json_delta": ("partial_json", TOOL),
}
# What a block may carry when it opens: a call's name, which the model writes; text, where a server sends it at once.
_BLOCKS = {
    "text": ("text", CONTENT),
    "thinking": ("thinking", REASONING),
    "tool_use": ("name", TOOL),
    "server_tool_use": ("name", TOOL),
    "mcp_tool_use": ("name", TOOL),
}


class AnthropicMessages:
    """The API ``anthropic-messages``."""

    name = "anthropic-messages"

    def encode(self, call: Call) -> Encoded:
        """System messages go to the field ``system``; the others are sent as they are."""
        system, spoken = _split(turns(call))
        body: dict[str, Any] = {
            "model": call.model,
            call.max_tokens_field or "max_tokens": MAX_TOKENS if call.max_tokens is None else call.max_tokens,
            "messages": spoken,
        }
        if system:
            body["system"] = system
        if call.stream:
            body["stream"] = True
        return post("/messages", body, call, stream=call.stream, headers=(("anthropic-version", VERSION),))

    def auth(self, key: str) -> tuple[str, str]:
        return "x-api-key", key

    def decoder(self, request_id: int, content_type: str, sink: RowSink, keep_text: bool = False) -> Decoder:
        return MessagesDecoder(request_id, content_type, sink, keep_text)


class MessagesDecoder(EventDecoder):
    """Terminal is ``message_stop``. Signatures, citations, pings and whatever else may be added make no row."""

    PADDED = True

    __slots__ = ("_input",)

    def __init__(self, request_id: int, content_type: str, sink: RowSink, keep_text: bool = False) -> None:
        super().__init__(request_id, content_type, sink, keep_text)
        self._input: dict[str, int] = {}  # the three parts of the input, as told last

    def _event(self, data: bytes, name: bytes, t_ns: int, read_index: int, exact: bool) -> bool:
        if name and name not in _KNOWN:
            return False
        event = self._open(data, name)
        if event is None:
            return self._over
        what = event.get("type")
        if what == "content_block_delta":
            delta = event.get("delta")
            text, kind, field = _payload(delta, _DELTAS)
            if text:
                self._payload_row(kind, text, t_ns, read_index, exact)
                self._learn(data, event, name, kind, text, lambda event: event["delta"][field])
        elif what == "content_block_start":
            text, kind, _ = _payload(event.get("content_block"), _BLOCKS)
            if text:
                self._payload_row(kind, text, t_ns, read_index, exact)
        elif what == "message_start":
            message = event.get("message")
            if isinstance(message, dict):
                self.answer.response_id = self.answer.response_id or word(message.get("id"))
                self._read_usage(message.get("usage"), total=False)
        elif what == "message_delta":
            delta = event.get("delta")
            if isinstance(delta, dict):
                self.answer.finish_reason = word(delta.get("stop_reason")) or self.answer.finish_reason
            self._read_usage(event.get("usage"), total=True)
            self._usage_final = self.answer.finish_reason is not None
        elif what == "message_stop":
            self.answer.terminal = self._usage_final = self._over = True
        return self._over

    def _read_document(self, document: dict[str, Any], data: bytes) -> None:
        answer = self.answer
        if document.get("type") != "message" or not isinstance(document.get("content"), list):
            self._fail(malformed(data))
            return
        answer.response_id = word(document.get("id"))
        answer.finish_reason = word(document.get("stop_reason"))
        answer.terminal = answer.finish_reason is not None
        self._read_usage(document.get("usage"), total=True)
        self._usage_final = True
        for block in document["content"]:
            text, kind, _ = _payload(block, _BLOCKS)
            self._keep(kind, text)
            if kind == TOOL and answer.parts is not None and block.get("input"):
                self._keep(kind, orjson.dumps(block["input"]).decode())

    def _payload_row(self, kind: int, text: str, t_ns: int, read_index: int, exact: bool) -> None:
        self._keep(kind, text)
        self._row(kind, len(text), UNKNOWN, t_ns, read_index, exact)

    def _read_usage(self, usage: Any, *, total: bool) -> None:
        """Counts are cumulative, so the last one holds, but that some servers fill in a 0 where they do not repeat one. The
        output of ``message_start`` is a count of before the answer: not a total.
        """
        if not isinstance(usage, dict):
            return
        answer, parts = self.answer, self._input
        for name in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"):
            told = count(usage.get(name))
            if told is not None:
                parts[name] = told or parts.get(name, 0)
        if "input_tokens" in parts:
            answer.input_tokens = count(sum(parts.values())) or None  # no request has none: a server that does not say
        answer.cached_tokens = parts.get("cache_read_input_tokens")
        answer.cache_write_tokens = parts.get("cache_creation_input_tokens")
        told = count(usage.get("output_tokens"))
        if not total or told is None:
            return
        answer.output_tokens = told
        details = usage.get("output_tokens_details")
        if isinstance(details, dict):
            answer.reasoning_tokens = count(details.get("thinking_tokens"))
        self._usage_rows = answer.rows


def _payload(block: Any, fields: dict[str, tuple[str, int]]) -> tuple[str, int, str]:
    """What a block or a delta carries by its type: text, kind, name of the field; empty where it carries nothing of ours."""
    what = block.get("type") if block.__class__ is dict else None
    field, kind = fields.get(what, ("", CONTENT)) if what.__class__ is str else ("", CONTENT)
    text = block.get(field) if field else None
    return (text, kind, field) if text.__class__ is str else ("", kind, field)


def _split(messages: Messages) -> tuple[str | list[Any], list[dict[str, Any]]]:
    """What the system says, and who else speaks. Blocks stay blocks: they may carry ``cache_control``."""
    said = [content for turn in messages if turn.get("role") in _SYSTEM and (content := turn.get("content"))]
    spoken = [turn for turn in messages if turn.get("role") not in _SYSTEM]
    if any(isinstance(content, list) for content in said):
        blocks = [content if isinstance(content, list) else [{"type": "text", "text": content}] for content in said]
        return [block for content in blocks for block in content], spoken
    return "\n\n".join(content for content in said if isinstance(content, str)), spoken
