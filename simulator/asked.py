"""What a request asks for, whatever its API, and the parts that their parsers share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from simulator.words import fingerprint


class BadRequestError(ValueError):
    """The text is for the client; ``param`` names the field."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True)
class Asked:
    """``words`` are all that count as input; ``templated``: a chat template's tokens come on top. ``max_tokens`` is None where the
    request leaves it open. ``style`` and ``own`` are the form's (:mod:`simulator.form`), ``more`` what else it needs.
    """

    model: str
    words: int
    stream: bool
    max_tokens: int | None = None
    templated: bool = True
    generates: bool = True
    style: str = ""
    own: tuple[str, ...] | None = None
    more: Any = None
    roles: list[str] = field(default_factory=list)
    message_hashes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Conversation:
    """Reads messages one by one: their words, roles, and the fingerprint of each one's text."""

    words: int = 0
    roles: list[str] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)

    def take(self, role: str, content: Any) -> None:
        """``content``: a text, or a list of parts that hold one each under ``text``; anything else counts as no text."""
        parts = content if isinstance(content, list) else [{"text": content}]
        said = [part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]
        text = said[0] if len(said) == 1 else "".join(said)
        self.words += sum(len(part.split()) for part in said)
        self.roles.append(role)
        self.hashes.append(fingerprint(text))


def json_object(body: bytes) -> dict[str, Any]:
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"the body is not JSON: {error}") from None
    if not isinstance(asked, dict):
        raise BadRequestError("the body must be a JSON object")
    return asked


def model_of(asked: dict[str, Any]) -> str:
    model = asked.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequestError("you must provide a model parameter", "model")
    return model


def length_of(asked: dict[str, Any], names: tuple[str, ...], tokens_max: int) -> int | None:
    """The first of ``names`` that is given."""
    for name in names:
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


def conversation(messages: Any, name: str = "messages", roles: tuple[str, ...] = ()) -> Conversation:
    """Of a list of ``{"role": …, "content": …}``; ``roles`` are the ones allowed, any without it."""
    if not isinstance(messages, list) or not messages:
        raise BadRequestError(f"{name!r} must be a list with at least one message", name)
    found = Conversation()
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise BadRequestError("every message is an object with a role", name)
        role = message["role"]
        if roles and role not in roles:
            raise BadRequestError(f"{name}: unexpected role {role!r}; there are {', '.join(roles)}", name)
        found.take(role, message.get("content"))
    return found
