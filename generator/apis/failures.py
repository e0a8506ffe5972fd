"""What an error answer says: HTTP status, headers and body, or an error object inside a 2xx, → an outcome of the contract.

The shapes are those of OpenAI, Anthropic, vLLM, FastAPI, Google, and gateways that answer in text or HTML. Which 429 is about a
rate and which about money is OpenAI's list of codes; a 429 that names none of these is a rate limit. Anthropic tells of a spent
balance or a spend cap with its codes for other things, so there the message decides.
"""

from __future__ import annotations

import html
import re
from typing import Any

import orjson

from generator.apis.api import Failure, Headers
from generator.apis.stated import stated

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
        "billing_error",  # Anthropic's 402
    }
)
OVERLOADED = frozenset({"overloaded_error", "server_is_overloaded", "engine_overloaded_error"})
"""Types that, inside a 2xx answer or a 429, mean what 503 and 529 mean outside."""

# Anthropic: "Your credit balance is too low to access the Anthropic API" is a 400 invalid_request_error, "You have reached your
# specified API usage limits. You will regain access on ..." a 400 or a 429 without retry-after.
_MONEY = re.compile(
    r"credit balance is too low|reached your (?:specified )?(?:\w+ )?usage limits?\b|\bspend(?:ing)? (?:limit|cap)\b|insufficient balance",
    re.IGNORECASE,
)
_MAY_BE_MONEY = (400, 403, 429)
_STATES_LIMITS = (413, 429, 503)
"""413 is Groq's answer to one request that is above the limit by itself."""

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
        _outcome(status, words, message or ""),
        words[0] if words else f"http_{status}",
        message or (f"HTTP {status} with no body" if not body else None),
        stated(message) if message and status in _STATES_LIMITS else None,
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
    """At most ``chars`` characters, all of them storable."""
    if len(text) > chars:
        text = text[: chars - 1] + "…"
    return storable(text)


def storable(text: str) -> str:
    """``text`` as UTF-8 can hold it: JSON may spell lone surrogates."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _outcome(status: int, words: tuple[str, ...], message: str) -> str:
    if status == 402 or (status in _MAY_BE_MONEY and (QUOTA.intersection(words) or _MONEY.search(message))):
        return "quota"
    if status in (498, 503, 529):  # 498: Groq's "flex tier capacity exceeded"
        return "overloaded"
    if status == 429:
        return "overloaded" if OVERLOADED.intersection(words) else "rate_limited"
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
