"""Recorded traffic: a CSV, JSONL, JSON or Parquet file with a row a request → one normal form, as arrays.

The Azure LLM inference traces (TIMESTAMP, ContextTokens, GeneratedTokens) and Mooncake's (timestamp in ms, input_length,
output_length, hash_ids) load as they are; other names are given as ``columns``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generator.errors import ScenarioError
from generator.job import MANY
from generator.workload import tables
from generator.workload.tables import Row

_TIME_S = ("TIMESTAMP", "time", "time_s", "timestamp_s", "arrival_s", "arrived_at")
_TIME_MS = ("timestamp", "timestamp_ms", "time_ms")
INPUT = ("ContextTokens", "input_tokens", "input_length", "num_prefill_tokens", "prompt_tokens")
OUTPUT = ("GeneratedTokens", "output_tokens", "output_length", "num_decode_tokens", "completion_tokens")
"""Names that the columns of lengths are known by."""

_OPTIONAL = {"hash_ids": ("hash_ids",), "session_id": ("session_id", "conversation_id", "chat_id")}

_ID_LIMIT = 2**63


@dataclass(frozen=True, slots=True)
class Trace:
    """``times_ns`` [n] ascending, 0 at the window's start; ``lengths`` [n, 2] int32, input and output tokens ≥ 1. Where the file has
    them: ``ids``, the hash ids of all rows in a row, and ``ends`` [n], where each row's end; ``sessions`` [n], numbered from 0.
    """

    times_ns: NDArray[np.int64]
    lengths: NDArray[np.int32]
    ids: NDArray[np.int64] | None = None
    ends: NDArray[np.int64] | None = None
    sessions: NDArray[np.int64] | None = None

    @property
    def times_s(self) -> NDArray[np.float64]:
        return self.times_ns / 1e9


def load(
    path: Path,
    columns: dict[str, str] | None = None,
    start_s: float = 0.0,
    end_s: float | None = None,
    kind: str | None = None,
) -> Trace:
    """Rows with ``start_s`` ≤ time − first time < ``end_s``. ``columns`` renames time, input_tokens, output_tokens, hash_ids,
    session_id; a renamed time is seconds or a date. ``kind``: one of ``tables.FORMATS``. Raises ScenarioError with file and line.
    """
    read = list(_read(tables.rows(path, tables.format_of(path, kind), "trace"), path, columns or {}))
    if not read:
        raise ScenarioError(f"{path}: the trace has no rows")
    read.sort(key=lambda request: request.time_ns)
    last_ns = read[-1].time_ns - read[0].time_ns
    from_ns = read[0].time_ns + round(start_s * 1e9)
    to_ns = None if end_s is None else read[0].time_ns + round(end_s * 1e9)
    inside = [r for r in read if r.time_ns >= from_ns and (to_ns is None or r.time_ns < to_ns)]
    if not inside:
        raise ScenarioError(f"{path}: no row of the trace lies in the window; it lasts {last_ns / 1e9:.0f} s")
    if inside[-1].time_ns - from_ns >= MANY:
        raise ScenarioError(f"{path}: the trace's times lie more than {MANY // 10**9 // 86_400 // 365} years apart")
    ids = ends = sessions = None
    if inside[0].ids is not None:
        ids = np.array([i for r in inside for i in r.ids or ()], dtype=np.int64)
        ends = np.cumsum([len(r.ids or ()) for r in inside], dtype=np.int64)
    if inside[0].session is not None:
        numbers: dict[Any, int] = {}
        sessions = np.array([numbers.setdefault(r.session, len(numbers)) for r in inside], dtype=np.int64)
    times_ns = np.array([r.time_ns - from_ns for r in inside], dtype=np.int64)
    lengths = np.array([(r.input_tokens, r.output_tokens) for r in inside], dtype=np.int32)
    return Trace(times_ns, lengths, ids, ends, sessions)


@dataclass(frozen=True, slots=True)
class _Request:
    time_ns: int
    input_tokens: int
    output_tokens: int
    ids: tuple[int, ...] | None
    session: Any


def _read(rows: Iterator[Row], path: Path, columns: dict[str, str]) -> Iterator[_Request]:
    names: tuple[str, str, str] | None = None
    for place, row in rows:
        if names is None:
            names = (
                column(row, path, columns, "time", (*_TIME_S, *_TIME_MS)),
                column(row, path, columns, "input_tokens", INPUT),
                column(row, path, columns, "output_tokens", OUTPUT),
            )
            more = {key: _optional(row, path, columns, key) for key in _OPTIONAL}
            unit_ns = 10**6 if names[0] in _TIME_MS and "time" not in columns else 10**9
        try:
            yield _Request(
                _nanoseconds(row[names[0]], unit_ns),
                # Traces have requests that were cut before their first token; to ask for none is no request.
                max(1, count(row[names[1]])),
                max(1, count(row[names[2]])),
                None if more["hash_ids"] is None else _ids(row.get(more["hash_ids"])),
                None if more["session_id"] is None else row.get(more["session_id"]),
            )
        except (KeyError, TypeError, ValueError, ArithmeticError) as e:
            raise ScenarioError(f"{place}: a time and two token counts are wanted in {', '.join(names)}: {e}") from None


def column(
    row: dict[str, Any],
    path: Path,
    columns: dict[str, str],
    key: str,
    known: tuple[str, ...],
    named_by: str = "trace.columns",
) -> str:
    """The name that a file has for ``key``: what ``columns`` says, else the first known one. Raises ScenarioError."""
    wanted = (columns[key],) if key in columns else known
    found = next((name for name in wanted if name in row), None)
    if found is None:
        there = ", ".join(str(k) for k in row)
        raise ScenarioError(
            f"{path}: no column for {key}: none of {', '.join(wanted)} among {there}; name it by {named_by}.{key}"
        )
    return found


def _optional(row: dict[str, Any], path: Path, columns: dict[str, str], key: str) -> str | None:
    """As ``column``, for what a trace need not have."""
    if key in columns:
        return column(row, path, columns, key, ())
    return next((name for name in _OPTIONAL[key] if name in row), None)


def _ids(value: Any) -> tuple[int, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(type(i) is int and -_ID_LIMIT <= i < _ID_LIMIT for i in value):
        raise ValueError(f"{value!r:.60} is no list of hash ids, which are whole numbers of 64 bits")
    return tuple(value)


def _nanoseconds(value: Any, unit_ns: int) -> int:
    """Whole nanoseconds: a float of seconds since 1970 resolves 0.2 µs, coarser than the files."""
    if isinstance(value, bool):
        raise TypeError(f"{value!r} is no time")
    try:
        return int(Decimal(str(value)) * unit_ns)
    except InvalidOperation:
        return _date_ns(str(value))


def _date_ns(text: str) -> int:
    """Of an ISO date with any number of decimals; datetime reads 6, and the Azure files have 7."""
    head, dot, tail = text.partition(".")
    digits = len(tail) - len(tail.lstrip("0123456789"))
    moment = dt.datetime.fromisoformat(head + tail[digits:])
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return int(moment.timestamp()) * 10**9 + (int(f"{tail[:digits]:0<9.9}") if dot and digits else 0)


def count(value: Any) -> int:
    number = float(value)
    if isinstance(value, bool) or number != int(number) or not 0 <= number < 2**31:
        raise ValueError(f"{value!r} is no number of tokens")
    return int(number)
