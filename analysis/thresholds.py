"""Pass-or-fail rules against what was measured: ``p99(ttft) < 800ms`` in every step, or over the requests that a rule is about.

A rule speaks of the sample itself: a percentile that reports withhold because its bound is unknown is compared all the same,
for a rule that silently never applied would pass for the wrong reason. A figure that does not exist breaks its rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from duckdb import DuckDBPyConnection

from analysis import catalog
from generator.thresholds import (
    FLUIDITY,
    STATISTICS,
    Part,
    Rule,
    Threshold,
    about_some,
    named,
    parse,
    restored,
)


@dataclass(frozen=True, slots=True)
class Result:
    """One rule in one step. ``rule`` with what it is about. ``figure`` and ``limit``: ms for latencies, [0, 1] for shares, fluidity and
    attainment, per second for rates. ``aborted``: the run was stopped because it was broken here.
    """

    rule: str
    step_id: int
    step: str
    figure: float | None
    limit: float
    holds: bool
    abort: bool = False
    aborted: bool = False


def judge(
    con: DuckDBPyConnection, rules: Sequence[str | Rule | Mapping[str, Any]], aborted: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """A :class:`Result` as a dict for each rule and step, in the order of ``rules``, which are as the manifest has them; so is ``aborted``."""
    steps = catalog.query(con, "SELECT step_id, name FROM step_windows ORDER BY step_id").rows
    found = []
    for rule in (r if isinstance(r, Rule) else restored(r) for r in rules):
        threshold = parse(rule.text)
        figures = dict(catalog.query(con, _sql(threshold, _source(rule))).rows)
        for step_id, name in steps:
            if rule.steps is not None and step_id not in rule.steps:
                continue
            figure = figures.get(step_id)
            holds = figure is not None and threshold.holds(figure)
            here = aborted is not None and (aborted["rule"], aborted["step_id"]) == (named(rule), step_id)
            result = Result(named(rule), step_id, name, figure, threshold.limit, holds, rule.abort, here and rule.abort)
            found.append(asdict(result))
    return found


def parts(con: DuckDBPyConnection) -> list[Part]:
    """What rules can be narrowed to in a run that was recorded."""
    sql = """
        SELECT r.step_id, any_value(w.name), r.workload, r.target, r.tags
        FROM requests AS r
        JOIN step_windows AS w ON r.run_id = w.run_id AND r.step_id = w.step_id
        GROUP BY r.step_id, r.workload, r.target, r.tags
        ORDER BY r.step_id
    """
    return [
        Part(step_id, step, workload, target, frozenset(tags.split(",") if tags else ()))
        for step_id, step, workload, target, tags in catalog.query(con, sql).rows
    ]


_RATES = {
    "requests": ("throughput", "ok_rps"),
    "output_tokens": ("throughput", "output_tps"),
    "goodput": ("goodput", "goodput_rps"),
    "good_tokens": ("goodput", "good_tps"),
}

_RATES_OF_SOME = {
    "requests": (
        "request_metrics",
        "count(*) FILTER (WHERE x.outcome = 'ok' AND x.done_ns >= w.window_start_ns AND x.done_ns < w.window_end_ns)",
    ),
    "output_tokens": ("window_tokens", "sum(x.output_tokens)"),
    "goodput": ("slo_requests", "count(*) FILTER (WHERE x.good)"),
    "good_tokens": ("slo_requests", "coalesce(sum(x.output_tokens) FILTER (WHERE x.good), 0)"),
}
"""What the relations of a whole step count, over requests x of the step's window w."""


def _source(rule: Rule) -> str | None:
    """A SELECT of the requests that the rule is about; None where it is all of them."""
    if not about_some(rule):
        return None
    wanted = [f"{key} = {_quoted(word)}" for key, word in _words(rule)]
    wanted += [f"list_contains(string_split(tags, ','), {_quoted(tag)})" for tag in rule.tags]
    return f"(SELECT run_id, request_id FROM requests WHERE {' AND '.join(wanted)})"


def _words(rule: Rule) -> Iterable[tuple[str, str]]:
    return ((key, word) for key, word in (("workload", rule.workload), ("target", rule.target)) if word is not None)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _sql(rule: Threshold, some: str | None) -> str:
    """A SELECT of (step_id, figure). All words of the rule come from the closed lists that ``parse`` checks against."""
    chosen = f"SEMI JOIN {some} AS chosen USING (run_id, request_id)" if some else ""
    if rule.statistic == "attainment":
        return f"SELECT step_id, avg(good::INT) FROM slo_requests {chosen} GROUP BY step_id"
    if rule.statistic == "rate" and some is None:
        relation, column = _RATES[rule.metric]
        return f"SELECT step_id, {column} FROM {relation}"
    if rule.statistic == "rate":
        relation, figure = _RATES_OF_SOME[rule.metric]
        counted = f"SELECT * FROM {relation} {chosen}"
        joined = f"({counted}) AS x JOIN step_windows AS w ON x.run_id = w.run_id AND x.step_id = w.step_id"
        return f"SELECT x.step_id, {figure} / any_value(w.window_s) FROM {joined} GROUP BY x.step_id"
    if rule.statistic == "share":
        which = "outcome <> 'ok'" if rule.metric == "failed" else f"outcome = '{rule.metric}'"
        return (
            f"SELECT step_id, avg(({which})::INT) FROM request_metrics {chosen} WHERE phase = 'main' GROUP BY step_id"
        )
    if rule.metric == "icl":
        return _icl(rule, some)
    if rule.metric == FLUIDITY:
        return f"SELECT step_id, {_figure(rule, 'fluidity')} FROM fluidity {chosen} GROUP BY step_id"
    who = "issued_ns IS NOT NULL" if rule.metric == "lateness" else "outcome = 'ok'"
    figure = _figure(rule, f"{rule.metric}_ms")
    return f"SELECT step_id, {figure} FROM request_metrics {chosen} WHERE phase = 'main' AND {who} GROUP BY step_id"


def _figure(rule: Threshold, column: str) -> str:
    return f"{rule.statistic}({column})" if rule.probability is None else f"percentile({column}, {rule.probability})"


_GAPS_OF_SOME = """(
    SELECT m.step_id, (g.gap_ns + 500) // 1000 AS gap_us, 1 AS n
    FROM chunk_gaps AS g
    JOIN request_metrics AS m ON g.run_id = m.run_id AND g.request_id = m.request_id
    SEMI JOIN {some} AS chosen ON g.run_id = chosen.run_id AND g.request_id = chosen.request_id
    WHERE m.phase = 'main' AND m.outcome = 'ok'
)"""


def _icl(rule: Threshold, some: str | None) -> str:
    """Gaps are kept as counts by the microsecond: the percentile is the least gap that enough gaps do not exceed."""
    source = _GAPS_OF_SOME.format(some=some) if some else "icl_counts"
    if rule.statistic in STATISTICS:
        figure = {"mean": "sum(gap_us * n) / sum(n)", "min": "min(gap_us)", "max": "max(gap_us)"}[rule.statistic]
        return f"SELECT step_id, {figure} / 1000 FROM {source} GROUP BY step_id"
    return f"""
        WITH counted AS (SELECT step_id, gap_us, sum(n) AS n FROM {source} GROUP BY step_id, gap_us),
        ranked AS (
            SELECT step_id, gap_us, sum(n) OVER (PARTITION BY step_id ORDER BY gap_us) AS up_to, sum(n) OVER (PARTITION BY step_id) AS gaps
            FROM counted
        )
        SELECT step_id, min(gap_us) / 1000 FROM ranked WHERE up_to >= {rule.probability} * gaps GROUP BY step_id
    """
