"""Rate-limit headers, and what else an answer's head tells of the target, → the contract's columns.

Four dialects: OpenAI's ``x-ratelimit-{limit,remaining,reset}-{requests,tokens}`` (Groq and Azure alike), Anthropic's
``anthropic-ratelimit-{requests,tokens,…}-{limit,remaining,reset}``, Together's ``x-ratelimit-*`` and ``x-tokenlimit-*``, and
``retry-after``. A reset is told as a Go duration (``6m0s``), as seconds, as an instant in RFC 3339, or in seconds or
milliseconds of the Unix epoch; the columns hold seconds from the answer on. Groq's ``limit-requests`` is per day, the others' per
minute: no header says which, so the number is kept as it came.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from generator.apis.api import Headers, Limits

# First named, first taken: the combined limit before the input limit, the milliseconds before the rounded seconds.
_LIMIT_REQUESTS = (b"x-ratelimit-limit-requests", b"anthropic-ratelimit-requests-limit", b"x-ratelimit-limit")
_REMAINING_REQUESTS = (
    b"x-ratelimit-remaining-requests",
    b"anthropic-ratelimit-requests-remaining",
    b"x-ratelimit-remaining",
)
_RESET_REQUESTS = (b"x-ratelimit-reset-requests", b"anthropic-ratelimit-requests-reset", b"x-ratelimit-reset")
_LIMIT_TOKENS = (
    b"x-ratelimit-limit-tokens",
    b"anthropic-ratelimit-tokens-limit",
    b"anthropic-ratelimit-input-tokens-limit",
    b"x-tokenlimit-limit",
)
_REMAINING_TOKENS = (
    b"x-ratelimit-remaining-tokens",
    b"anthropic-ratelimit-tokens-remaining",
    b"anthropic-ratelimit-input-tokens-remaining",
    b"x-tokenlimit-remaining",
)
_RESET_TOKENS = (
    b"x-ratelimit-reset-tokens",
    b"anthropic-ratelimit-tokens-reset",
    b"anthropic-ratelimit-input-tokens-reset",
    b"x-tokenlimit-reset",
)
_RETRY_MS = (b"retry-after-ms",)
_RETRY = (b"retry-after", b"llm_provider-retry-after")  # the second is LiteLLM's, which passes on no other hint
_SERVER_MS = (b"openai-processing-ms", b"x-envoy-upstream-service-time")
_REQUEST_ID = (b"x-request-id", b"request-id")

_NAMES = frozenset(
    name
    for names in (
        _LIMIT_REQUESTS,
        _REMAINING_REQUESTS,
        _RESET_REQUESTS,
        _LIMIT_TOKENS,
        _REMAINING_TOKENS,
        _RESET_TOKENS,
        _RETRY_MS,
        _RETRY,
        _SERVER_MS,
        _REQUEST_ID,
    )
    for name in names
)
_SILENT = Limits()

_GO_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_GO_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_EPOCH_S = 1e9  # no limit resets in thirty years: a larger number is an instant
_EPOCH_MS = 1e12
_ID_CHARS = 200


def parse_limits(headers: Headers, now_utc_s: float | None = None) -> Limits:
    """``now_utc_s`` (seconds of the epoch) is what instants count from; without it, the answer's own ``date``."""
    found = {name: value.decode("utf-8", "replace").strip() for name, value in headers if name in _NAMES}
    if not found:
        return _SILENT

    def seconds(names: tuple[bytes, ...]) -> float | None:
        return _seconds(_first(found, names), headers, now_utc_s)

    limit_requests, remaining_requests = _allowance(found, _LIMIT_REQUESTS, _REMAINING_REQUESTS)
    limit_tokens, remaining_tokens = _allowance(found, _LIMIT_TOKENS, _REMAINING_TOKENS)
    retry_ms = _number(_first(found, _RETRY_MS))
    return Limits(
        retry_after_s=seconds(_RETRY) if retry_ms is None else retry_ms / 1e3,
        limit_requests=limit_requests,
        remaining_requests=remaining_requests,
        reset_requests_s=seconds(_RESET_REQUESTS),
        limit_tokens=limit_tokens,
        remaining_tokens=remaining_tokens,
        reset_tokens_s=seconds(_RESET_TOKENS),
        server_ms=_number(_first(found, _SERVER_MS)),
        server_request_id=_first(found, _REQUEST_ID)[:_ID_CHARS] or None,
    )


def _first(found: dict[bytes, str], names: tuple[bytes, ...]) -> str:
    for name in names:
        if name in found:
            return found[name]
    return ""


def _allowance(
    found: dict[bytes, str], limit: tuple[bytes, ...], remaining: tuple[bytes, ...]
) -> tuple[int | None, int | None]:
    """(limit, remaining). Azure's "-1/0" means that it does not say: without a limit above zero there is nothing to remain of."""
    told = _first(found, limit)
    most = _number(told)
    left = _number(_first(found, remaining))
    if told and not most:
        return None, None
    return _integer(most), _integer(left)


def _integer(value: float | None) -> int | None:
    return None if value is None or value >= 2**63 else int(value)


def _number(text: str) -> float | None:
    """A finite number that is not negative."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _seconds(text: str, headers: Headers, now_utc_s: float | None) -> float | None:
    """Seconds from now out of any of the formats; None where it is none of them, or an instant and now is not known."""
    if not text:
        return None
    value = _number(text)
    if value is not None and value < _EPOCH_S:
        return value
    instant = _rfc_3339(text) or _http_date(text) if value is None else value / (1e3 if value >= _EPOCH_MS else 1)
    if instant is not None:
        if now_utc_s is None:  # read only here: few limits are instants, and a date costs more than all other headers
            now_utc_s = _http_date(next((v.decode("latin-1") for n, v in headers if n == b"date"), ""))
        return None if now_utc_s is None else max(0.0, instant - now_utc_s)
    parts = _GO_PART.findall(text)
    if "".join(amount + unit for amount, unit in parts) != text:
        return None
    return sum(float(amount) * _GO_SECONDS[unit] for amount, unit in parts)


def _rfc_3339(text: str) -> float | None:
    try:
        instant = datetime.fromisoformat(text)
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _http_date(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
