"""The slowest requests with what they asked and were told: a part of the page for whoever asks for it by ``--texts``."""

from __future__ import annotations

from typing import Any

from duckdb import DuckDBPyConnection

from analysis import catalog
from analysis.report.wording import printable

Row = dict[str, Any]

MOST = 10
"""By TTFT and by end-to-end time each; one request may be among both."""

CHARS = 2_000


def slowest(con: DuckDBPyConnection, steps: list[Row]) -> list[Row]:
    """Those by TTFT first. ``said`` pairs a heading with a text; ``step`` is its label."""
    labels = {s["step_id"]: s["label"] for s in steps}
    found: dict[int, Row] = {}
    for by, name in (("ttft", "TTFT"), ("e2e", "E2E")):
        for row in catalog.run(con, "slowest_texts", rank_by=by, most=MOST, chars=CHARS).dicts():
            kept = found.setdefault(row["request_id"], row | {"why": [], "step": labels.get(row["step_id"], "")})
            kept["why"].append(f"{name} no. {row['rank']}")
    for row in found.values():
        row["said"] = [(key, lines(row[key])) for key in ("prompt", "response") if row[key] is not None]
    return list(found.values())


def lines(text: str) -> str:
    """A text with its line ends and without any other control character, which a page may not hold."""
    return "\n".join(printable(line) for line in text.splitlines())
