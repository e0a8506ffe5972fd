"""What other tools would print of the same responses, recomputed from the facts by ``analysis/sql/profiles``."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from duckdb import DuckDBPyConnection
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from analysis import catalog
from analysis.report.wording import count, number, printable

Row = dict[str, Any]

_FIGURES = ("mean_ms", "p50_ms", "p90_ms", "p95_ms", "p99_ms", "max_ms")
_REMARK = (
    "Recomputed from openloop's own stamps, over answers of phase main that ended ok: the tool's own delays, its warm-up and its way of "
    "sending are not in these figures."
)


def build(con: DuckDBPyConnection, report: Row, tools: Sequence[str]) -> Row:
    """``profiles``: a list, one entry a tool, each with ``figures``: the rows of its query, in the order of steps.

    ``tools`` as on the command line: ``inference-perf`` is the query ``profile_inference_perf``.
    """
    labels = {s["step_id"]: s["label"] for s in report["steps"]}
    found = []
    for tool in tools:
        rows = catalog.run(con, f"profile_{tool.replace('-', '_')}").dicts()
        for row in rows:
            row["step"] = labels.get(row["step_id"])
        found.append({"tool": tool, "figures": rows})
    return {
        "run_id": report["run"]["run_id"],
        "verdict": report["verdict"]["verdict"],
        "remark": _REMARK,
        "profiles": found,
    }


def render(profiles: Row, *, width: int = 116) -> str:
    """Plain lines: a table a tool, below it what each figure is and what our facts cannot tell of it."""
    out = io.StringIO()
    console = Console(
        file=out, width=width, markup=False, highlight=False, emoji=False, color_system=None, legacy_windows=False
    )
    console.print(Text(f"{profiles['verdict']}  run {printable(profiles['run_id'])}"))
    console.print(Text(profiles["remark"]))
    for profile in profiles["profiles"]:
        console.print()
        if not profile["figures"]:
            console.print(Text(f"{profile['tool']}: no answer with a chunk ended ok; nothing to recompute"))
            continue
        console.print(_table(profile))
        console.print()
        for metric, definition, note in dict.fromkeys(
            (r["metric"], r["definition"], r["note"]) for r in profile["figures"]
        ):
            console.print(Text(f"{metric}: {definition}" + (f". Note: {note}" if note else "")))
    return "\n".join(line.rstrip() for line in out.getvalue().split("\n")).rstrip() + "\n"


def _table(profile: Row) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column(f"{profile['tool']}, ms", no_wrap=True)
    table.add_column("step", no_wrap=True, overflow="ellipsis", max_width=24)
    table.add_column("n", justify="right")
    for figure in _FIGURES:
        table.add_column(figure.removesuffix("_ms"), justify="right", no_wrap=True)
    table.add_column("p50 bound", justify="right", no_wrap=True)
    for row in profile["figures"]:
        table.add_row(
            row["metric"],
            Text(printable(row["step"] if row["step"] is not None else row["step_id"])),
            count(row["n"]),
            *(number(row[figure]) for figure in _FIGURES),
            number(row["bound_p50_ms"]),
        )
    return table
