"""Recorded traffic: a CSV or JSONL file of time, input tokens and output tokens, plain or gzipped → arrays.

The Azure LLM inference traces (TIMESTAMP, ContextTokens, GeneratedTokens) and Mooncake's (timestamp in ms, input_length,
output_length) load as they are; other names are given as ``columns``.
"""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from generator.errors import ScenarioError

_TIME_S = ("TIMESTAMP", "time", "time_s", "timestamp_s", "arrival_s", "arrived_at")
_TIME_MS = ("timestamp", "timestamp_ms", "time_ms")
_INPUT = ("ContextTokens", "input_tokens", "input_length", "num_prefill_tokens", "prompt_tokens")
_OUTPUT = ("GeneratedTokens", "output_tokens", "output_length", "num_decode_tokens", "completion_tokens")


@dataclass(frozen=True, slots=True)
class Trace:
    """``times_s`` [n] ascending seconds, 0 at the window's start; ``lengths`` [n, 2] int32, input and output tokens ≥ 1."""

    times_s: NDArray[np.float64]
    lengths: NDArray[np.int32]


def load(
    path: Path,
    columns: dict[str, str] | None = None,
    start_s: float = 0.0,
    end_s: float | None = None,
) -> Trace:
    """Rows with ``start_s`` ≤ time − first time < ``end_s``. ``columns`` renames time, input_tokens, output_tokens; a renamed time
    is seconds or a date. Raises ScenarioError with file and line.
    """
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8", newline="") as f:
            jsonl = path.name.removesuffix(".gz").endswith((".jsonl", ".json", ".ndjson"))
            rows = list(_numbers(_json_rows(f, path) if jsonl else _csv_rows(f, path), path, columns or {}))
    except OSError as e:
        raise ScenarioError(f"{path}: the trace cannot be read: {e.strerror or e}") from None
    except (UnicodeDecodeError, EOFError, csv.Error) as e:
        raise ScenarioError(f"{path}: the trace is damaged: {e}") from None
    if not rows:
        raise ScenarioError(f"{path}: the trace has no rows")
    rows.sort(key=lambda row: row[0])
    times = np.array([row[0] - rows[0][0] for row in rows], dtype=np.float64) / 1e9
    lengths = np.array([row[1:] for row in rows], dtype=np.int32)
    inside = (times >= start_s) & (times < (np.inf if end_s is None else end_s))
    if not inside.any():
        raise ScenarioError(f"{path}: no row of the trace lies in the window; it lasts {times[-1]:.0f} s")
    return Trace(times[inside] - start_s, lengths[inside])


Row = tuple[int, dict[str, Any]]


def _csv_rows(lines: Iterable[str], path: Path) -> Iterator[Row]:
    reader = csv.DictReader(lines)
    if not reader.fieldnames:
        raise ScenarioError(f"{path}: the trace is empty; a header such as time,input_tokens,output_tokens is wanted")
    for row in reader:
        yield reader.line_num, row


def _json_rows(lines: Iterable[str], path: Path) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as e:
            raise ScenarioError(f"{path}:{number}: not JSON: {e}") from None
        if not isinstance(row, dict):
            raise ScenarioError(f"{path}:{number}: a JSON object is wanted on each line")
        yield number, row


def _numbers(rows: Iterator[Row], path: Path, columns: dict[str, str]) -> Iterator[tuple[int, int, int]]:
    names: tuple[str, str, str] | None = None
    for line, row in rows:
        if names is None:
            names = (
                _column(row, path, columns, "time", (*_TIME_S, *_TIME_MS)),
                _column(row, path, columns, "input_tokens", _INPUT),
                _column(row, path, columns, "output_tokens", _OUTPUT),
            )
            unit_ns = 10**6 if names[0] in _TIME_MS and "time" not in columns else 10**9
        try:
            time_ns = _nanoseconds(row[names[0]], unit_ns)
            # Traces have requests that were cut before their first token; to ask for none is no request.
            yield time_ns, max(1, _count(row[names[1]])), max(1, _count(row[names[2]]))
        except (KeyError, TypeError, ValueError, ArithmeticError) as e:
            raise ScenarioError(
                f"{path}:{line}: a time and two token counts are wanted in {', '.join(names)}: {e}"
            ) from None


def _column(row: dict[str, Any], path: Path, columns: dict[str, str], key: str, known: tuple[str, ...]) -> str:
    wanted = (columns[key],) if key in columns else known
    found = next((name for name in wanted if name in row), None)
    if found is None:
        there = ", ".join(str(k) for k in row)
        raise ScenarioError(
            f"{path}: no column for {key}: none of {', '.join(wanted)} among {there}; name it by trace.columns.{key}"
        )
    return found


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


def _count(value: Any) -> int:
    number = float(value)
    if isinstance(value, bool) or number != int(number) or not 0 <= number < 2**31:
        raise ValueError(f"{value!r} is no number of tokens")
    return int(number)
