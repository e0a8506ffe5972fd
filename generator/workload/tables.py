"""Files of records, whatever their form, → rows with their places: what datasets, traces and tables of lengths are read from.

A *place* is what an error names: ``file:12`` for a line, ``file: item 3`` of a JSON array, ``file: row 3`` of a Parquet file, from 1.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import orjson

from generator.errors import ScenarioError

FORMATS = ("jsonl", "json", "csv", "parquet", "text")

_EXTENSIONS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".parquet": "parquet",
    ".txt": "text",
    ".text": "text",
}

Row = tuple[str, dict[str, Any]]
"""(place, record)"""


def format_of(path: Path, said: str | None = None) -> str:
    """One of FORMATS: what was said, else by the extension, a ``.gz`` after it left aside. Raises ScenarioError."""
    if said is not None:
        return said
    ending = Path(path.name.removesuffix(".gz")).suffix.lower()
    if ending not in _EXTENSIONS:
        raise ScenarioError(
            f"{path}: {ending or 'no extension'} tells no format; give format: {', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        )
    return _EXTENSIONS[ending]


@contextlib.contextmanager
def faults(path: Path, what: str) -> Iterator[None]:
    """What can go wrong while a file is read, as ScenarioErrors that name it and ``what`` it was to be."""
    try:
        yield
    except EOFError as e:
        raise ScenarioError(f"{path}: the {what} is damaged: {e}") from None
    except OSError as e:
        raise ScenarioError(f"{path}: the {what} cannot be read: {e.strerror or e}") from None
    except (UnicodeDecodeError, csv.Error, zlib.error) as e:
        raise ScenarioError(f"{path}: the {what} is damaged: {e}") from None


def opened(path: Path) -> BufferedIOBase:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def rows(path: Path, kind: str, what: str) -> Iterator[Row]:
    """Records of a ``jsonl``, ``json``, ``csv`` or ``parquet`` file in order; a CSV's values are text. Raises ScenarioError."""
    with faults(path, what):
        if kind == "parquet":
            yield from _parquet_rows(path, what)
            return
        with opened(path) as f:
            if kind == "csv":
                text = (line.decode("utf-8-sig" if n == 0 else "utf-8") for n, line in enumerate(f))
                yield from _csv_rows(text, path, what)
            elif kind == "jsonl":
                for number, line in enumerate(f, 1):
                    if line.strip():
                        yield f"{path}:{number}", record(line, f"{path}:{number}")
            elif kind == "json":
                yield from _array_rows(f.read(), path)
            else:
                raise ScenarioError(f"{path}: a {what} is no plain text; CSV, JSONL, JSON and Parquet have columns")


def as_json(row: dict[str, Any]) -> bytes:
    """A record on one line; values that JSON has none for (a Parquet file's decimals) as text."""
    return orjson.dumps(row, default=str, option=orjson.OPT_NON_STR_KEYS)


def record(line: bytes, place: str) -> dict[str, Any]:
    """The JSON object on a line. Raises ScenarioError."""
    value = _parsed(line, place)
    if not isinstance(value, dict):
        raise ScenarioError(f"{place}: a JSON object is wanted on each line")
    return value


def _parsed(text: bytes, place: str) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:
        try:
            # It takes NaN, and tells line and column. What orjson, which writes requests, cannot write becomes what it can: NaN null,
            # whole numbers of more than 64 bits floats; half a character fails.
            value = json.loads(text, parse_constant=lambda _: None, parse_int=_whole)
            json.dumps(value, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as e:
            raise ScenarioError(f"{place}: not JSON: {e}") from None
        return value


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) < 19 else float(digits)


def _array_rows(text: bytes, path: Path) -> Iterator[Row]:
    whole = _parsed(text, str(path))
    if not isinstance(whole, list):
        raise ScenarioError(f"{path}: a JSON array of objects is wanted; for an object a line, give format: jsonl")
    for number, item in enumerate(whole, 1):
        if not isinstance(item, dict):
            raise ScenarioError(f"{path}: item {number}: a JSON object is wanted")
        yield f"{path}: item {number}", item


def _csv_rows(lines: Iterable[str], path: Path, what: str) -> Iterator[Row]:
    reader = csv.DictReader(lines)
    if not reader.fieldnames:
        raise ScenarioError(f"{path}: the {what} is empty; a line with the names of its columns is wanted first")
    for row in reader:
        if None in row:
            raise ScenarioError(f"{path}:{reader.line_num}: more values than the header has columns")
        yield f"{path}:{reader.line_num}", row


def _parquet_rows(path: Path, what: str) -> Iterator[Row]:
    # Late: half a second that files of other forms do without.
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix == ".gz":
        raise ScenarioError(f"{path}: Parquet is compressed inside; unpack it")
    try:
        number = 0
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}: row {number}", row
    except (pa.ArrowException, ValueError) as e:  # ValueError: a kind of value that Python has none for
        raise ScenarioError(f"{path}: the {what} is no Parquet file that can be read: {e}") from None
