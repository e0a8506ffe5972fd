"""What the report says of the parts of a step: its workloads, its tags, its conversations and their turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from duckdb import DuckDBPyConnection

from analysis import catalog
from analysis.report.costs import dollars
from analysis.report.wording import NOTHING, count, number, share

Row = dict[str, Any]

QUERIES = {"workloads": "by_workload", "tags": "by_tag", "sessions": "sessions", "turns": "turns"}
"""Key of the report → relation whose rows it holds, of all steps."""

Figures = tuple[tuple[str, str, Callable[[float], str]], ...]
"""(heading, column, how it is written) of each; a heading of one line belongs below the one before."""

_OF_TURNS: Figures = (
    ("requests", "requests", count),
    ("ok", "success_share", share),
    ("input\ntokens", "mean_input_tokens", number),
    ("TTFT ms\np50", "ttft_p50_ms", number),
    ("\np99", "ttft_p99_ms", number),
    ("TPOT ms\np50", "tpot_p50_ms", number),
    ("\np99", "tpot_p99_ms", number),
    ("E2E ms\np50", "e2e_p50_ms", number),
    ("\np99", "e2e_p99_ms", number),
)
_OF_PARTS: Figures = (*_OF_TURNS, ("tokens/s", "output_tps", number))
_OF_SESSIONS: Figures = (
    ("sessions", "sessions", count),
    ("completed", "completed", count),
    ("failed", "failed", count),
    ("cut", "cut", count),
    ("turns\neach", "turns_mean", number),
    ("started/s", "started_rps", number),
    ("lasted s\np50", "duration_p50_s", number),
    ("\np90", "duration_p90_s", number),
)


@dataclass(frozen=True, slots=True)
class Table:
    """``rows``: the words that name a row, as many as ``names``, then its figures."""

    title: str
    lead: str
    names: tuple[str, ...]
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def _priced(rows: list[Row]) -> Figures:
    """The figures of parts, what they cost among them where that is known."""
    known = any(row["cost_usd"] is not None for row in rows)
    return (*_OF_PARTS, ("cost", "cost_usd", dollars)) if known else _OF_PARTS


def build(con: DuckDBPyConnection) -> dict[str, list[Row]]:
    """The rows of QUERIES' relations, as they are."""
    return {
        key: [{k: v for k, v in row.items() if k != "run_id"} for row in catalog.run(con, query).dicts()]
        for key, query in QUERIES.items()
    }


def tables(report: Row) -> list[Table]:
    """Those that have more to say than the table of steps: several workloads in a step, tags, conversations."""
    steps = {s["step_id"]: s["label"] for s in report["steps"]}
    several = {r["step_id"] for r in report["workloads"]}
    mixed = len(report["workloads"]) > len(several)
    found = []
    if mixed:
        lead = "A weight is a share of the arrivals; one that starts a session makes several requests."
        found.append(
            _table("By workload", lead, ("workload",), _priced(report["workloads"]), report["workloads"], steps)
        )
    if report["tags"]:
        lead = "A request counts for each of its tags."
        found.append(_table("By tag", lead, ("tag", "value"), _priced(report["tags"]), report["tags"], steps))
    if report["sessions"]:
        lead = "A session is completed when all its turns ended ok; a turn that did not ends it; the end of the step cuts it."
        found.append(_table("Sessions", lead, ("workload",), _OF_SESSIONS, report["sessions"], steps))
        lead = "A turn carries all that was said before it, with the real answers."
        found.append(_table("By turn", lead, ("workload", "turn"), _OF_TURNS, report["turns"], steps))
    return found


def _table(
    title: str, lead: str, names: tuple[str, ...], figures: Figures, rows: list[Row], steps: dict[int, str]
) -> Table:
    one = len(steps) == 1
    told = []
    for row in rows:
        words = [] if one else [steps.get(row["step_id"], f"step {row['step_id']}")]
        words += [str(row[name]) for name in names]
        told.append((*words, *(NOTHING if row[key] is None else form(row[key]) for _, key, form in figures)))
    return Table(
        title, lead, names if one else ("step", *names), tuple(heading for heading, _, _ in figures), tuple(told)
    )
