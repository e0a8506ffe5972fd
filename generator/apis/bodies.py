"""From a call to the bytes of its body: what the APIs' encoders share."""

from __future__ import annotations

import json
from typing import Any

import orjson

from generator.apis.api import Call, Encoded, Messages


def post(
    path: str, body: dict[str, Any], call: Call, *, stream: bool, headers: tuple[tuple[str, str], ...] = ()
) -> Encoded:
    """A POST of ``body`` with ``call.body`` laid over it: ``stream_options`` key by key, and null takes a field away."""
    if call.body:
        ours = body.get("stream_options", {})
        body |= call.body
        if isinstance(body.get("stream_options"), dict):
            body["stream_options"] = ours | body["stream_options"]
        body = {key: value for key, value in body.items() if value is not None}
    accept = "text/event-stream" if stream else "application/json"
    return Encoded("POST", path, (("content-type", "application/json"), ("accept", accept), *headers), _dumps(body))


def turns(call: Call) -> Messages:
    """The conversation to send: the call's own, else its prompt as the user's one turn."""
    return call.messages or ({"role": "user", "content": call.prompt},)


def transcript(messages: Messages, *, reply: bool) -> str:
    """A conversation as one text, for an API without roles: ``User: Hi``, turns parted by a blank line, and with ``reply`` an open
    ``Assistant:`` at the end for the model to go on.
    """
    spoken = [f"{str(turn.get('role') or 'user').capitalize()}: {text_of(turn.get('content'))}" for turn in messages]
    return "\n\n".join([*spoken, "Assistant:"] if reply else spoken)


def text_of(content: Any) -> str:
    """The text of a message's content: a string, or a list of parts of which those with a ``text`` count."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = [part.get("text") if isinstance(part, dict) else part for part in content]
    return "\n".join(text for text in texts if isinstance(text, str))


def _dumps(body: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError:  # lone surrogates and integers beyond 64 bits, which records of a dataset may hold
        return json.dumps(body, default=str).encode()
