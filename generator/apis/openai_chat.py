"""OpenAI Chat Completions, and the many servers that speak it each in a slightly other way."""

from __future__ import annotations

from typing import Any

from generator.apis.api import Call, Decoder, Encoded, RowSink
from generator.apis.bodies import post, turns
from generator.apis.choices import NOWHERE, ChoicesDecoder, Place
from generator.rows import CONTENT, REASONING, REFUSAL, TOOL

_TEXTS = ("content", "reasoning", "reasoning_content")


class OpenAIChat:
    """The API ``openai-chat``. A streaming call asks for usage unless ``call.body`` says otherwise."""

    name = "openai-chat"

    def encode(self, call: Call) -> Encoded:
        body: dict[str, Any] = {"model": call.model, "messages": turns(call)}
        if call.max_tokens is not None:
            body[call.max_tokens_field or "max_tokens"] = call.max_tokens
        if call.stream:
            body["stream"] = True
            body["stream_options"] = {"include_usage": True}
        return post("/chat/completions", body, call, stream=call.stream)

    def auth(self, key: str) -> tuple[str, str]:
        return "authorization", f"Bearer {key}"

    def decoder(self, request_id: int, content_type: str, sink: RowSink, keep_text: bool = False) -> Decoder:
        return ChatDecoder(request_id, content_type, sink, keep_text)


class ChatDecoder(ChoicesDecoder):
    """A choice's payload is its ``delta``, in a document its ``message``: content, reasoning, calls, refusal."""

    __slots__ = ()

    def _payload(self, choice: dict[str, Any], whole: bool) -> tuple[int | None, int]:
        delta = choice.get("message" if whole else "delta")
        if delta.__class__ is not dict:
            return None, 0
        keeping = self.answer.parts is not None
        kind: int | None = None
        chars = 0
        text = delta.get("content")
        if text and text.__class__ is str:
            kind, chars = CONTENT, len(text)
            if keeping:
                self._keep(CONTENT, text)
            if len(delta) == 1:
                return kind, chars
        elif text.__class__ is list:
            kind, chars = self._parts(text)
        text = delta.get("reasoning") or delta.get("reasoning_content")
        if text and text.__class__ is str:
            chars += len(text)
            self._reasoned = True
            if keeping:
                self._keep(REASONING, text)
            if kind is None:
                kind = REASONING
        called = _called(delta)
        if called:
            chars += len(called)
            self._keep(TOOL, called)
            if kind is None or kind == REASONING:
                kind = TOOL
        text = delta.get("refusal")
        if text and text.__class__ is str:
            chars += len(text)
            self._keep(REFUSAL, text)
            if kind is None or kind == REASONING:
                kind = REFUSAL
        return kind, chars

    def _parts(self, content: list[Any]) -> tuple[int | None, int]:
        """Content as a list of parts, as Mistral's reasoning models send it: ``text``, and ``thinking`` with parts of its own."""
        kind: int | None = None
        chars = 0
        for part in content:
            if part.__class__ is not dict:
                continue
            thinking = part.get("thinking")
            inner = thinking if thinking.__class__ is list else [{"text": thinking}]
            thought = "".join(_text(piece) for piece in inner)
            text = _text(part)
            chars += len(thought) + len(text)
            self._keep(REASONING, thought)
            self._keep(CONTENT, text)
            if thought:
                self._reasoned = True
            if text:
                kind = CONTENT
            elif thought and kind is None:
                kind = REASONING
        return kind, chars

    def _place(self, choice: dict[str, Any]) -> Place:
        delta = choice["delta"]
        fields = [key for key, value in delta.items() if value and key != "role"]
        if len(fields) != 1 or fields[0] not in _TEXTS or delta[fields[0]].__class__ is not str:
            return NOWHERE
        field = fields[0]
        return delta[field], lambda chunk: chunk["choices"][0]["delta"][field]


def _text(part: Any) -> str:
    text = part.get("text") if isinstance(part, dict) else None
    return text if isinstance(text, str) else ""


def _called(delta: dict[str, Any]) -> str:
    """Function names and arguments; empty for a delta that only opens a call."""
    calls = delta.get("tool_calls")
    if not calls and "function_call" not in delta:
        return ""
    functions = [call.get("function") for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    functions.append(delta.get("function_call"))
    texts = [function.get(key) for function in functions if isinstance(function, dict) for key in ("name", "arguments")]
    return "".join(text for text in texts if isinstance(text, str))
