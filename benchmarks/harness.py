"""What every measurement shares: its options, the machine it was made on, the table it prints."""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import importlib.metadata
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import psutil

from benchmarks.processes import ROOT, BenchmarkError

PACKAGES = ("uvloop", "aiohttp", "httptools", "orjson", "pyarrow", "duckdb")

WIDEST = 12
"""Columns of a table that can still be read."""

Row = dict[str, Any]
"""A line of a table: names carry units, values are bare numbers or words."""


def machine() -> dict[str, str]:
    """Where and with what a figure was measured."""
    model = next(
        (line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{psutil.cpu_count()} CPUs ({model}), {psutil.virtual_memory().total / 2**30:.0f} GiB, "
        f"Linux {platform.release()}, load average {os.getloadavg()[0]:.2f} before",
        "versions": f"commit {_commit()}, Python {platform.python_version()}, {versions}",
        "command": f"python -m benchmarks.{Path(sys.argv[0]).stem} {shlex.join(sys.argv[1:])}".strip(),
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _commit() -> str:
    found = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "unknown"


def show(title: str, made: Mapping[str, str], rows: Sequence[Row], *notes: str) -> str:
    """A markdown section: how the figures were made, the table, what to know about it. A table too wide to read is turned over."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [
        [name.replace("_", " ") for name in names],
        *([cell(name, row.get(name)) for name in names] for row in rows),
    ]
    if len(names) > WIDEST:
        lines = [list(column) for column in zip(*lines, strict=True)]
    text = [" | ".join(line) for line in lines]
    table = [f"| {line} |" for line in (text[0], " | ".join(["---"] * len(lines[0])), *text[1:])]
    made_by = f"`{made['command']}`, {made['date']}; {made['machine']}; {made['versions']}."
    return "\n".join([f"### {title}", "", made_by, "", *table, *(f"\n{note}" for note in notes)])


def cell(name: str, value: object) -> str:
    """A share in percent, a number in three significant digits or whole, a word as it is, – for what does not apply."""
    if value is None:
        return "–"
    if isinstance(value, float):
        if name.endswith("share"):
            return f"{value:.2%}"
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def query(sql: str, **parameters: object) -> list[Row]:
    """Rows of one SQL statement over files, as dictionaries."""
    with duckdb.connect() as connection:
        done = connection.execute(sql, parameters)
        names = [column[0] for column in done.description or ()]
        return [dict(zip(names, row, strict=True)) for row in done.fetchall()]


def median(values: Sequence[float]) -> float:
    return float(statistics.median(values))


def quantile(values: Sequence[float] | npt.NDArray[np.float64], p: float) -> float:
    """Interpolated between order statistics, as DuckDB's quantile_cont."""
    return float(np.quantile(np.asarray(values, dtype=np.float64), p))


def arguments(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON in place of a markdown table")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep run folders and truth logs there")
    return parser


@contextlib.contextmanager
def folder(options: argparse.Namespace) -> Iterator[Path]:
    """Where a measurement puts its runs: ``--keep``, or a temporary folder."""
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
        yield options.keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="openloop-benchmark-") as made:
        yield Path(made)


def finish(options: argparse.Namespace, title: str, made: Mapping[str, str], rows: Sequence[Row], *notes: str) -> None:
    if options.json:
        print(json.dumps({"title": title, **made, "rows": list(rows), "notes": notes}, indent=2))
    else:
        print(show(title, made, rows, *notes))


def main(measure: Callable[[], None]) -> None:
    """Runs a script's ``measure()``, and says on one line what stood in its way."""
    try:
        measure()
    except BenchmarkError as e:
        print(f"{Path(sys.argv[0]).stem}: {e}", file=sys.stderr)
        raise SystemExit(1) from None
