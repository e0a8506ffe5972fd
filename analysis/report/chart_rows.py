"""The rows that charts are drawn from, beyond what the report itself holds: aggregates, whose size does not grow with the run's."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from duckdb import DuckDBPyConnection

from analysis import catalog
from analysis.report import server_panels
from analysis.report.server_panels import ServerPanel
from analysis.report.style import LEVELS

Row = dict[str, Any]

MOST_INSTANTS = 300
"""Points of the timeline, or hardly more; a longer run is drawn in longer intervals."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What the charts need beyond the report, as the named queries give it."""

    timeline: list[Row]
    curves: list[Row]
    histograms: dict[str, list[Row]]
    buckets: list[Row]
    server: list[ServerPanel] = field(default_factory=list)


def gather(con: DuckDBPyConnection, report: Row) -> Rows:
    """Run the queries behind the charts. All are aggregates: their size does not grow with the run's."""
    last_s = max((s["end_s"] for s in report["steps"] if s["end_s"] is not None), default=0.0)
    interval_s = math.ceil(last_s / MOST_INSTANTS) or 1
    return Rows(
        timeline=catalog.run(con, "timeline", interval_s=interval_s).dicts(),
        curves=catalog.run(con, "percentile_curve").dicts(),
        histograms={
            "ttft_ms": catalog.run(con, "ttft_histogram").dicts(),
            "icl_ms": catalog.run(con, "icl_histogram").dicts(),
        },
        buckets=catalog.run(con, "concurrency_buckets").dicts(),
        server=server_panels.gather(con, interval_s),
    )


def as_step(row: Row) -> Row:
    """A row of concurrencyas_steps in the shape of a report's step."""
    shaped: Row = {
        m: {level: row[f"{m.removesuffix('_ms')}_{level}_ms"] for level in LEVELS}
        for m in ("ttft_ms", "tpot_ms", "e2e_ms")
    }
    return shaped | {"per_user_tokens_per_s": row["user_speed_p50_tps"]}


def without_holes(rows: list[Row]) -> Iterator[Row]:
    """The bins of a histogram with the empty ones between them and one at either end, so that a line falls to zero there."""
    previous: Row | None = None
    for row in rows:
        ratio = row["high_ms"] / row["low_ms"]
        if previous is None or previous["step_id"] != row["step_id"]:
            if previous is not None:
                yield _empty_bin(previous, previous["high_ms"], previous["high_ms"] / previous["low_ms"])
            yield _empty_bin(row, row["low_ms"] / ratio, ratio)
        else:
            low_ms = previous["high_ms"]
            while low_ms < row["low_ms"] * 0.999:
                yield _empty_bin(row, low_ms, ratio)
                low_ms *= ratio
        yield row
        previous = row
    if previous is not None:
        yield _empty_bin(previous, previous["high_ms"], previous["high_ms"] / previous["low_ms"])


def _empty_bin(row: Row, low_ms: float, ratio: float) -> Row:
    return {"step_id": row["step_id"], "low_ms": low_ms, "high_ms": low_ms * ratio, "n": 0}
