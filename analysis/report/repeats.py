"""What the report says of several runs of one plan: a sentence for each load, tables of figures and of what each run gave."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from analysis.report.parts import Table
from analysis.report.wording import NOTHING, count, number, printable, share

Row = dict[str, Any]

LATENCIES = {
    "ttft": "TTFT",
    "ttft_wire": "TTFT from send",
    "ttfo": "TTFO",
    "ttst": "TTST",
    "tpot": "TPOT",
    "ntpot": "NTPOT",
    "e2e": "E2E",
    "lateness": "lateness",
}
"""Metric → what people call it; its figures are in ms."""
_RATES = {"requests": "done/s", "goodput": "goodput/s", "output_tokens": "tokens/s"}
_TABLE = ("p50", "p90", "p99")
_IN_TABLE = ("ttft", "tpot", "e2e")
_HEADLINES = ("p99(ttft)", "p50(ttft)", "p90(ttft)", "p99(e2e)", "p50(e2e)", "rate(requests)")
"""Of these the first that has an interval speaks for a load."""


def ended(report: Row) -> str:
    """Why there are so many, in a sentence."""
    made, merged = len(report["repetitions"]), report["merged"]
    left = "" if merged == made else f", {made - merged} shown and not merged"
    head = f"{made} {'run' if report['group'] is None else 'repetitions'}, {merged} merged{left}"
    if report["group"] is None:
        return head
    if report["ended"] is None:
        return f"{head}; still going, or cut off before it could say why it ended"
    return f"{head}; {report['ended']['told']}"


def sentences(report: Row) -> list[str]:
    """For each load: how far its runs lie apart, and what of it is noise within each."""
    several = len(report["loads"]) > 1
    told = []
    for load in report["loads"]:
        rows = [r for r in report["figures"] if (r["load"], r["arm"]) == (load["load"], load["arm"])]
        row = next((r for name in _HEADLINES for r in rows if r["figure"] == name and r["spread"]), None)
        if row is not None:
            told.append(_sentence(row, load["label"] if several else None))
        others = [r for r in rows if r is not row and r["spread"] and r["spread"]["shown"] and _tabled(r)]
        if others:
            where = f" at {load['label']}" if several else ""
            told.append(
                f"The runs differ{where} in {', '.join(name_of(r) for r in others[:6])}{', …' if len(others) > 6 else ''}, too."
            )
    return told


def _sentence(row: Row, label: str | None) -> str:
    spread, values = row["spread"], [r["value"] for r in row["runs"] if r["value"] is not None]
    where = f" at {label}" if label else ""
    head = (
        f"{name_of(row)}{where}: {_value(row, row['value'])} [{_value(row, row['low'])} to {_value(row, row['high'])}]{_unit(row)}; "
        f"{len(values)} runs from {_value(row, min(values))} to {_value(row, max(values))}"
    )
    if spread["total_sd"] == 0:
        return f"{head}: they agree to the last digit."
    if spread["within_share"] is None:
        return f"{head}, run-to-run spread {_value(row, spread['total_sd'])}{_unit(row)} (sd); too short to tell what of it is noise."
    verdict = "the runs differ" if spread["shown"] else "no difference between runs shown"
    return (
        f"{head}. Run-to-run spread is {_value(row, spread['total_sd'])}{_unit(row)} (sd), noise within the runs explains "
        f"{share(spread['within_share'])} of its variance: {verdict} (p {_p(spread['p_value'])})."
    )


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {number(value, 2)}"


def name_of(row: Row) -> str:
    if row["statistic"] == "rate":
        return _RATES[row["metric"]]
    if row["statistic"] == "attainment":
        return "attainment"
    if row["statistic"] == "share":
        return "ok"
    return f"{LATENCIES[row['metric']]} {row['statistic']}"


def _unit(row: Row) -> str:
    return " ms" if row["metric"] in LATENCIES else ""


def _value(row: Row, value: float | None) -> str:
    return share(value) if row["statistic"] in ("attainment", "share") else number(value)


def tables(report: Row) -> list[Table]:
    """A table of figures for each load, and one of the repetitions."""
    return [*_of_figures(report), *_of_runs(report)]


def _of_figures(report: Row) -> Iterator[Table]:
    for load in report["loads"]:
        rows = [r for r in report["figures"] if (r["load"], r["arm"]) == (load["load"], load["arm"]) and _tabled(r)]
        lead = (
            f"{count(load['requests'])} requests, {count(load['ok'])} ok, over {number(load['window_s'])} s. Merged: of all of them together, with "
            "its 95 % interval over runs. Spread: standard deviation over runs; noise: what of its variance the noise within each explains."
        )
        told = tuple(
            (
                f"{name_of(row)}{_unit(row)}",
                _value(row, row["value"]),
                NOTHING if row["low"] is None else f"{_value(row, row['low'])} to {_value(row, row['high'])}",
                _signless(row["half_width_share"]),
                _range(row),
                _spread(row, "total_sd"),
                NOTHING if row["spread"] is None else share(row["spread"]["within_share"]),
                _verdict(row),
            )
            for row in rows
        )
        headings = ("merged", "95 % interval", "±", "runs from, to", "spread\nsd", "\nnoise", "between\nruns")
        yield Table(printable(load["label"]), lead, ("figure",), headings, told)


def _tabled(row: Row) -> bool:
    return row["statistic"] in ("rate", "attainment", "share") or (
        row["metric"] in _IN_TABLE and row["statistic"] in _TABLE
    )


def _signless(value: float | None) -> str:
    return NOTHING if value is None else share(value)


def _range(row: Row) -> str:
    values = [r["value"] for r in row["runs"] if r["value"] is not None]
    return f"{_value(row, min(values))} to {_value(row, max(values))}" if values else NOTHING


def _spread(row: Row, key: str) -> str:
    found = row["spread"]
    return NOTHING if found is None else _value(row, found[key])


def _verdict(row: Row) -> str:
    found = row["spread"]
    if found is None or found["within_share"] is None:
        return NOTHING if found is None or found["total_sd"] else "none"
    return "differ" if found["shown"] else "none shown"


def _of_runs(report: Row) -> Iterator[Table]:
    """What each repetition gave, in the figures that people look at first; of the first load where there are several."""
    loads = report["loads"]
    wanted = ("p50(ttft)", "p99(ttft)", "p50(tpot)", "p99(e2e)", "rate(requests)", "rate(output_tokens)", "share(ok)")
    first = loads[0] if loads else None
    by_run: dict[str, dict[str, str]] = {}
    there = []
    for row in report["figures"]:
        if first is not None and (row["load"], row["arm"]) == (first["load"], first["arm"]) and row["figure"] in wanted:
            there.append(row)
            for run in row["runs"]:
                by_run.setdefault(run["run_id"], {})[row["figure"]] = _value(row, run["value"])
    shown = [row for name in wanted for row in there if row["figure"] == name]
    rows = tuple(
        (
            short(run, report["group"]),
            run["verdict"] or NOTHING,
            *(by_run.get(run["run_id"], {}).get(row["figure"], NOTHING) for row in shown),
            "merged" if run["merged"] else "not merged",
        )
        for run in report["repetitions"]
    )
    lead = "Each is a run of its own: `openloop report RUN` shows it." + (
        f" Figures of {first['label']}." if first and len(loads) > 1 else ""
    )
    headings = ("verdict", *(f"{name_of(row)}{_unit(row)}" for row in shown), "")
    yield Table("Repetitions", lead, ("run",), headings, rows)


def short(run: Row, group: str | None) -> str:
    """``r3`` within a group, whose name stands above."""
    name = str(run["run_id"])
    return name if group is None else name.removeprefix(f"{group}-")


def notes(report: Row) -> list[str]:
    """What is not merged and why, what the runs do not have in common, what was asked for, and what all rests on."""
    lines = [f"! {run['run_id']} is not merged: {run['reason']}" for run in report["repetitions"] if run["reason"]]
    lines += [f"! {line}" for line in report["differing"]]
    if report["left_out"]:
        lines.append(f"! not measured by all runs, left out: {'; '.join(report['left_out'])}")
    for rule in report["until"]:
        state = "reached" if rule["reached"] else "not reached"
        where = f" at {rule['load']}" if rule["load"] and len(report["loads"]) > 1 else ""
        width = (
            rule["withheld"] or "not measured" if rule["half_width_share"] is None else share(rule["half_width_share"])
        )
        lines.append(f"until {rule['rule']}: {state}{where}: {width}")
    withheld = dict.fromkeys(r["withheld"] for r in report["figures"] if r["withheld"] and _tabled(r))
    if withheld and report["merged"] > 1:
        lines.append(f"– stands for what is withheld: {'; '.join(list(withheld)[:3])}.")
    return [*lines, *report["assumptions"]] if report["loads"] else [*lines, "Nothing can be merged."]
