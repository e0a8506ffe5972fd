"""Errors as each kind of API tells them: status, type and code, and the body around them.

OpenAI's shape is ``{"error": {message, type, param, code}}``; Anthropic's ``{"type": "error", "error": {type, message},
"request_id"}``, with 402 for money and 529 for overload; a plain service's ``{"detail": message}``, as FastAPI writes it, with 402
for money, since it has no other word for it.
"""

from __future__ import annotations

from typing import Any

import orjson

OPENAI, ANTHROPIC, PLAIN = "openai", "anthropic", "plain"

BAD_REQUEST = "bad request"
UNAUTHORIZED = "unauthorized"
UNKNOWN_PATH = "unknown path"
WRONG_METHOD = "wrong method"
TOO_LARGE = "too large"
RATE = "rate"
QUOTA = "quota"
FAILED = "failed"
OVERLOADED = "overloaded"

_INVALID = "invalid_request_error"
_TOLD: dict[str, dict[str, tuple[int, str, str | None]]] = {
    OPENAI: {
        BAD_REQUEST: (400, _INVALID, None),
        UNAUTHORIZED: (401, _INVALID, "invalid_api_key"),
        UNKNOWN_PATH: (404, _INVALID, "unknown_url"),
        WRONG_METHOD: (405, _INVALID, "method_not_allowed"),
        TOO_LARGE: (413, _INVALID, None),
        RATE: (429, "requests", "rate_limit_exceeded"),
        QUOTA: (429, "insufficient_quota", "insufficient_quota"),
        FAILED: (500, "server_error", None),
        OVERLOADED: (503, "server_error", "server_is_overloaded"),
    },
    ANTHROPIC: {
        BAD_REQUEST: (400, _INVALID, None),
        UNAUTHORIZED: (401, "authentication_error", None),
        UNKNOWN_PATH: (404, "not_found_error", None),
        WRONG_METHOD: (405, _INVALID, None),
        TOO_LARGE: (413, "request_too_large", None),
        RATE: (429, "rate_limit_error", None),
        QUOTA: (402, "billing_error", None),
        FAILED: (500, "api_error", None),
        OVERLOADED: (529, "overloaded_error", None),
    },
}
_MESSAGES = {
    UNAUTHORIZED: "Incorrect API key provided",
    RATE: "Rate limit reached",
    QUOTA: "You exceeded your current quota, please check your plan and billing details",
    FAILED: "The server had an error while processing your request",
    OVERLOADED: "The server is overloaded",
}


def status(shape: str, kind: str) -> int:
    """The HTTP status of ``kind``. A plain service has OpenAI's, but for money."""
    return 402 if (shape, kind) == (PLAIN, QUOTA) else _TOLD.get(shape, _TOLD[OPENAI])[kind][0]


def words(shape: str, kind: str) -> tuple[str, str | None]:
    """(type, code) of ``kind``."""
    _, error_type, code = _TOLD.get(shape, _TOLD[OPENAI])[kind]
    return error_type, code


def document(
    shape: str,
    kind: str,
    message: str | None = None,
    *,
    error_type: str | None = None,
    param: str | None = None,
    request_id: str | None = None,
) -> dict[str, Any]:
    """The error as an object. ``error_type`` in place of the usual one."""
    text = _MESSAGES[kind] if message is None else message
    usual, code = words(shape, kind)
    if shape == PLAIN:
        return {"detail": text}
    if shape == ANTHROPIC:
        told: dict[str, Any] = {"type": "error", "error": {"type": error_type or usual, "message": text}}
        return told | ({"request_id": request_id} if request_id else {})
    return {"error": {"message": text, "type": error_type or usual, "param": param, "code": code}}


def body(shape: str, kind: str, message: str | None = None, **more: str | None) -> bytes:
    """:func:`document` as bytes."""
    return orjson.dumps(document(shape, kind, message, **more))
