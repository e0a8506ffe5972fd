"""Quantities as a person writes them: ``20/s``, ``500ms``, ``99%``, ``$5``. Each function takes what YAML or a flag gave.

All raise :class:`UnitError`, whose text says what is wrong with the value and shows one that is right. A bare number is
refused wherever a unit can be meant: nobody should have to guess whether ``30`` was seconds.
"""

from __future__ import annotations

import difflib
import re
from decimal import Decimal, InvalidOperation
from typing import Any

_NUMBER = r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE]([+-]?[0-9]{1,3}))?"
_DURATION_PART = re.compile(_NUMBER + r"\s*([^\W\d_]+)\s*")
_RATE = re.compile(_NUMBER + r"\s*/\s*([^\W\d_]+)\Z")
_SHARE = re.compile(_NUMBER + r"\s*%\Z")
_SIZE = re.compile(_NUMBER + r"\s*([^\W\d_]+)\Z")
_MONEY = re.compile(r"\$\s*" + _NUMBER + r"\Z|" + _NUMBER + r"\s*USD\Z")

NS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "min": 60 * 10**9}
NS |= {"h": 3600 * 10**9, "d": 86_400 * 10**9}
"""Nanoseconds in each unit of time; ``m`` is minutes, as in Go and k6."""

_BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_BYTES |= {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
LARGEST_BYTES = 10**13

LONGEST_NS = 366 * NS["d"]
HIGHEST_RPS = 1e6

_PER_S = {
    "s": 1,
    "sec": 1,
    "second": 1,
    "m": 60,
    "min": 60,
    "minute": 60,
    "h": 3600,
    "hour": 3600,
    "d": 86_400,
    "day": 86_400,
}


class UnitError(ValueError):
    """The text is no such quantity; the message says why and shows one."""


def _number(text: str, exponent: str | None) -> Decimal:
    try:
        return Decimal(f"{text}e{exponent or 0}")
    except InvalidOperation:
        raise UnitError(f"{text!r} is not a number") from None


def _nearest_unit(unit: str, units: dict[str, int]) -> str:
    near = difflib.get_close_matches(unit, units, 1, 0.5) or difflib.get_close_matches(unit[:1], units, 1, 0.3)
    hint = f"; nearest: {near[0]!r}" if near else ""
    return f"unknown unit {unit!r}{hint} (units: {', '.join(units)})"


def duration_ns(value: Any) -> int:
    """``500ms``, ``1.5h``, ``1m30s`` → nanoseconds, ≥ 0. A plain 0 needs no unit."""
    if value == 0 and not isinstance(value, bool):
        return 0
    if not isinstance(value, str):
        example = (
            f"; write {value}s or {value}ms" if isinstance(value, int | float) and not isinstance(value, bool) else ""
        )
        raise UnitError(f"a duration with its unit is wanted, such as 30s, not {value!r}{example}")
    text, at, total = value.strip(), 0, Decimal(0)
    if text.startswith("-"):
        raise UnitError(f"a duration cannot be negative: {value!r}")
    while part := _DURATION_PART.match(text, at):
        number, exponent, unit = part.groups()
        if unit not in NS:
            raise UnitError(f"{value!r}: {_nearest_unit(unit, NS)}")
        total += _number(number, exponent) * NS[unit]
        at = part.end()
    if at != len(text) or not text:
        raise UnitError(f"a duration with its unit is wanted, such as 30s, 500ms or 1.5h, not {value!r}")
    if total > LONGEST_NS:
        raise UnitError(f"{value!r} is longer than a year")
    return int(total.to_integral_value())


def rate_rps(value: Any) -> float:
    """``20/s``, ``600/min``, ``5/h`` → arrivals a second, ≥ 0. Whether 0 makes sense is the caller's to say."""
    if not isinstance(value, str):
        example = f"; write {value}/s" if isinstance(value, int | float) and not isinstance(value, bool) else ""
        raise UnitError(f"a rate with its unit is wanted, such as 20/s, not {value!r}{example}")
    text = value.strip()
    if text.startswith("-"):
        raise UnitError(f"a rate cannot be negative: {value!r}")
    found = _RATE.match(text)
    if not found:
        raise UnitError(f"a rate is wanted, such as 20/s or 600/min, not {value!r}")
    number, exponent, unit = found.groups()
    if unit not in _PER_S:
        raise UnitError(f"{value!r}: {_nearest_unit(unit, _PER_S)}")
    rate = float(_number(number, exponent)) / _PER_S[unit]
    if rate > HIGHEST_RPS:
        raise UnitError(f"{value!r} is more than {HIGHEST_RPS:,.0f} arrivals a second")
    return rate


def share(value: Any) -> float:
    """``99%`` or 0.99 → 0.99, within [0, 1]."""
    if isinstance(value, str) and (found := _SHARE.match(value.strip())):
        result = float(_number(*found.groups()) / 100)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        result = float(value)
    else:
        raise UnitError(f"a share is wanted, such as 99% or 0.99, not {value!r}")
    if not 0 <= result <= 1:
        hint = f"; write {value}%" if not isinstance(value, str) and 1 < result <= 100 else ""
        raise UnitError(f"a share lies between 0% and 100%, not {value!r}{hint}")
    return result


def size_bytes(value: Any) -> int:
    """``256MB``, ``1 GiB`` → bytes, > 0. Units in decimal and binary steps, as the SI and the IEC have them."""
    if isinstance(value, str) and (found := _SIZE.match(value.strip())):
        number, exponent, unit = found.groups()
        if unit not in _BYTES:
            raise UnitError(f"{value!r}: {_nearest_unit(unit, _BYTES)}")
        size = int(_number(number, exponent) * _BYTES[unit])
        if not 0 < size <= LARGEST_BYTES:
            raise UnitError(f"a size lies above 0 and up to {LARGEST_BYTES // _BYTES['TB']} TB, not {value!r}")
        return size
    example = f"; write {value}B" if isinstance(value, int) and not isinstance(value, bool) else ""
    raise UnitError(f"a size with its unit is wanted, such as 256MB, not {value!r}{example}")


def money_usd(value: Any) -> float:
    """``$5``, ``5 USD`` or 5 → 5.0, ≥ 0."""
    if isinstance(value, str) and (found := _MONEY.match(value.strip())):
        groups = found.groups()
        return float(_number(*(groups[:2] if groups[0] else groups[2:])))
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf"):
        return float(value)
    raise UnitError(f"an amount in US dollars is wanted, such as $5 or 0.6, not {value!r}")
