"""Pass-or-fail rules against what was measured: ``p99(ttft) < 800ms`` in every step, or over the requests that a rule is about.

A figure that does not exist breaks its rule. A percentile that reports withhold neither passes a rule nor fails it: too few requests, or
a step that was not steady, are not enough to say, unless those on the wrong side are more than chance allows whatever the rest would be.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from duckdb import DuckDBPyConnection

from analysis import catalog
from analysis.differences.laws import binomial_at_least
from generator.thresholds import (
    CHANCE,
    FLUIDITY,
    STATISTICS,
    TAIL,
    Part,
    Rule,
    Threshold,
    about_some,
    named,
    parse,
    restored,
)
from generator.until import least_n


@dataclass(frozen=True, slots=True)
class Result:
    """One rule in one step. ``rule`` with what it is about. ``figure`` and ``limit``: ms for latencies, [0, 1] for shares, fluidity and
    attainment, per second for rates. ``holds`` None: not enough data, and ``withheld`` says why; the figure is None then, as in the report.
    ``aborted``: the run was stopped because it was broken here.
    """

    rule: str
    step_id: int
    step: str
    figure: float | None
    limit: float
    holds: bool | None
    withheld: str | None = None
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
        some = _source(rule)
        figures = dict(catalog.query(con, _sql(threshold, some)).rows)
        doubts = _doubts(con, threshold, some)
        for step_id, name in steps:
            if rule.steps is not None and step_id not in rule.steps:
                continue
            doubt = doubts.get(step_id)
            figure = figures.get(step_id) if doubt is None else None
            holds = None if doubt else figure is not None and threshold.holds(figure)
            here = aborted is not None and (aborted["rule"], aborted["step_id"]) == (named(rule), step_id)
            stopped = here and rule.abort
            found.append(
                asdict(Result(named(rule), step_id, name, figure, threshold.limit, holds, doubt, rule.abort, stopped))
            )
    return found


def _doubts(con: DuckDBPyConnection, rule: Threshold, some: str | None) -> dict[int, str]:
    """Steps in which the rule's percentile is withheld and its breach is not proven all the same, each with the reason.

    Proven is what would stop a run: so many on the wrong side where as many as may be are less likely than CHANCE. Gaps of one answer
    resemble one another, so that nothing is proven by their number.
    """
    p = rule.probability
    if p is None or max(p, 1 - p) < TAIL:
        return {}
    unsteady = dict(
        catalog.query(
            con, f"SELECT step_id, any_value(reason) FROM withheld WHERE {_withheld_for(rule)} GROUP BY step_id"
        ).rows
    )
    counts = f"SELECT step_id, sum(n), sum(n) FILTER (WHERE NOT x {rule.operator} {rule.limit!r}) FROM ({_values(rule, some)}) GROUP BY step_id"
    found = {}
    for step_id, n, wrong in catalog.query(con, counts).rows:
        least = least_n(p)
        reason = f"n too small: {n:,} of {least:,}" if n < least else unsteady.get(step_id)
        may = p if rule.operator in (">", ">=") else 1 - p
        proven = rule.metric != "icl" and wrong and binomial_at_least(float(wrong), float(n), may) < CHANCE
        if reason is not None and not proven:
            found[step_id] = reason
    return found


def _withheld_for(rule: Threshold) -> str:
    """What the report withholds of a whole step, for reasons that hold for any of its requests, too."""
    figure = f"p{100 * (rule.probability or 0.0):g}"
    return f"metric = '{rule.metric}' AND (rule = 'steady' OR figure = '{figure}')"


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
        return _icl(rule, _values(rule, some))
    return f"SELECT step_id, {_figure(rule, 'x')} FROM ({_values(rule, some)}) GROUP BY step_id"


def _figure(rule: Threshold, column: str) -> str:
    return f"{rule.statistic}({column})" if rule.probability is None else f"percentile({column}, {rule.probability})"


def _values(rule: Threshold, some: str | None) -> str:
    """A SELECT of (step_id, x, n): the values that a statistic is of, each as often as n says."""
    if rule.metric == "icl":
        source = _GAPS_OF_SOME.format(some=some) if some else "icl_counts"
        return f"SELECT step_id, gap_us / 1000 AS x, n FROM {source}"
    chosen = f"SEMI JOIN {some} AS chosen USING (run_id, request_id)" if some else ""
    if rule.metric == FLUIDITY:
        return f"SELECT step_id, fluidity AS x, 1 AS n FROM fluidity {chosen}"
    who = "issued_ns IS NOT NULL" if rule.metric == "lateness" else "outcome = 'ok'"
    column = f"{rule.metric}_ms"
    return (
        f"SELECT step_id, {column} AS x, 1 AS n FROM request_metrics {chosen} "
        f"WHERE phase = 'main' AND {who} AND {column} IS NOT NULL"
    )


_GAPS_OF_SOME = """(
    SELECT m.step_id, (g.gap_ns + 500) // 1000 AS gap_us, 1 AS n
    FROM chunk_gaps AS g
    JOIN request_metrics AS m ON g.run_id = m.run_id AND g.request_id = m.request_id
    SEMI JOIN {some} AS chosen ON g.run_id = chosen.run_id AND g.request_id = chosen.request_id
    WHERE m.phase = 'main' AND m.outcome = 'ok'
)"""


def _icl(rule: Threshold, values: str) -> str:
    """Gaps are kept as counts by the microsecond: the percentile lies between the two of neighbouring ranks, as in ``icl_quantiles``."""
    if rule.statistic in STATISTICS:
        figure = {"mean": "sum(x * n) / sum(n)", "min": "min(x)", "max": "max(x)"}[rule.statistic]
        return f"SELECT step_id, {figure} FROM ({values}) GROUP BY step_id"
    return f"""
        WITH counted AS (SELECT step_id, x, sum(n) AS n FROM ({values}) GROUP BY step_id, x),
        ranked AS (
            SELECT
                step_id, x, sum(n) OVER (PARTITION BY step_id ORDER BY x) AS up_to,
                {rule.probability} * (sum(n) OVER (PARTITION BY step_id) - 1) AS rank
            FROM counted
        ),
        neighbours AS (
            SELECT
                step_id, any_value(rank) AS rank, min(x) FILTER (WHERE up_to > floor(rank)) AS below,
                min(x) FILTER (WHERE up_to > ceil(rank)) AS above
            FROM ranked
            GROUP BY step_id
        )
        SELECT step_id, below + (above - below) * (rank - floor(rank)) FROM neighbours
    """
