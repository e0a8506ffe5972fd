"""Is the record whole, and is there enough of it?"""

from __future__ import annotations

import math
from collections.abc import Iterator

from analysis import catalog
from analysis.enough import least_n, misses_bounded
from analysis.rules.rule import Evidence, Rule, percent

_LIMITS = {
    "descriptors": ("%too many open files%", "raise the limit of open files (ulimit -n)"),
    "ports": ("%cannot assign requested address%", "widen net.ipv4.ip_local_port_range, or reuse connections"),
}

_TAIL = 0.99
"""Percentiles from here on are the ones that too few values leave without an upper end."""


def rules(evidence: Evidence) -> Iterator[Rule]:
    yield from _checks(evidence)
    yield from _limits(evidence)
    yield from _sources(evidence)
    yield from _cut(evidence)
    yield from _withheld(evidence)
    yield from _ends(evidence)
    yield from _attainment(evidence)


def _checks(evidence: Evidence) -> Iterator[Rule]:
    for query in catalog.load().values():
        if query.kind == "checks":
            n = evidence.count(query.name)
            advice = f"the record contradicts itself, a fault of ours: `openloop sql RUN {query.name}` shows where"
            yield Rule(f"check_{query.name}", "INVALID", None, f"{query.question} {n:,} rows", "0 rows", advice, n > 0)


def _limits(evidence: Evidence) -> Iterator[Rule]:
    for name, (pattern, advice) in _LIMITS.items():
        found = evidence.con.execute(
            "SELECT step_id, count(*) FROM requests WHERE run_id = ? AND error_message ILIKE ? GROUP BY step_id ORDER BY step_id",
            [evidence.run_id, pattern],
        ).fetchall()
        for step_id, n in found or [(None, 0)]:
            yield Rule(
                f"limit_{name}", "WARN", step_id, f"{n:,} requests found no {name[:-1]} free", "0", advice, n > 0
            )


def _sources(evidence: Evidence) -> Iterator[Rule]:
    for row in evidence.rows("prompt_lengths"):
        if row["output_sources"] and "," in row["output_sources"]:
            figure = f"output tokens come from {row['output_sources']}"
            yield Rule(
                "token_sources",
                "WARN",
                row["step_id"],
                figure,
                "one source a step",
                "token figures mix ways of counting: ask the target for usage",
                True,
            )


def _cut(evidence: Evidence) -> Iterator[Rule]:
    if evidence.manifest.get("interrupted"):
        yield Rule(
            "interrupted",
            "WARN",
            None,
            "the run was interrupted",
            "ends by itself",
            "figures are of what was done till then",
            True,
        )
    rebuilt = [s["step_id"] for s in evidence.rows("step_windows") if not s["recorded"]]
    if rebuilt:
        figure = f"{len(rebuilt)} steps left no record of their beginning and end"
        yield Rule(
            "steps_recorded",
            "WARN",
            None,
            figure,
            "0",
            "rebuilt from their requests; `openloop seal RUN` may know more",
            True,
        )


def _withheld(evidence: Evidence) -> Iterator[Rule]:
    """One row for all metrics of a step whose figure is not printed for the same reason."""
    rows = [r for r in evidence.rows("withheld") if r["rule"] == "enough_data"]
    for step_id, figure, reason in sorted({(r["step_id"], r["figure"], r["reason"]) for r in rows}):
        metrics = ", ".join(
            r["metric"] for r in rows if (r["step_id"], r["figure"], r["reason"]) == (step_id, figure, reason)
        )
        advice = "more requests a step; percentile_intervals tells what may be said of lower percentiles"
        yield Rule(
            "enough_data",
            "WITHHELD",
            step_id,
            f"{figure} of {metrics}: {reason}",
            "bounded from above, and certain",
            advice,
            True,
        )


def _ends(evidence: Evidence) -> Iterator[Rule]:
    """One row for all percentiles of a step that are printed, but cannot be bounded from above."""
    rows = [r for r in evidence.rows("percentile_intervals") if r["q"] >= _TAIL and r["ms"] is not None]
    withheld = {(r["step_id"], r["metric"]) for r in evidence.rows("withheld") if r["rule"] == "steady"}
    rows = [r for r in rows if r["metric"] != "lateness" and (r["step_id"], r["metric"]) not in withheld]
    for step_id in sorted({r["step_id"] for r in rows}):
        judged = [r for r in rows if r["step_id"] == step_id]
        open_ended = [r for r in judged if r["reason"]]
        worst = min(open_ended or judged, key=lambda r: (r["n_effective"] or 0) / r["least_n"])
        names = ", ".join(f"p{r['q'] * 100:g} of {r['metric']}" for r in open_ended) or "all p99"
        worth = "unknown" if worst["n_effective"] is None else f"{int(worst['n_effective']):,} independent ones"
        figure = f"{names}: {worst['n']:,} values of {worst['metric']} are worth {worth}"
        advice = "such a percentile is a lower bound: nothing says how much higher it may be. A longer step bounds it"
        limit = f"at least {worst['least_n']:,} for p{worst['q'] * 100:g}"
        yield Rule("interval_ends", "WITHHELD", step_id, figure, limit, advice, bool(open_ended))


def _attainment(evidence: Evidence) -> Iterator[Rule]:
    """Early stopping: a share that was met by the numbers alone is claimed only when they are many enough, each for what it is worth."""
    wanted = (evidence.manifest.get("slo") or {}).get("attainment")
    if not wanted or not 0 < wanted < 1:
        return
    for row in evidence.rows("attainment_evidence"):
        n, misses = row["due_requests"], row["misses"]
        if 1 - misses / n < wanted:
            continue  # not met: the figure itself says so
        worth = row["n_effective"] / n
        n_worth, misses_worth = math.floor(n * worth), math.ceil(misses * worth)
        figure = f"attainment of {percent(wanted)}: {misses:,} misses of {n:,}"
        figure += f", worth {misses_worth:,} of {n_worth:,} independent ones" if n_worth < n else ""
        yield Rule(
            "early_stopping",
            "WITHHELD",
            row["step_id"],
            figure,
            f"n at least {least_n(wanted, misses_worth):,}, for 99 % confidence",
            "the share was met, but so few requests do not prove it: make the step longer",
            not misses_bounded(wanted, misses_worth, n_worth),
        )
