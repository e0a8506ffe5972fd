"""The report as one HTML file that loads nothing: text and tables by an escaping template, charts as SVG drawn beforehand.

Whatever a model or a target said reaches the page through the template's autoescaping or as escaped text inside SVG. Should that
ever fail, the page's Content-Security-Policy runs no script but the one whose digest it names, and fetches nothing.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import Any

from duckdb import DuckDBPyConnection

from analysis.report import (
    comparison,
    costs,
    figures,
    goodput,
    goodput_charts,
    intervals,
    limits,
    parts,
    texts,
    wording,
)
from analysis.report.style import OUTCOME_COLOURS, ramp
from analysis.report.terms import TERMS

Fact = dict[str, Any]

_STATES = {
    "broken": ("✕", "broken"),
    "warned": ("!", "warning"),
    "withheld": ("–", "withheld"),
    "held": ("✓", "held"),
}
_BROKEN = {"INVALID": "broken", "WARN": "warned", "WITHHELD": "withheld"}


def render(
    con: DuckDBPyConnection, report: dict[str, Any], manifest: dict[str, Any], *, with_texts: bool = False
) -> str:
    """The page of one run. ``report`` is what ``model.build`` made of ``con``; the manifest gives facts that the report leaves out.
    Prompts and answers stand on it only ``with_texts``."""
    shown = texts.slowest(con, report["steps"]) if with_texts else None
    return page(report, [*figures.sections(con, report), *goodput_charts.sections(report)], manifest, shown)


def page(
    report: dict[str, Any],
    chart_sections: list[figures.Section],
    manifest: dict[str, Any],
    shown_texts: list[Fact] | None = None,
) -> str:
    """The same from figures that are drawn already; ``shown_texts`` None leaves the part out, an empty list says that there are none."""
    from jinja2 import Environment, StrictUndefined

    assets = files("analysis.report") / "assets"
    script = (assets / "report.js").read_text(encoding="utf-8").strip()
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "number": wording.number,
        "count": wording.count,
        "share": wording.share,
        "signed_share": wording.signed_share,
        "seconds": wording.seconds,
        "moment": wording.moment,
    }
    template = environment.from_string((assets / "report.html.j2").read_text(encoding="utf-8"))
    steps = [_step(step, index, report["steps"]) for index, step in enumerate(report["steps"])]
    rules = [_rule(rule, steps) for rule in report["verdict"]["rules"]]
    rules.sort(key=lambda rule: list(_STATES).index(rule["state"]))
    thresholds = [
        t | {"label": _label(t["step_id"], steps), "state": wording.threshold_state(t)} for t in report["thresholds"]
    ]
    return template.render(
        run=report["run"],
        verdict=report["verdict"],
        meaning=meaning(report),
        rules=rules,
        rules_summary=rules_summary(rules),
        own_error=own_error(report),
        tiles=tiles(report["steps"], report["totals"]),
        steps=steps,
        sortable=len(steps) > 1,
        gap_name="ITL" if report["steps"] and all(s["gaps_are_tokens"] for s in report["steps"]) else "ICL",
        notes=wording.notes(report["steps"]),
        chart_sections=chart_sections,
        texts=shown_texts,
        thresholds=thresholds,
        thresholds_summary=f"{sum(t['holds'] is True for t in thresholds)} of {len(thresholds)} held.",
        compared=comparison.tables(report["comparison"]),
        compared_told=comparison.sentences(report["comparison"]) if report["comparison"] else [],
        compared_notes=comparison.notes(report["comparison"]),
        parts=parts.tables(report),
        intervals=intervals.tables(report),
        goodput=goodput.tables(report),
        goodput_told=goodput.sentences(report),
        limits=limits.tables(report),
        limits_told=limits.sentences(report),
        limits_assumed=limits.assumptions(report),
        costs=_costs(report, steps),
        errors=[_error(error, steps) for error in report["errors"]],
        lengths=[
            s for s in steps if s["input_tokens"]["reported"] is not None or s["output_tokens"]["received"] is not None
        ],
        facts=run_facts(report, manifest),
        commands=commands(report),
        terms=[{"name": name, "meaning": text} for name, text in TERMS.items()],
        style=(assets / "report.css").read_text(encoding="utf-8"),
        script=script,
        script_digest="sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _costs(report: dict[str, Any], steps: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The section on costs; None where there is nothing to say. Without headings it has no table."""
    if not costs.told(report):
        return None
    columns = costs.columns(steps)
    return {
        "lead": "; ".join([costs.total(report), *costs.price_lines(report["run"])]),
        "headings": list(columns),
        "rows": [
            {"label": s["label"], "cells": [costs.dollars(s["cost"][key]) for key in columns.values()]} for s in steps
        ],
        "notes": costs.notes(report),
    }


def _step(step: dict[str, Any], index: int, steps: list[dict[str, Any]]) -> dict[str, Any]:
    rows = []
    for metric, name in wording.METRICS.items():
        summary = step[metric]
        if summary["n"]:
            rows.append({"name": name, "summary": summary})
        if summary.get("adjusted") and step["success_rate"] not in {None, 1}:
            rows.append({"name": f"{name}, adjusted", "summary": wording.adjusted_row(summary)})
    return step | {"colour": ramp(index, len(steps)), "table": rows}


def _rule(rule: dict[str, Any], steps: list[dict[str, Any]]) -> dict[str, Any]:
    state = _BROKEN[rule["level"]] if rule["broken"] else "held"
    mark, word = _STATES[state]
    return rule | {"state": state, "mark": mark, "word": word, "step": _label(rule["step_id"], steps)}


def _label(step_id: int | None, steps: list[dict[str, Any]]) -> str:
    return next((s["label"] for s in steps if s["step_id"] == step_id), "all" if step_id is None else f"step {step_id}")


def _error(error: dict[str, Any], steps: list[dict[str, Any]]) -> dict[str, Any]:
    colour = OUTCOME_COLOURS.get(error["outcome"], "var(--ink)")
    return error | {"step": _label(error["step_id"], steps), "colour": colour}


def rules_summary(rules: list[dict[str, Any]]) -> str:
    """``17 checks of this run: 2 warnings, 15 held``."""
    plural = {"warned": "warnings"}
    counts = {state: sum(r["state"] == state for r in rules) for state in _STATES}
    parts = [
        f"{n} {plural.get(state, _STATES[state][1]) if n > 1 else _STATES[state][1]}"
        for state, n in counts.items()
        if n
    ]
    return f"{len(rules)} checks of this run: {', '.join(parts)}"


def meaning(report: dict[str, Any]) -> str:
    """The verdict in a sentence."""
    tail = " The run was interrupted; what it had recorded by then is here." if report["run"]["interrupted"] else ""
    if stop := report["run"]["aborted"]:
        tail += f" The threshold {stop['rule']} stopped it: {stop['told']}."
    if report["verdict"]["verdict"] == "VALID":
        return "The generator kept to its schedule and its clocks: the figures below describe the target." + tail
    return "The figures below may describe the generator rather than the target. All data is kept and shown." + tail


def own_error(report: dict[str, Any]) -> list[Fact]:
    """The four figures by which the generator judges itself, each of its worst step or worker."""
    g = report["generator"]
    stamps = {
        "kernel": "of chunks, stamped by the kernel",
        "process": "of chunks; stamped in the process, not by the kernel",
    }
    late, stamped = wording.number(g["lateness_p99_ms"]), stamps.get(str(g["stamp_source"]), "of chunks")
    known = g["lateness_p99_ms"] is not None
    beside = f"p99, the worst step; p50 {wording.number(g['lateness_p50_ms'])} ms" if known else "nothing was sent"
    pairs = [
        ("Sends late by", late, "ms" if known else "", beside),
        ("Sent of what was due", wording.share(g["sent_share"]), "", "the worst step"),
        ("Exact time stamps", wording.share(g["exact_share"]), "", stamped),
        ("Busiest worker", wording.share(g["cpu_share"]), "", "of one CPU, its worst second"),
    ]
    return [{"name": name, "value": value, "unit": unit, "note": note} for name, value, unit, note in pairs]


def tiles(steps: list[dict[str, Any]], totals: dict[str, Any]) -> list[Fact]:
    """Headline figures: lowest and highest over the steps."""

    def spread(name: str, unit: str, values: list[float | None], note: str) -> Fact:
        known = [v for v in values if v is not None]
        if not known:
            return {"name": name, "first": wording.NOTHING, "last": "", "unit": "", "note": "nothing to measure"}
        first, last = wording.number(min(known)), wording.number(max(known))
        return {"name": name, "first": first, "last": "" if first == last else last, "unit": unit, "note": note}

    def p99(metric: str) -> str:
        known = [s[metric]["p99"] for s in steps if s[metric]["p99"] is not None]
        without = [s[metric]["withheld"]["p99"] for s in steps if s[metric]["n"] and s[metric]["p99"] is None]
        if not known:
            # What stands behind the colon belongs to one step.
            reasons = dict.fromkeys(reason.partition(":")[0] for reason in without)
            return f"p99 withheld: {', '.join(reasons)}" if reasons else ""
        some = f", {len(without)} step{'s' * (len(without) > 1)} withheld" if without else ""
        return f"p99 {'up to ' if len(known) > 1 else ''}{wording.number(max(known))} ms{some}"

    ok = f"{wording.share(totals['success_rate'])} ok" if totals["requests"] else "none was sent"
    return [
        {"name": "Requests", "first": wording.count(totals["requests"]), "last": "", "unit": "", "note": ok},
        spread("TTFT, p50", "ms", [s["ttft_ms"]["p50"] for s in steps], p99("ttft_ms")),
        spread("TPOT, p50", "ms", [s["tpot_ms"]["p50"] for s in steps], p99("tpot_ms")),
        spread("E2E, p50", "ms", [s["e2e_ms"]["p50"] for s in steps], p99("e2e_ms")),
        spread(
            "Output",
            "tokens/s",
            [s["output_tokens_per_s"] for s in steps],
            f"{wording.count(totals['window_output_tokens'])} tokens in all windows",
        ),
    ]


def run_facts(report: dict[str, Any], manifest: dict[str, Any]) -> list[Fact]:
    """Name and value pairs about the run and the machine."""
    run, host = report["run"], report["run"]["host"]
    apis = sorted({str(t["api"]) for t in run["targets"]})
    probes = manifest.get("probe") or {}
    pairs = [
        ("Run", run["run_id"]),
        ("Started", wording.moment(run["created"])),
        ("API", ", ".join(apis)),
        ("Seed", run["seed"]),
        ("Scenario", str(run["scenario_digest"] or wording.NOTHING)[:23]),
        ("Workers", f"{run['workers']}, {run['transport']} transport"),
        ("Time stamps", run["stamp_source"]),
        ("Host", host.get("hostname")),
        ("CPU", " × ".join(str(host[k]) for k in ("cpus", "model") if host.get(k))),
        ("Memory", wording.size(host.get("memory_bytes"))),
        ("Kernel", host.get("kernel")),
        ("Python", host.get("python")),
        ("openloop", run["openloop_version"]),
        ("Libraries", ", ".join(f"{name} {version}" for name, version in run["versions"].items())),
    ]
    pairs += [(f"Probe of {name}", _probe(found)) for name, found in probes.items() if isinstance(found, dict)]
    return [
        {"name": name, "value": value, "mono": name in {"Run", "Scenario"}}
        for name, value in pairs
        if value not in {None, ""}
    ]


def _probe(found: dict[str, Any]) -> str:
    """What the probe learned of a target's prompt lengths."""
    overhead, slope = found.get("overhead_tokens"), found.get("tokens_per_word")
    if overhead is None or slope is None:
        return "nothing learned of prompt lengths"
    return f"{wording.number(overhead)} tokens of template, {wording.number(slope, 4)} tokens a word"


def commands(report: dict[str, Any]) -> str:
    """How to run this again and how to ask more of it."""
    run = report["run"]
    again = run["command"] or f"openloop run runs/{run['run_id']}/scenario.yaml --seed {run['seed']}"
    return "\n".join([again, f"openloop report {run['run_id']} --format json", f"openloop sql {run['run_id']}"])
