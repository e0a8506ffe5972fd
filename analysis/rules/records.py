"""Is the record whole, and is there enough of it?"""

from __future__ import annotations

from collections.abc import Iterator

from analysis import catalog
from analysis.enough import least_n, misses_bounded
from analysis.rules.rule import Evidence, Rule, percent

_LIMITS = {
    "descriptors": ("%too many open files%", "raise the limit of open files (ulimit -n)"),
    "ports": ("%cannot assign requested address%", "widen net.ipv4.ip_local_port_range, or reuse connections"),
}


def rules(evidence: Evidence) -> Iterator[Rule]:
    yield from _checks(evidence)
    yield from _limits(evidence)
    yield from _sources(evidence)
    yield from _cut(evidence)
    yield from _withheld(evidence)
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
        for step_id, n in found:
            yield Rule(f"limit_{name}", "WARN", step_id, f"{n:,} requests found no {name[:-1]} free", "0", advice, True)


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


def _attainment(evidence: Evidence) -> Iterator[Rule]:
    """Early stopping: a share that was met by the numbers alone is claimed only when they are many enough."""
    wanted = (evidence.manifest.get("slo") or {}).get("attainment")
    if not wanted or not 0 < wanted < 1:
        return
    for row in evidence.rows("goodput"):
        n, misses = row["due_requests"], row["due_requests"] - row["good_requests"]
        if row["attainment"] < wanted or misses_bounded(wanted, misses, n):
            continue
        figure = f"attainment of {percent(wanted)}: {misses:,} misses of {n:,}"
        advice = "the share was met, but so few requests do not prove it with 99 % confidence"
        yield Rule(
            "early_stopping",
            "WITHHELD",
            row["step_id"],
            figure,
            f"n at least {least_n(wanted, misses):,}",
            advice,
            True,
        )
