"""What the report says of the SLO: who was good, why the others were not, and up to which load enough were."""

from __future__ import annotations

import math
from typing import Any

from duckdb import DuckDBPyConnection

from analysis import catalog
from analysis.report.parts import Table
from analysis.report.wording import NOTHING, brief, count, number, share
from generator.names import USUAL_ATTAINMENT

Row = dict[str, Any]

_Z = 1.96  # of Wilson's interval, as in the macro "wilson"

_QUERIES = {
    "misses": "slo_misses",
    "by_load": "goodput_by_load",
    "largest": "largest_good_load",
    "fluidity": "fluidity_summary",
}


def build(con: DuckDBPyConnection, manifest: Row) -> Row | None:
    """The part ``goodput`` of docs/report.md; None for a run without an SLO."""
    slo = manifest.get("slo") or {}
    if not slo.keys() - {"attainment"}:
        return None
    said = slo.get("attainment")
    found: Row = {
        "limits": {k: v for k, v in slo.items() if k != "attainment"},
        "preset": manifest.get("slo_preset"),
        "wanted": USUAL_ATTAINMENT if said is None else said,
        "wanted_said": said is not None,
    }
    for key, query in _QUERIES.items():
        rows = catalog.run(con, query).dicts()
        found[key] = [{k: v for k, v in row.items() if k != "run_id"} for row in rows]
    return found


def sentences(report: Row) -> list[str]:
    """Up to which load the SLO was met, for each curve; where there is more than one load to speak of."""
    found = report["goodput"]
    if found is None:
        return []
    several = len(found["largest"]) > 1
    told = [_largest(row, several) for row in found["largest"] if row["loads"] > 1]
    if told and not found["wanted_said"]:
        told.append(
            f"The SLO does not say how many requests must meet it: {share(found['wanted'])} is assumed (slo: {{attainment: 99%}} says another)."
        )
    return told


def _largest(row: Row, several: bool) -> str:
    series = f"{row['series']}: " if several else ""
    wanted = f"an attainment of {share(row['wanted'])}"
    if row["state"] == "not reached":
        first = f"at {at(row['next_load'], row['axis'])}, the smallest load, it was {share(row['next_attainment'])}"
        return f"{series}No load shows {wanted}: {first}{_doubt(row)}."
    largest = at(row["met_load"], row["axis"])
    proof = (
        f"attainment {share(row['met_attainment'])}, at least {share(row['met_attainment_low'])} with 95 % confidence"
    )
    good = f"goodput {number(row['met_goodput_rps'])} requests/s"
    line = f"{series}The largest load that shows {wanted} is {largest}: {proof}; {good}."
    if row["state"] == "all met":
        line += " It is the largest that was measured: the limit lies above it."
    else:
        line += f" At {at(row['next_load'], row['axis'])} it was {share(row['next_attainment'])}{_doubt(row)}."
    if row["unmet_below"]:
        smaller = (
            "one smaller load was" if row["unmet_below"] == 1 else f"{count(row['unmet_below'])} smaller loads were"
        )
        line += f" But {smaller} not met: too few requests there, or a target that does not simply get worse."
    return line


def _doubt(row: Row) -> str:
    if row["next_state"] != "undecided":
        return ""
    wanted = row["wanted"]
    least = (
        f", for which {count(math.ceil(_Z**2 * wanted / (1 - wanted)))} without a miss are the least"
        if wanted < 1
        else ""
    )
    return f", from too few requests to show it{least}"


def at(load: float | None, axis: str) -> str:
    """``40 requests/s``, ``64 slots``."""
    return NOTHING if load is None else f"{brief(load)} {axis}"


def tables(report: Row) -> list[Table]:
    """By step; why requests missed; by load where several steps share one; how fluent the answers were."""
    found = report["goodput"]
    if found is None:
        return []
    labels = {s["step_id"]: s["label"] for s in report["steps"]}
    made = [_steps(report["steps"], found)]
    if found["misses"]:
        made.append(_misses(found["misses"], labels))
    if any(row["steps"] > 1 for row in found["by_load"]):
        made.append(_loads(found["by_load"], several=len({r["series"] for r in found["by_load"]}) > 1))
    if any(row["fluent_share"] < 1 for row in found["fluidity"]):
        made.append(_fluidity(found["fluidity"], labels))
    return made


def _steps(steps: list[Row], found: Row) -> Table:
    kinds: dict[tuple[int, str], int] = {}
    for row in found["misses"]:
        key = (row["step_id"], row["kind"])
        kinds[key] = kinds.get(key, 0) + row["requests"]
    rows = tuple(
        (
            s["label"],
            number(s["goodput_rps"]),
            share(s["attainment"]),
            f"{share(s['attainment_low'])} – {share(s['attainment_high'])}",
            *(count(kinds.get((s["step_id"], kind), 0)) for kind in ("late", "failed", "unfinished")),
            number(s["good_tokens_per_s"]),
        )
        for s in steps
        if s["slo"]
    )
    slo = next((s["slo"] for s in steps if s["slo"]), None)
    name = f" ({found['preset']})" if found["preset"] else ""
    lead = (
        f"{slo or 'The SLO'}{name}; wanted of {share(found['wanted'])}. Good over due; late: ended ok, but missed a limit; unfinished: cut, "
        "dropped or lost."
    )
    headings = ("good/s", "attained", "95 %", "late", "failed", "un-\nfinished", "good\ntokens/s")
    return Table("Goodput", lead, ("step",), headings, rows)


def _misses(misses: list[Row], labels: dict[int, str]) -> Table:
    rows = tuple(
        (
            labels.get(r["step_id"], f"step {r['step_id']}"),
            r["cause"],
            r["kind"],
            count(r["requests"]),
            share(r["share_of_misses"]),
            share(r["share_of_due"]),
        )
        for r in sorted(misses, key=lambda r: (r["step_id"], -r["requests"], r["cause"]))
    )
    lead = "Each request that missed has one cause: the limits that it missed, alone or together, or its outcome."
    return Table("SLO missed", lead, ("step", "cause", "kind"), ("requests", "of misses", "of due"), rows)


def _loads(rows: list[Row], several: bool) -> Table:
    told = tuple(
        (
            *((r["series"],) if several else ()),
            at(r["load"], r["axis"]),
            count(r["steps"]),
            count(r["due_requests"]),
            number(r["goodput_rps"]),
            share(r["attainment"]),
            f"{share(r['attainment_low'])} – {share(r['attainment_high'])}",
            r["state"],
        )
        for r in rows
    )
    lead = "Steps of one load taken together. Met: the interval's lower end is as much as is wanted; missed: its upper end is not."
    headings = ("steps", "due", "good/s", "attained", "95 %", "state")
    return Table("By load", lead, ("curve", "load") if several else ("load",), headings, told)


def _fluidity(rows: list[Row], labels: dict[int, str]) -> Table:
    told = tuple(
        (
            labels.get(r["step_id"], f"step {r['step_id']}"),
            count(r["answers"]),
            share(r["mean_fluidity"]),
            *(share(r[f"{p}_fluidity"]) for p in ("min", "p01", "p05", "p10")),
            share(r["fluent_share"]),
        )
        for r in rows
    )
    first, following = number(rows[0]["first_ms"]), number(rows[0]["next_ms"])
    lead = (
        f"Share of an answer's chunks that come by a reader's deadlines: {first} ms for the first, {following} ms for each further one; early "
        "chunks bank slack, a late one starts the clock anew. Fluent: all chunks on time."
    )
    return Table("Fluidity", lead, ("step",), ("answers", "mean", "least", "p1", "p5", "p10", "fluent"), told)
