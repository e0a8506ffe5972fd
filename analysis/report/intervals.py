"""Percentiles with their 95 % intervals: rows of ``percentile_intervals`` → keys of the report, and a table of them."""

from __future__ import annotations

from typing import Any

from duckdb import DuckDBPyConnection

from analysis import catalog
from analysis.report.parts import Table
from analysis.report.wording import METRICS, NOTHING, count, number

Row = dict[str, Any]

KEYS = {0.5: "p50", 0.9: "p90", 0.95: "p95", 0.99: "p99", 0.999: "p99_9"}
"""Percentiles that have an interval."""

TOLD = ("ttft_ms", "tpot_ms", "icl_ms", "e2e_ms")
MOST_STEPS = 12
"""A run of more steps has its table for TTFT alone: what nobody reads to its end says nothing."""

TITLE = "95 % intervals, ms"
LEAD = (
    "Between which bounds each percentile lies. Neighbouring requests resemble one another, so n of them are worth fewer independent "
    "ones; the p95's are shown. A percentile without an upper end is a lower bound."
)


def gather(con: DuckDBPyConnection) -> dict[tuple[int, str], list[Row]]:
    """The rows of each (step, metric key)."""
    found: dict[tuple[int, str], list[Row]] = {}
    for row in catalog.run(con, "percentile_intervals").dicts():
        found.setdefault((row["step_id"], f"{row['metric']}_ms"), []).append(row)
    return found


def of_metric(rows: list[Row], withheld: Row) -> Row:
    """Percentile → low, high, n_effective and, where one of them is ``None``, the reason. A percentile that is withheld has no bounds."""
    found = {}
    for row in rows:
        key = KEYS[row["q"]]
        reason = withheld.get(key) or row["reason"]
        open_ended = key in withheld
        found[key] = {
            "low": None if open_ended else row["low_ms"],
            "high": None if open_ended else row["high_ms"],
            "n_effective": row["n_effective"],
            "withheld": reason,
        }
    return found


def tables(report: Row) -> list[Table]:
    """One row a step and metric; none where nothing ended ok."""
    steps = report["steps"]
    metrics = TOLD if len(steps) <= MOST_STEPS else TOLD[:1]
    keys: tuple[str, ...] = ("p50", "p95", "p99", "p99_9")
    rows: list[tuple[str, ...]] = [
        (s["label"], METRICS[m], count(s[m]["n"]), _worth(s[m]), *(_told(s[m], key) for key in keys))
        for s in steps
        for m in metrics
        if s[m]["n"]
    ]
    # Without a single p99.9 its column would be dashes from top to bottom.
    if not any(s[m]["p99_9"] is not None for s in steps for m in metrics):
        keys, rows = keys[:-1], [row[:-1] for row in rows]
    headings = ("n", "worth", *(key.replace("_", ".") for key in keys))
    return [Table(TITLE, LEAD, ("step", "metric"), headings, tuple(rows))] if rows else []


def _worth(latency: Row) -> str:
    bounds = latency["intervals"].get("p95")
    return NOTHING if bounds is None else count(bounds["n_effective"])


def _told(latency: Row, key: str) -> str:
    """``81.2 (80.1–82.4)``; ``812 (640–n too small)`` without an upper end."""
    value, bounds = latency[key], latency["intervals"].get(key)
    if bounds is None or (value is None and not bounds["withheld"]):
        return NOTHING
    if value is None:
        return str(bounds["withheld"]).partition(":")[0]
    high = "n too small" if bounds["high"] is None else number(bounds["high"])
    low = "…" if bounds["low"] is None else number(bounds["low"])
    return f"{number(value)} ({low}–{high})"
