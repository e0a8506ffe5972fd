"""Rate-limit headers, and what else an answer's head tells of the target, → the contract's columns.

The dialects: OpenAI's ``x-ratelimit-{limit,remaining,reset}-{requests,tokens}`` (Groq and Azure alike, with ``-tokens_usage_based`` and
``-project-tokens`` beside them), Fireworks' ``…-tokens-prompt``, ``-tokens-cache-adjusted-prompt`` and ``-tokens-generated``, Anthropic's
``anthropic-ratelimit-{requests,tokens,…}-{limit,remaining,reset}``, Together's ``x-ratelimit-*`` and ``x-tokenlimit-*``, and
``retry-after``. A reset is told as a Go duration (``6m0s``), as seconds, as an instant in RFC 3339, or in seconds or
milliseconds of the Unix epoch; the columns hold seconds from the answer on. Groq's ``limit-requests`` is per day, Together's per
second, the others' per minute: no header says which, so the number is kept as it came, and ``providers.py`` says which is whose.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from generator.apis.api import Headers, Limits

Family = tuple[bytes, bytes, bytes]
"""Names of limit, remaining and reset of one allowance."""


def _openai(what: bytes) -> Family:
    return b"x-ratelimit-limit" + what, b"x-ratelimit-remaining" + what, b"x-ratelimit-reset" + what


def _anthropic(what: bytes) -> Family:
    start = b"anthropic-ratelimit-" + what
    return start + b"-limit", start + b"-remaining", start + b"-reset"


# The first allowance that tells something fills the columns, all three from the same one: the combined limit goes before the input
# limit, the organization's before a project's, what is enforced before what is smoothed.
_REQUESTS = (
    _openai(b"-requests"),
    _anthropic(b"requests"),
    _openai(b""),  # Together
    (b"x-ratelimit-limit-dynamic", b"x-ratelimit-remaining-dynamic", b"x-ratelimit-reset-dynamic"),
)
_TOKENS = (
    _openai(b"-tokens"),
    _anthropic(b"tokens"),
    _anthropic(b"input-tokens"),
    _anthropic(b"output-tokens"),
    (b"x-tokenlimit-limit", b"x-tokenlimit-remaining", b"x-tokenlimit-reset"),
    (b"x-tokenlimit-limit-dynamic", b"x-tokenlimit-remaining-dynamic", b"x-tokenlimit-reset-dynamic"),
    _openai(b"-tokens_usage_based"),
    _openai(b"-project-tokens"),
    _openai(b"-tokens-prompt"),  # Fireworks: cached and uncached input together
    _openai(b"-tokens-cache-adjusted-prompt"),
    _openai(b"-tokens-generated"),
)
_PASSED_ON = b"llm_provider-"
"""LiteLLM hands its upstream's headers on under this prefix."""

# Milliseconds go before the rounded seconds.
_RETRY_MS = (b"retry-after-ms",)
_RETRY = (b"retry-after",)
_SERVER_MS = (b"openai-processing-ms", b"x-envoy-upstream-service-time")
_SERVER_S = (b"fireworks-server-processing-time",)
_REQUEST_ID = (b"x-request-id", b"request-id", b"apim-request-id")

_NAMES = frozenset(
    name for names in (*_REQUESTS, *_TOKENS, _RETRY_MS, _RETRY, _SERVER_MS, _SERVER_S, _REQUEST_ID) for name in names
)
_SILENT = Limits()

_GO_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_GO_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_EPOCH_S = 1e9  # no limit resets in thirty years: a larger number is an instant
_EPOCH_MS = 1e12
_ID_CHARS = 200


def parse_limits(headers: Headers, now_utc_s: float | None = None) -> Limits:
    """``now_utc_s`` (seconds of the epoch) is what instants count from; without it, the answer's own ``date``."""
    found: dict[bytes, str] = {}
    for name, value in headers:
        if name in _NAMES:
            found[name] = value.decode("utf-8", "replace").strip()
        elif name.startswith(_PASSED_ON) and name[len(_PASSED_ON) :] in _NAMES:
            found.setdefault(name[len(_PASSED_ON) :], value.decode("utf-8", "replace").strip())
    if not found:
        return _SILENT

    limit_requests, remaining_requests, reset_requests = _allowance(found, _REQUESTS)
    limit_tokens, remaining_tokens, reset_tokens = _allowance(found, _TOKENS)
    retry_ms = _number(_first(found, _RETRY_MS))
    server_ms = _number(_first(found, _SERVER_MS))
    server_s = _number(_first(found, _SERVER_S))
    if server_ms is None and server_s is not None and server_s < _EPOCH_S:
        server_ms = server_s * 1e3
    return Limits(
        retry_after_s=_seconds(_first(found, _RETRY), headers, now_utc_s) if retry_ms is None else retry_ms / 1e3,
        limit_requests=limit_requests,
        remaining_requests=remaining_requests,
        reset_requests_s=_seconds(reset_requests, headers, now_utc_s),
        limit_tokens=limit_tokens,
        remaining_tokens=remaining_tokens,
        reset_tokens_s=_seconds(reset_tokens, headers, now_utc_s),
        server_ms=server_ms,
        server_request_id=_first(found, _REQUEST_ID)[:_ID_CHARS] or None,
    )


def _first(found: dict[bytes, str], names: tuple[bytes, ...]) -> str:
    for name in names:
        if name in found:
            return found[name]
    return ""


def _allowance(found: dict[bytes, str], families: tuple[Family, ...]) -> tuple[int | None, int | None, str]:
    """(limit, remaining, reset as text) of the first allowance that says anything. Azure's "-1/0" means that it does not say: a limit
    that is not above zero speaks of no allowance.
    """
    for limit, remaining, reset in families:
        if limit not in found and remaining not in found and reset not in found:
            continue
        told = found.get(limit)
        most = _integer(_number(told or ""))
        left = _integer(_number(found.get(remaining, "")))
        if most or (told is None and (left is not None or reset in found)):
            return most, left, found.get(reset, "")
    return None, None, ""


def _integer(value: float | None) -> int | None:
    return None if value is None or value >= 2**63 else int(value)


def _number(text: str) -> float | None:
    """A finite number that is not negative."""
    if not text:
        return None  # most headers are not there, and an exception for each would cost more than all the rest
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
