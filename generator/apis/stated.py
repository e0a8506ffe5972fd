"""What the message of a refusal states of the limit that was hit: ``Limit 30000, Used 29500, Requested 654. Please try again in 308ms``.

OpenAI and Groq write it so, older OpenAI answers ``Limit: 3 / min. Current: 4 / min``, LiteLLM ``RPM limit=10, current usage=11``; Azure states the wait alone, Anthropic the limit
alone. One such message gives limit L, use U, charge R and the wait w of a token bucket, and so its refill, (U + R − L) / w.
"""

from __future__ import annotations

import re

from generator.apis.api import Stated

_AMOUNT = r"~?([\d,]+(?:\.\d+)?)"
_LIMIT = re.compile(rf"\blimit[:=]?\s*(?:of\s+)?{_AMOUNT}", re.IGNORECASE)
_USED = re.compile(rf"\b(?:used|current(?: usage)?)[:=]?\s*{_AMOUNT}", re.IGNORECASE)
_REQUESTED = re.compile(rf"\brequested:?\s*{_AMOUNT}", re.IGNORECASE)
_WAIT = re.compile(
    r"\b(?:try again in|retry after)\s*((?:\d+(?:\.\d+)?\s*(?:ms|s|m|h|d)(?![a-z]))+|\d+(?:\.\d+)?\s*seconds?)",
    re.IGNORECASE,
)
_SHORT = re.compile(r"\((TPM|RPM|TPD|RPD|IPM|ITPM|OTPM|TPH|RPH|ASH|ASD)\)|\b(TPM|RPM) (?=limit=)")
_LONG = re.compile(
    r"\b((?:(?:input|output|uncached|prompt|generated|cached)\s+)*(?:tokens|requests)\s+per\s+(?:second|sec|minute|min|hour|day))\b",
    re.IGNORECASE,
)
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|seconds?|s|m|h|d)", re.IGNORECASE)
_S = {"ms": 1e-3, "s": 1.0, "second": 1.0, "seconds": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_MOST = 2**53
"""A larger number is no limit, and floats hold it no longer."""


def stated(message: str) -> Stated | None:
    """None unless the message states a limit or a wait: other figures are about something else."""
    limit, wait = _amount(_LIMIT, message), _WAIT.search(message)
    if limit is None and wait is None:
        return None
    dimension = _SHORT.search(message) or _LONG.search(message)
    return Stated(
        dimension=None if dimension is None else " ".join((dimension[1] or dimension[2]).split()),
        limit=limit,
        used=_amount(_USED, message),
        requested=_amount(_REQUESTED, message),
        wait_s=None if wait is None else sum(float(n) * _S[unit.lower()] for n, unit in _PART.findall(wait[1])),
    )


def _amount(pattern: re.Pattern[str], message: str) -> int | None:
    found = pattern.search(message)
    digits = found[1].replace(",", "") if found else ""
    value = float(digits) if digits.strip(".") else _MOST
    return round(value) if value < _MOST else None
