"""OpenAI Chat Completions: what a request asks, and the bytes of an answer."""

from __future__ import annotations

from typing import Any

from simulator import troubles, wire
from simulator.asked import Asked, conversation, json_object, length_of, model_of
from simulator.connection import HttpRequest
from simulator.form import CONTENT, Form, Said, Shape
from simulator.settings import Settings

DONE = b"data: [DONE]\n\n"
OWN, WITH_FINISH, GROWING = "own", "with-finish", "growing"


def parse(request: HttpRequest, settings: Settings) -> Asked:
    """Raises :class:`BadRequestError`."""
    asked = json_object(request.body)
    model = model_of(asked)
    said = conversation(asked.get("messages"))
    return Asked(
        model=model,
        words=said.words,
        stream=asked.get("stream") is True,
        max_tokens=length_of(asked, ("max_completion_tokens", "max_tokens"), settings.output_tokens_max),
        style=usage_style(asked, settings),
        roles=said.roles,
        message_hashes=said.hashes,
    )


def usage_style(asked: dict[str, Any], settings: Settings) -> str:
    """Where a stream's usage goes; empty where none was asked for. ``continuous_usage_stats`` is vLLM's."""
    options = asked.get("stream_options")
    if not isinstance(options, dict) or options.get("include_usage") is not True:
        return ""
    return GROWING if options.get("continuous_usage_stats") is True else settings.usage


class OpenAIForm(Form):
    """What the two completions APIs share: usage, ids, errors, ``[DONE]``."""

    kind = ""
    last_mark = DONE

    def _is_ordered(self) -> bool:
        return self.style == GROWING

    def headers(self, processing_ms: int) -> wire.Headers:
        return [(b"openai-processing-ms", b"%d" % processing_ms)]

    def trouble(self, shape: Shape, kind: str, message: str) -> bytes:
        return wire.sse(self.trouble_document(shape, kind, message))

    def trouble_document(self, _shape: Shape, kind: str, message: str) -> Any:
        return troubles.document(troubles.OPENAI, kind, message)

    def _object(self, shape: Shape, kind: str, choices: list[Any], **more: Any) -> dict[str, Any]:
        found = {"id": shape.ident, "object": kind, "created": shape.created, "model": self.model, "choices": choices}
        return found | more

    def _chunk(self, shape: Shape, choices: list[Any], counts: dict[str, Any] | None = None) -> bytes:
        return wire.sse(self._object(shape, self.kind, choices, **({"usage": counts} if self.style else {})))

    def _so_far(self, shape: Shape, index: int) -> dict[str, Any] | None:
        """Counts after chunk ``index``, for a usage that grows."""
        return usage(shape, (index + 1) * shape.tokens_per_chunk) if self.style == GROWING else None

    def _end(self, shape: Shape, choice: list[Any]) -> list[bytes]:
        counts = usage(shape)
        found = [self._chunk(shape, choice, counts if self.style in (WITH_FINISH, GROWING) else None)]
        if self.style in (OWN, GROWING):
            found.append(self._chunk(shape, [], counts))
        return found


class ChatForm(OpenAIForm):
    prefix = "chatcmpl-"
    kind = "chat.completion.chunk"

    def event(self, shape: Shape, index: int, kind: str, text: str) -> bytes:
        field = "content" if kind == CONTENT else "reasoning"
        return self._chunk(shape, _choice({field: text}), self._so_far(shape, index))

    def opening(self, shape: Shape) -> list[bytes]:
        return [self._chunk(shape, _choice({"role": "assistant", "content": ""}), self._so_far(shape, -1))]

    def closing(self, shape: Shape, _said: Said) -> list[bytes]:
        return self._end(shape, _choice({}, finish_reason(shape)))

    def document(self, shape: Shape, said: Said) -> Any:
        message = {"role": "assistant", "content": said.content}
        if said.reasoning:
            message["reasoning"] = said.reasoning
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason(shape)}
        return self._object(shape, "chat.completion", [choice], usage=usage(shape))


def finish_reason(shape: Shape) -> str:
    return "stop" if shape.stopped else "length"


def usage(shape: Shape, output_tokens: int | None = None) -> dict[str, Any]:
    """``output_tokens``: so many so far; the whole answer's without it."""
    told = shape.output_tokens if output_tokens is None else min(output_tokens, shape.output_tokens)
    return {
        "prompt_tokens": shape.input_tokens,
        "completion_tokens": told,
        "total_tokens": shape.input_tokens + told,
        "prompt_tokens_details": {"cached_tokens": shape.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": min(told, shape.reasoning_tokens)},
    }


def _choice(delta: dict[str, Any], finished: str | None = None) -> list[Any]:
    return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finished}]
