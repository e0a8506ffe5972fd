"""A scenario's pass-or-fail rules against what was measured: ``p99(ttft) < 800ms`` over every step.

A rule speaks of the sample itself: a percentile that reports withhold because its bound is unknown is compared all the same,
for a rule that silently never applied would pass for the wrong reason. A figure that does not exist breaks its rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from duckdb import DuckDBPyConnection

from analysis import catalog
from generator.thresholds import STATISTICS, Threshold, parse


@dataclass(frozen=True, slots=True)
class Result:
    """One rule in one step. ``figure`` and ``limit``: ms for latencies, [0, 1] for shares and attainment, per second for rates."""

    rule: str
    step_id: int
    step: str
    figure: float | None
    limit: float
    holds: bool


def judge(con: DuckDBPyConnection, rules: Sequence[str]) -> list[dict[str, Any]]:
    """A :class:`Result` as a dict for each rule and step, rules in the order of the scenario."""
    steps = catalog.query(con, "SELECT step_id, name FROM steps ORDER BY step_id").rows
    found = []
    for rule in map(parse, rules):
        figures = dict(catalog.query(con, _sql(rule)).rows)
        for step_id, name in steps:
            figure = figures.get(step_id)
            holds = figure is not None and rule.holds(figure)
            found.append(asdict(Result(rule.text, step_id, name, figure, rule.limit, holds)))
    return found


_RATES = {
    "requests": ("throughput", "ok_rps"),
    "output_tokens": ("throughput", "output_tps"),
    "goodput": ("goodput", "goodput_rps"),
}


def _sql(rule: Threshold) -> str:
    """A SELECT of (step_id, figure). All words in it come from the closed lists that ``parse`` checks against."""
    if rule.statistic == "attainment":
        return "SELECT step_id, attainment FROM goodput"
    if rule.statistic == "rate":
        relation, column = _RATES[rule.metric]
        return f"SELECT step_id, {column} FROM {relation}"
    if rule.statistic == "share":
        which = "outcome <> 'ok'" if rule.metric == "failed" else f"outcome = '{rule.metric}'"
        return f"SELECT step_id, avg(({which})::INT) FROM request_metrics WHERE phase = 'main' GROUP BY step_id"
    if rule.metric == "icl":
        return _icl(rule.statistic)
    who = "issued_ns IS NOT NULL" if rule.metric == "lateness" else "outcome = 'ok'"
    column = f"{rule.metric}_ms"
    figure = f"{rule.statistic}({column})"
    if rule.statistic not in STATISTICS:
        figure = f"quantile_cont({column}, {_probability(rule.statistic)})"
    return f"SELECT step_id, {figure} FROM request_metrics WHERE phase = 'main' AND {who} GROUP BY step_id"


def _probability(percentile: str) -> float:
    return float(percentile.removeprefix("p")) / 100


def _icl(statistic: str) -> str:
    """Gaps are kept as counts by the microsecond: the percentile is the least gap that enough gaps do not exceed."""
    if statistic in STATISTICS:
        figure = {"mean": "sum(gap_us * n) / sum(n)", "min": "min(gap_us)", "max": "max(gap_us)"}[statistic]
        return f"SELECT step_id, {figure} / 1000 FROM icl_counts GROUP BY step_id"
    return f"""
        WITH counted AS (SELECT step_id, gap_us, sum(n) AS n FROM icl_counts GROUP BY step_id, gap_us),
        ranked AS (
            SELECT step_id, gap_us, sum(n) OVER (PARTITION BY step_id ORDER BY gap_us) AS up_to, sum(n) OVER (PARTITION BY step_id) AS gaps
            FROM counted
        )
        SELECT step_id, min(gap_us) / 1000 FROM ranked WHERE up_to >= {_probability(statistic)} * gaps GROUP BY step_id
    """
