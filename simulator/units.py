"""Text → numbers, with units. Each parser takes what YAML or a command line gives and raises ValueError with a remedy."""

from __future__ import annotations

import re
from fractions import Fraction

_DURATION_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "min": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
}
_NUMBER = r"(\d+(?:\.\d*)?|\.\d+)"
_DURATION = re.compile(_NUMBER + r"\s*([a-zµ]*)")
_SHARE = re.compile(_NUMBER + r"\s*(%?)")


def duration_ns(value: object) -> int:
    """``"50ms"`` → 50,000,000. Only 0 may come without its unit."""
    match = _DURATION.fullmatch(str(value).strip())
    if match is None:
        raise ValueError(f"{value!r} is not a duration; write it like 50ms, 1.5s or 20us")
    number, unit = match.groups()
    if unit == "" and float(number) == 0:
        return 0
    if unit not in _DURATION_NS:
        raise ValueError(f"{value!r} needs one of the units {', '.join(_DURATION_NS)}, as in 50ms")
    return round(Fraction(number) * _DURATION_NS[unit])


def share(value: object) -> float:
    """``"10%"`` or ``0.1`` → 0.1; between 0 and 1."""
    match = _SHARE.fullmatch(str(value).strip())
    if match is None:
        raise ValueError(f"{value!r} is not a share; write it like 0.1 or 10%")
    found = float(match[1]) / (100 if match[2] else 1)
    if found > 1:
        raise ValueError(f"{value!r} is more than 100%")
    return found


def factor(value: object) -> float:
    """A plain number above 0."""
    try:
        found = float(str(value))
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise ValueError(f"{value!r} is not a number above 0")
    return found


def count(value: object) -> int:
    """A whole number from 0; underscores allowed."""
    text = str(value).strip()
    if isinstance(value, bool) or not re.fullmatch(r"\d[\d_]*", text):
        raise ValueError(f"{value!r} is not a whole number")
    return int(text)


def positive(value: object) -> int:
    """A whole number from 1."""
    found = count(value)
    if found == 0:
        raise ValueError("must be at least 1")
    return found


def text(value: object) -> str:
    return str(value)
