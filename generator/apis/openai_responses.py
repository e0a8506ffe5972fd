"""OpenAI Responses: events with a ``type`` and a ``sequence_number``, of which the deltas make rows and one of three is the last.

``*.done`` events repeat what the deltas said and make no row. A call's name, which the model writes too, comes with the item that
opens it.
"""

from __future__ import annotations

from typing import Any

from generator.apis.api import Call, Decoder, Encoded, Failure, Messages, RowSink
from generator.apis.bodies import post
from generator.apis.events import EventDecoder
from generator.apis.failures import in_stream, malformed
from generator.apis.fields import count, timings_ms, word
from generator.rows import CONTENT, REASONING, REFUSAL, TOOL, UNKNOWN

_DELTAS = {
    "response.output_text.delta": CONTENT,
    "response.refusal.delta": REFUSAL,
    "response.reasoning_text.delta": REASONING,
    "response.reasoning_summary_text.delta": REASONING,
    "response.function_call_arguments.delta": TOOL,
    "response.custom_tool_call_input.delta": TOOL,
    "response.mcp_call_arguments.delta": TOOL,
    "response.code_interpreter_call_code.delta": TOOL,
}
_LAST = frozenset({"response.completed", "response.incomplete", "response.failed"})
_COMPLETE = frozenset({"completed", "incomplete"})
_CALLS = frozenset({"function_call", "custom_tool_call", "mcp_call"})
_PARTS = {"output_text": ("text", CONTENT), "refusal": ("refusal", REFUSAL), "reasoning_text": ("text", REASONING)}


class OpenAIResponses:
    """The API ``openai-responses``. Usage always comes; whether deltas are padded (``include_obfuscation``) is for ``call.body``."""

    name = "openai-responses"

    def encode(self, call: Call) -> Encoded:
        body: dict[str, Any] = {"model": call.model, "input": _input(call.messages) if call.messages else call.prompt}
        if call.max_tokens is not None:
            body[call.max_tokens_field or "max_output_tokens"] = call.max_tokens
        if call.stream:
            body["stream"] = True
        return post("/responses", body, call, stream=call.stream)

    def auth(self, key: str) -> tuple[str, str]:
        return "authorization", f"Bearer {key}"

    def decoder(self, request_id: int, content_type: str, sink: RowSink, keep_text: bool = False) -> Decoder:
        return ResponsesDecoder(request_id, content_type, sink, keep_text)


class ResponsesDecoder(EventDecoder):
    """Terminal is ``response.completed`` or ``response.incomplete``; ``response.failed`` and ``error`` are errors."""

    LOOSE = ("sequence_number", "obfuscation")

    __slots__ = ()

    def _event(self, data: bytes, name: bytes, t_ns: int, read_index: int, exact: bool) -> bool:
        event = self._open(data, name)
        if event is None:
            return self._over
        what = event.get("type")
        if what.__class__ is not str:
            return False
        kind = _DELTAS.get(what)
        if kind is not None:
            text = event.get("delta")
            if text and text.__class__ is str:
                self._keep(kind, text)
                self._row(kind, len(text), UNKNOWN, t_ns, read_index, exact)
                # Log-probabilities differ from event to event: no template would ever fit.
                self._learn(data, event, name, kind, "" if event.get("logprobs") else text, _delta)
        elif what == "response.output_item.added":
            called = _called(event.get("item"))
            if called:
                self._keep(TOOL, called)
                self._row(TOOL, len(called), UNKNOWN, t_ns, read_index, exact)
        elif what in _LAST or self.answer.response_id is None:
            response = event.get("response")
            if isinstance(response, dict):
                self._read_response(response)
            if what in _LAST:
                self.answer.server_ms = timings_ms(event.get("timings"))
                self._end(what.removeprefix("response."), response, data)
        return self._over

    def _read_document(self, document: dict[str, Any], data: bytes) -> None:
        self._read_response(document)
        self.answer.server_ms = timings_ms(document.get("timings"))
        status = document.get("status")
        if status in ("completed", "incomplete", "failed"):
            self._end(status, document, data)
        if self.answer.parts is not None:
            for item in _dicts(document.get("output")):
                self._keep_item(item)

    def _read_response(self, response: dict[str, Any]) -> None:
        answer = self.answer
        if answer.response_id is None:
            answer.response_id = word(response.get("id"))
        usage = response.get("usage")
        if not isinstance(usage, dict):
            return
        answer.input_tokens = count(usage.get("input_tokens"))
        answer.output_tokens = count(usage.get("output_tokens"))
        answer.cached_tokens = _detail(usage.get("input_tokens_details"), "cached_tokens")
        answer.cache_write_tokens = _detail(usage.get("input_tokens_details"), "cache_write_tokens")
        answer.reasoning_tokens = _detail(usage.get("output_tokens_details"), "reasoning_tokens")
        self._usage_rows = answer.rows

    def _end(self, status: str, response: Any, data: bytes) -> None:
        """The last event, or a document that says that it is complete. ``finish_reason`` is the status, or why it is incomplete."""
        self._over = True
        self._usage_final = True
        if not isinstance(response, dict):
            self._fail(malformed(data))
        elif status == "failed":
            error = response.get("error")
            failure = in_stream({"error": error}, data)
            self._fail(failure if error else Failure("stream_error", "failed", failure.error_message))
        else:
            details = response.get("incomplete_details")
            reason = word(details.get("reason")) if isinstance(details, dict) else None
            self.answer.finish_reason = reason or status
            self.answer.terminal = True

    def _keep_item(self, item: dict[str, Any]) -> None:
        self._keep(TOOL, _called(item))
        for key in ("arguments", "input"):
            if isinstance(item.get(key), str):
                self._keep(TOOL, item[key])
        for key in ("summary", "content"):
            for part in _dicts(item.get(key)):
                told = ("text", REASONING) if key == "summary" else _PARTS.get(str(part.get("type")))
                if told is not None and isinstance(part.get(told[0]), str):
                    self._keep(told[1], part[told[0]])


def _delta(event: Any) -> Any:
    return event["delta"]


def _detail(details: Any, name: str) -> int | None:
    return count(details.get(name)) if isinstance(details, dict) else None


def _called(item: Any) -> str:
    """The name of the function that an item calls; empty for any other item."""
    if not isinstance(item, dict) or str(item.get("type")) not in _CALLS:
        return ""
    name = item.get("name")
    return name if isinstance(name, str) else ""


def _input(messages: Messages) -> list[dict[str, Any]]:
    """Chat messages as this API spells them: items of a type (OpenAI guesses it, llama.cpp does not), and parts of type ``text``
    under another name, which depends on who speaks.
    """
    return [
        {"type": "message", **turn, "content": _content(turn.get("content"), turn.get("role"))} for turn in messages
    ]


def _content(content: Any, role: Any) -> Any:
    if not isinstance(content, list):
        return content
    name = "output_text" if role == "assistant" else "input_text"
    return [
        {**part, "type": name} if isinstance(part, dict) and part.get("type") == "text" else part for part in content
    ]


def _dicts(items: Any) -> list[dict[str, Any]]:
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
