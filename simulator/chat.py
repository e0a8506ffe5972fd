"""A chat-completions request body → what it asks for, or the error that an OpenAI server answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson


class BadRequestError(ValueError):
    """The text is for the client; ``param`` names the field."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """``words`` counts those of all messages, split at white space; ``max_tokens`` is None where the request leaves it open."""

    model: str
    words: int
    max_tokens: int | None
    stream: bool
    include_usage: bool


def _words(messages: Any) -> int:
    if not isinstance(messages, list) or not messages:
        raise BadRequestError("'messages' must be a list with at least one message", "messages")
    words = 0
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise BadRequestError("every message is an object with a role", "messages")
        content = message.get("content")
        parts = content if isinstance(content, list) else [{"text": content}]
        for part in parts:
            text = part.get("text") if isinstance(part, dict) else None
            if isinstance(text, str):
                words += len(text.split())
    return words


def _limit(asked: dict[str, Any], tokens_max: int) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        value = asked.get(name)
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise BadRequestError(f"{name!r} must be a whole number of at least 1", name)
        if value > tokens_max:
            raise BadRequestError(
                f"{name} is too large: {value}. This model completes at most {tokens_max} tokens", name
            )
        return value
    return None


def parse(body: bytes, tokens_max: int) -> ChatRequest:
    """Raises :class:`BadRequestError`."""
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"the body is not JSON: {error}") from None
    if not isinstance(asked, dict):
        raise BadRequestError("the body must be a JSON object")
    model = asked.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequestError("you must provide a model parameter", "model")
    options = asked.get("stream_options")
    return ChatRequest(
        model=model,
        words=_words(asked.get("messages")),
        max_tokens=_limit(asked, tokens_max),
        stream=asked.get("stream") is True,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
    )
