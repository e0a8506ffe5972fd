"""The JSON report of a run → the few figures that the catalogue keeps of it."""

from __future__ import annotations

import math
from typing import Any

from analysis.differences.laws import NORMAL_95

Row = dict[str, Any]

TREND = {
    "ttft_p99_ms": ("ttft_ms", "p99"),
    "ttft_p50_ms": ("ttft_ms", "p50"),
    "tpot_p50_ms": ("tpot_ms", "p50"),
    "e2e_p99_ms": ("e2e_ms", "p99"),
}
"""Metric of a history → where a step of the report has it."""

RATES = ("goodput_rps", "output_tokens_per_s", "requests_per_s", "success_rate", "attainment")
METRICS = (*TREND, *RATES, "cost_usd")


def of_report(report: Row) -> tuple[Row, list[Row]]:
    """(the run's figures, its steps' points with ``low`` and ``high`` of 95 % where the report has them)."""
    steps = report["steps"]
    totals = report["totals"]
    figures: Row = {
        "requests": totals["requests"],
        "ok": totals["ok"],
        "success_rate": totals["success_rate"],
        "duration_s": report["run"]["duration_s"],
        "cost_usd": totals["cost"]["usd"],
    }
    for metric, (latency, percentile) in TREND.items():
        figures[metric] = _last(step[latency][percentile] for step in steps)
    for metric in RATES:
        if metric not in figures:
            figures[metric] = _last(step[metric] for step in steps)
    return figures, [point for step in steps for point in _points(step)]


def _last(values: Any) -> Any:
    known = [value for value in values if value is not None]
    return known[-1] if known else None


def _points(step: Row) -> list[Row]:
    about = {"step_id": step["step_id"], "label": step["label"]}
    found: list[tuple[str, float | None, float | None, float | None]] = [
        (metric, step[latency][percentile], *_interval(step[latency], percentile))
        for metric, (latency, percentile) in TREND.items()
    ]
    found += [(metric, step[metric], *_share_of(step, metric)) for metric in RATES]
    found.append(("cost_usd", step["cost"]["usd"], None, None))
    return [
        about | {"metric": metric, "value": value, "low": low, "high": high}
        for metric, value, low, high in found
        if value is not None
    ]


def _interval(latency: Row, percentile: str) -> tuple[float | None, float | None]:
    found = (latency.get("intervals") or {}).get(percentile) or {}
    return found.get("low"), found.get("high")


def _share_of(step: Row, metric: str) -> tuple[float | None, float | None]:
    """Goodput is attainment times the rate that was due. So its interval is attainment's, scaled alike, and as much wider as the number of
    arrivals varies from draw to draw: without that, most runs of one scenario with seeds of their own would seem to differ.
    """
    low, high, share = step["attainment_low"], step["attainment_high"], step["attainment"]
    if metric == "attainment":
        return low, high
    if metric != "goodput_rps" or not share or low is None or high is None:
        return None, None
    drawn = NORMAL_95 * _gap_cv(step) / math.sqrt(step["requests"])
    below, above = (math.hypot((end - share) / share, drawn) for end in (low, high))
    return max(0.0, step[metric] * (1 - below)), step[metric] * (1 + above)


def _gap_cv(step: Row) -> float:
    """Coefficient of variation of the gaps between arrivals that are drawn: that of their number is this over √n (renewal theory)."""
    if step["arrivals"] == "poisson":
        return 1.0
    return 1 / math.sqrt(step["burstiness"]) if step["arrivals"] == "gamma" else 0.0
