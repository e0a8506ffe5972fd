"""Rows of a query as people and programs want them: a table, CSV or JSON. Streams, but for the table."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, TextIO

from analysis.report.wording import printable
from console.streams import is_screen

TABLE_ROWS = 1000
"""A table is for eyes; what is longer is cut, and says so."""

Rows = Iterator[tuple[Any, ...]]


def write_table(columns: Sequence[str], rows: Rows, out: TextIO) -> None:
    """Aligned columns, numbers to the right. Takes at most TABLE_ROWS from ``rows`` and leaves the rest in it."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = list(islice(rows, TABLE_ROWS))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for i, name in enumerate(columns):
        numeric = any(isinstance(row[i], int | float) for row in shown)
        table.add_column(name, justify="right" if numeric else "left", no_wrap=True)
    for row in shown:
        table.add_row(*(Text(cell(value)) for value in row))
    # As wide as it needs: a cell that is cut or wrapped to fit a terminal is a figure lost.
    console = Console(width=100_000, force_terminal=is_screen(out))
    with console.capture() as capture:
        console.print(table)
    out.write("\n".join(text.rstrip() for text in capture.get().splitlines()) + "\n")


def cell(value: Any) -> str:
    """A value as a table shows it: floats to six significant digits, NULL as an empty cell, one line, nothing that steers a terminal."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return printable(" ".join(str(value).splitlines()))


def write_csv(columns: Sequence[str], rows: Rows, out: TextIO) -> None:
    """RFC 4180 with a header; NULL is an empty field."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)


def write_json(columns: Sequence[str], rows: Rows, out: TextIO) -> None:
    """An array of objects, one a line; what JSON has no word for (timestamps, decimals) as text."""
    import orjson

    before = "["
    for row in rows:
        out.write(before + orjson.dumps(dict(zip(columns, row, strict=True)), default=str).decode())
        before = ",\n "
    out.write("[]\n" if before == "[" else "]\n")


WRITERS: dict[str, Callable[[Sequence[str], Rows, TextIO], None]] = {
    "table": write_table,
    "csv": write_csv,
    "json": write_json,
}
