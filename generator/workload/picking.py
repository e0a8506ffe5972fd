"""What to say, out of one record of a dataset: a text, a conversation as OpenAI's chat spells it, or a list of turns.

The shape tells which it is, not the field's name:

    "text"                                                  → one prompt
    ["first", "second"]                                     → turns (MT-bench); the first is the prompt
    [{"role": "user", "content": …}, …]                     → messages (OpenAI)
    [{"from": "human", "value": …}, {"from": "gpt", …}, …]  → messages (ShareGPT)

Answers after the last thing that a person says are left out: they are what the target is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from generator.apis.api import Messages
from generator.workload import tables

KNOWN_FIELDS = ("prompt", "messages", "conversations", "conversation", "turns")
"""Where a prompt is looked for when no field is named, first found first."""

_ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "model": "assistant",
    "system": "system",
    "developer": "developer",
    "tool": "tool",
}


@dataclass(frozen=True, slots=True)
class Picked:
    """``text``: the prompt, of a conversation its last message; ``messages``: the conversation up to there, None for a plain text;
    ``turns``: all that a person says in it, in order.
    """

    text: str
    messages: Messages | None
    turns: tuple[str, ...]


class NothingError(ValueError):
    """The field is there, in a known shape, and there is nothing in it to ask."""


def pick(record: Any, field: str | None, *, whole: bool = False) -> Picked:
    """``field`` may lead inside with dots. ``whole``: a record without a known field is its own JSON text. Raises ValueError, which
    says what is wrong but not where, and NothingError for an empty prompt.
    """
    if isinstance(record, str):
        return _text(record)
    value = _field(record, field)
    if value is None:
        if whole and field is None:
            return _text(tables.as_json(record).decode())
        raise ValueError(_missing(record, field))
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return _listed(value)
    name = field or next(name for name in KNOWN_FIELDS if name in record)
    raise ValueError(f"`{name}` is neither a text nor a list of messages, but {_short(value)}")


def number(record: Any, field: str) -> int:
    """A count of tokens, at least 1. Raises ValueError."""
    value = _field(record, field)
    if value is None:
        raise ValueError(_missing(record, field))
    try:
        count = float(value)
    except (TypeError, ValueError):
        count = 0.0
    if isinstance(value, bool) or count != int(count) or not 1 <= count < 2**31:
        raise ValueError(f"`{field}` is no number of tokens, but {_short(value)}")
    return int(count)


def _field(record: Any, field: str | None) -> Any:
    if field is None:
        return next((record[name] for name in KNOWN_FIELDS if record.get(name) is not None), None)
    if field in record:
        return record[field]
    value = record
    for part in field.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _missing(record: dict[str, Any], field: str | None) -> str:
    there = ", ".join(str(name) for name in record) or "nothing"
    if field is not None:
        return f"no field `{field}`; it has {there}"
    return (
        f"none of the fields {', '.join(KNOWN_FIELDS)}; it has {there}; name the field that holds the prompt (field: …)"
    )


def _text(text: str) -> Picked:
    if not text.strip():
        raise NothingError("the prompt is empty")
    return Picked(text, None, (text,))


def _listed(items: list[Any]) -> Picked:
    if items and all(isinstance(item, str) for item in items):
        turns = tuple(turn for turn in items if turn.strip())
        if not turns:
            raise NothingError("the prompt is empty")
        return Picked(turns[0], None, turns)
    messages = [_message(item, number) for number, item in enumerate(items, 1)]
    while messages and messages[-1]["role"] == "assistant":
        messages.pop()
    turns = tuple(text for m in messages if m["role"] == "user" and (text := _said(m)).strip())
    if not turns:
        raise NothingError("the conversation has no message of a person")
    return Picked(_said(messages[-1]), tuple(messages), turns)


def _message(item: Any, number: int) -> dict[str, Any]:
    """OpenAI's form as it is; ShareGPT's ``from`` and ``value`` renamed."""
    if isinstance(item, dict):
        if isinstance(item.get("role"), str) and "content" in item:
            return item
        role, value = item.get("from"), item.get("value")
        if isinstance(role, str) and isinstance(value, str):
            if role.lower() not in _ROLES:
                raise ValueError(f"message {number} is from {role!r}; known: {', '.join(_ROLES)}")
            return {"role": _ROLES[role.lower()], "content": value}
    raise ValueError(f"message {number} has neither role and content nor from and value: {_short(item)}")


def _said(message: dict[str, Any]) -> str:
    """The text of a message, whose content may be a list of parts."""
    content = message["content"]
    if isinstance(content, list):
        return "\n".join(str(p["text"]) for p in content if isinstance(p, dict) and "text" in p)
    return content if isinstance(content, str) else ""


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
