"""What monitoring systems are told of a finished run: the same figures under one table of names, whatever the form."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from duckdb import DuckDBPyConnection

from analysis import catalog

Row = dict[str, Any]
Counts = list[tuple[int, int]]
"""(ns, how often)."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure of a step. ``path`` leads to it in the report's step; ``unit`` is Prometheus's word for the base unit that it is in."""

    name: str
    unit: str
    path: tuple[str, ...]
    help: str

    def of(self, step: Row) -> float | None:
        value: Any = step
        for key in self.path:
            value = value[key]
        return None if value is None else float(value)


MEASURES = (
    Measure("window", "seconds", ("window_s",), "Length of the measurement window."),
    Measure("in_flight", "requests", ("in_flight_mean",), "Requests in flight, mean over the window."),
    Measure("offered", "requests_per_second", ("offered_rps",), "Arrivals due in the window."),
    Measure("achieved", "requests_per_second", ("achieved_rps",), "Requests sent in the window."),
    Measure("completed", "requests_per_second", ("requests_per_s",), "Requests that ended ok in the window."),
    Measure("goodput", "requests_per_second", ("goodput_rps",), "Requests that ended ok and met every limit of the SLO."),
    Measure("output", "tokens_per_second", ("output_tokens_per_s",), "Output tokens that arrived in the window."),
    Measure("input", "tokens_per_second", ("input_tokens_per_s",), "Prompt tokens sent in the window."),
    Measure("user_speed", "tokens_per_second", ("per_user_tokens_per_s",), "1 / TPOT, median over requests."),
    Measure("success", "ratio", ("success_rate",), "Requests that ended ok, of those that were due."),
    Measure("attainment", "ratio", ("attainment",), "Requests that met the SLO, of those that were due."),
    Measure("sent", "ratio", ("sent_share",), "Requests sent, of those that were due."),
    Measure("exact_stamps", "ratio", ("exact_share",), "Chunks with an exact stamp."),
    Measure("cost", "usd", ("cost", "usd"), "What the step cost, warm-up included, in USD."),
)  # fmt: skip

LATENCIES = {
    "ttft": "Time to first token, from the schedule.",
    "tpot": "Time per output token after the first.",
    "icl": "Inter-chunk latency.",
    "e2e": "End-to-end latency, from the schedule.",
}
"""Distributions that are told whole: metric → help. Requests of phase main that ended ok, or their gaps."""

QUANTILES = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99_9": 0.999}

_NS_PER_MS = 1_000_000


def labels(report: Row, step: Row) -> dict[str, str]:
    """Whose figure it is. The arm of a comparison, and the cell of a matrix, only where there is one."""
    target = step["arm"]
    if target is None and len(report["run"]["targets"]) == 1:
        target = report["run"]["targets"][0]["name"]
    found = {
        "run": report["run"]["run_id"],
        "scenario": report["run"]["name"],
        "step": step["step_id"],
        "step_name": step["name"] or step["label"],
        "target": target,
        "arm": step["arm"],
        "cell": step["cell"],
    }
    return {key: str(value) for key, value in found.items() if value is not None}


def quantiles(step: Row, metric: str) -> Iterator[tuple[float, float]]:
    """(quantile, seconds) of those that the report gives: what it withholds is left out."""
    figures = step[f"{metric}_ms"]
    yield from ((q, figures[key] / 1e3) for key, q in QUANTILES.items() if figures[key] is not None)


def distribution(con: DuckDBPyConnection, metric: str, step_id: int) -> Counts:
    """A step's values of a metric of LATENCIES, in no order."""
    if metric == "icl":
        select = f"SELECT gap_us * 1000 AS ns, sum(n)::BIGINT FROM icl_counts WHERE step_id = {step_id} GROUP BY ns"
    else:
        value = f"{metric}_ms"
        select = (
            f"SELECT round({value} * {_NS_PER_MS})::BIGINT AS ns, count(*) FROM request_metrics "
            f"WHERE step_id = {step_id} AND phase = 'main' AND outcome = 'ok' AND {value} IS NOT NULL GROUP BY ns"
        )
    return [(int(ns), int(n)) for ns, n in catalog.query(con, select).rows]


def bucket(ns: int, scale: int) -> int:
    """The i of a bucket that holds it: more than ``2**(i / 2**scale)`` s, at most ``2**((i + 1) / 2**scale)`` s."""
    return math.ceil(math.log2(ns / 1e9) * 2.0**scale) - 1


def to_utc_ns(manifest: Row) -> int | None:
    """What to add to the run's instants for UTC; None where a run was cut off before it had a clock."""
    clock = manifest.get("clock")
    return None if not clock else int(clock["utc_ns"] - clock["monotonic_ns"])


def spans(con: DuckDBPyConnection) -> dict[int, tuple[int, int]]:
    """Step → start and end of its measurement window, in the run's ns."""
    rows = catalog.run(con, "step_windows").dicts()
    return {r["step_id"]: (r["window_start_ns"], r["window_end_ns"]) for r in rows if r["window_end_ns"] is not None}
