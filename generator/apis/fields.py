"""Values out of JSON that a target wrote, and that may therefore be anything: a wrong kind is None, never an exception."""

from __future__ import annotations

import json
import math
from typing import Any

import orjson

from generator.apis.failures import excerpt

WORD_CHARS = 200
COUNT_MAX = 2**31 - 1


def parse(data: bytes) -> Any:
    """JSON, and what orjson refuses but Python's own parser, which the SDKs use, takes: NaN in log-probabilities, lone
    surrogates. None for all else (and for ``null``).
    """
    try:
        return orjson.loads(data)
    except ValueError:
        try:
            return json.loads(data.decode("utf-8"))
        except (ValueError, RecursionError):
            return None


def count(value: Any) -> int | None:
    return value if value.__class__ is int and 0 <= value <= COUNT_MAX else None


def word(value: Any) -> str | None:
    return excerpt(value, WORD_CHARS) if value and value.__class__ is str else None


def total(*values: Any) -> float | None:
    """The sum of numbers; None unless all are finite ones."""
    if not all(value.__class__ in (int, float) and math.isfinite(value) for value in values):
        return None
    return float(sum(values))


def timings_ms(timings: Any) -> float | None:
    """llama.cpp's own account of an answer: the prompt's time and the tokens'."""
    return total(timings.get("prompt_ms"), timings.get("predicted_ms")) if isinstance(timings, dict) else None
