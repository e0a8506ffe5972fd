"""The report as CSV: one row a step, nested keys joined by a dot (``ttft_ms.p99``), nothing for what is not there."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from generator.schema import OUTCOMES

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def render(report: dict[str, Any]) -> str:
    """Header and rows by RFC 4180. The verdict stands in every row, so that no row travels without it."""
    verdict = {"run_id": report["run"]["run_id"], "verdict": report["verdict"]["verdict"]}
    rows = [verdict | dict(flat(step)) for step in report["steps"]]
    out = io.StringIO(newline="")
    columns = list(dict.fromkeys(key for row in rows for key in row)) or list(verdict)
    writer = csv.DictWriter(out, columns, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(column, cell) of a step of the report."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        if key == "outcomes":
            yield from ((f"{name}.{outcome}", value.get(outcome, 0)) for outcome in OUTCOMES)
        elif key == "withheld" or (key == "adjusted" and value is None):
            continue
        elif isinstance(value, dict):
            yield from flat(value, f"{name}.")
        else:
            yield name, _cell(value)


def _cell(value: Any) -> Any:
    """A spreadsheet runs text that begins like a formula; a quote in front makes it text again."""
    if value is None:
        return ""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
