"""What an error answer says: HTTP status, headers and body, or an error object inside a 2xx, → an outcome of the contract.

The shapes are those of OpenAI, Anthropic, vLLM, FastAPI, Google, and gateways that answer in text or HTML. Which 429 is about a
rate and which about money is OpenAI's list of codes; a 429 that names none of these is a rate limit.
"""

from __future__ import annotations

import html
import re
from typing import Any

import orjson

from generator.apis.api import Failure, Headers

MESSAGE_CHARS = 500
BODY_BYTES = 64 * 1024
_WORD_CHARS = 200

QUOTA = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
    }
)
OVERLOADED = frozenset({"overloaded_error", "server_is_overloaded"})
"""Types that, inside a 2xx answer, mean what 503 and 529 mean outside."""

_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_UNSEEN = re.compile(r"<(script|style)\b.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]*>")


def classify(status: int, headers: Headers, body: bytes) -> Failure:
    """A non-2xx answer. ``body``: as much of it as was kept (64 KiB are looked at), content encoding undone."""
    words, message = _understand(body[:BODY_BYTES])
    if 300 <= status < 400:
        place = next((value.decode("latin-1") for name, value in headers if name == b"location"), "nowhere")
        return Failure("client_error", words[0] if words else "redirect", excerpt(f"redirected to {place}"))
    return Failure(
        _outcome(status, words),
        words[0] if words else f"http_{status}",
        message or (f"HTTP {status} with no body" if not body else None),
    )


def error_of(document: Any) -> tuple[tuple[str, ...], str | None]:
    """The error that a JSON document carries: its words (code before type, so the most telling first) and its message."""
    inner = document
    for _ in range(3):  # Google wraps the object in a list; "error" or "errors" hold it, alone or in a list
        if isinstance(inner, list) and inner:
            inner = inner[0]
        elif isinstance(inner, dict) and (inner.get("error") or inner.get("errors")):
            inner = inner.get("error") or inner.get("errors")
    if not isinstance(inner, dict):
        message = document.get("message") if isinstance(document, dict) else None
        return (), _message(message) or _message(inner)
    words = tuple(
        excerpt(word, _WORD_CHARS)
        for word in (inner.get("code"), inner.get("type"), inner.get("status"))
        if isinstance(word, str) and word
    )
    return words, _message(inner.get("message")) or _message(inner.get("detail"))


def in_stream(document: Any, data: bytes) -> Failure:
    """An error object inside a 2xx answer; ``data`` is what it was parsed from."""
    words, message = error_of(document)
    outcome = "overloaded" if OVERLOADED.intersection(words) else "stream_error"
    return Failure(outcome, words[0] if words else "error", message or _plain(data))


def malformed(data: bytes) -> Failure:
    """Bytes inside a 2xx answer that are not the API's."""
    return Failure("stream_error", "malformed", excerpt(f"not the API's: {data[:2000].decode('utf-8', 'replace')}"))


def excerpt(text: str, chars: int = MESSAGE_CHARS) -> str:
    """At most ``chars`` characters, all of them storable: JSON may spell lone surrogates, which UTF-8 cannot hold."""
    if len(text) > chars:
        text = text[: chars - 1] + "…"
    return text.encode("utf-8", "replace").decode("utf-8")


def _outcome(status: int, words: tuple[str, ...]) -> str:
    if status == 429:
        return "quota" if QUOTA.intersection(words) else "rate_limited"
    if status in (503, 529):
        return "overloaded"
    return "server_error" if status >= 500 else "client_error"


def _understand(body: bytes) -> tuple[tuple[str, ...], str | None]:
    try:
        words, message = error_of(orjson.loads(body))
    except orjson.JSONDecodeError:
        return (), _plain(body)
    return words, message or _plain(body)


def _plain(data: bytes) -> str | None:
    text = data.decode("utf-8", "replace")
    if text.lstrip()[:1] == "<":
        title = _TITLE.search(text)
        text = html.unescape(title.group(1) if title else _TAG.sub(" ", _UNSEEN.sub(" ", text)))
    return excerpt(" ".join(text.split())) or None


def _message(value: Any) -> str | None:
    if isinstance(value, str):
        return excerpt(value) or None
    if isinstance(value, list) and value and all(isinstance(item, dict) and "msg" in item for item in value):
        # FastAPI's list of what is wrong with a request: where, and what.
        return excerpt("; ".join(f"{_place(item.get('loc'))}: {item['msg']}" for item in value))
    return None


def _place(loc: Any) -> str:
    return ".".join(str(part) for part in loc) if isinstance(loc, list) else "request"
