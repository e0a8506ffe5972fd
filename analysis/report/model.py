"""The stable JSON report: what the named queries say of one run, under the keys that docs/report.md lists.

Keys may be added; these keep their names, units and meaning. A figure that is not to be had is ``None``: either there was nothing to
measure (``n`` is 0), or it is withheld and ``withheld`` beside it says why.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from duckdb import DuckDBPyConnection

from analysis import catalog, compare, ratelimit, thresholds
from analysis.report import costs, goodput, intervals, parts
from analysis.report.wording import METRICS, PERCENTILES, load
from analysis.validity import Rule, Verdict

Row = dict[str, Any]

FORMAT = 1
"""Raised when a key changes its meaning or goes."""

ADJUSTED = ("p50", "p90", "p95", "p99")
"""Percentiles that are also given with every failure as infinity."""

_PLAIN = ("mean", "min", *PERCENTILES, "max")


def build(con: DuckDBPyConnection, manifest: Row, verdict: Verdict) -> Row:
    """The report of the one run that ``con`` has open. Raises QueryError or RunFolderError where its files cannot be read."""
    windows = catalog.run(con, "step_windows").dicts()
    tables = {name: _by_step(con, name) for name in _STEP_QUERIES}
    latencies = {(r["step_id"], r["metric"]): r for r in catalog.run(con, "latency_summary").dicts()}
    withheld = catalog.run(con, "withheld").dicts()
    bounds = intervals.gather(con)
    ended = catalog.run(con, "outcomes").dicts()
    outcomes = [r for r in ended if r["phase"] == "main"]
    planned = [r for r in ended if r["phase"] == "planned"]
    labels = _labels(windows)
    steps = []
    for window in windows:
        step_id = window["step_id"]
        facts = {name: rows.get(step_id, {}) for name, rows in tables.items()}
        reasons = [r for r in withheld if r["step_id"] == step_id]
        ok = facts["step_summary"]["ok_requests"]
        metrics = {m: _latency(latencies.get((step_id, m.removesuffix("_ms"))), m, reasons, ok) for m in METRICS}
        for metric, latency in metrics.items():
            latency["intervals"] = intervals.of_metric(bounds.get((step_id, metric), []), latency["withheld"])
        counts = _counts(r for r in outcomes if r["step_id"] == step_id)
        given_up = _counts(r for r in planned if r["step_id"] == step_id)
        steps.append(_step(window, labels[step_id], facts, counts, given_up) | metrics)
    return {
        "format": FORMAT,
        "verdict": {
            "verdict": verdict.verdict,
            "reasons": list(verdict.reasons),
            "rules": [_rule(rule) for rule in verdict.rules],
        },
        "generator": _generator(
            steps, tables["schedule_fidelity"], catalog.run(con, "health_summary").dicts(), manifest
        ),
        "run": _run(manifest, windows),
        "totals": _totals(steps, outcomes) | {"cost": costs.of_run(catalog.run(con, "run_cost").dicts())},
        "steps": steps,
        **parts.build(con),
        "goodput": goodput.build(con, manifest),
        "rate_limit": ratelimit.judge(con),
        "comparison": compare.judge(con),
        "errors": _errors(outcomes),
        "thresholds": thresholds.judge(con, manifest.get("thresholds") or (), manifest.get("aborted")),
    }


_STEP_QUERIES = (
    "step_summary",
    "throughput",
    "user_speed",
    "goodput",
    "offered_achieved",
    "prompt_lengths",
    "schedule_fidelity",
    "cost",
)


def _by_step(con: DuckDBPyConnection, name: str) -> dict[int, Row]:
    return {row["step_id"]: row for row in catalog.run(con, name).dicts()}


def _labels(windows: list[Row]) -> dict[int, str]:
    """What people call each step: its name and cell, and its number too where those are shared."""
    plain = {w["step_id"]: " · ".join(_named(w)) or load(w) for w in windows}
    shared = {label for label in plain.values() if list(plain.values()).count(label) > 1}
    return {step_id: f"{label} · {step_id}" if label in shared else label for step_id, label in plain.items()}


def _named(w: Row) -> Iterator[str]:
    """Of a block, whose it is stands first: that is what its neighbours in a table differ by."""
    of_block = w["block"] is not None
    turn = f"{w['arm']} {w['block'] + 1}" if of_block else None
    parts = (turn, w["name"], _unsaid(w["name"], w["cell"]), None if of_block else w["arm"])
    return (str(part) for part in parts if part)


def _unsaid(name: str | None, cell: str | None) -> str | None:
    """The cell, unless the name has all of its values already, as the names that are made from a step's load have."""
    values = [part.partition("=")[2] for part in (cell or "").split(",")]
    return None if name and all(f" {value} " in f" {name} " for value in values) else cell


def _latency(row: Row | None, metric: str, withheld: list[Row], ok: int) -> Row:
    """mean, min, p50 … p99_9, max and n in ms; ``adjusted`` where failures have a place; ``withheld``: key → reason. ``ok``: requests
    that ended so, which need not all have the value.
    """
    row = row or {}
    found: Row = {key: _finite(row.get(f"{key.replace('_', '')}_ms")) for key in _PLAIN} | {"n": row.get("n") or 0}
    reasons = {str(r["figure"]).replace(".", "_"): r["reason"] for r in withheld if f"{r['metric']}_ms" == metric}
    # A relation that withholds for reasons of its own (icl) has NULL already; what steadiness forbids, it does not know.
    found |= dict.fromkeys(reasons)
    adjusted: Row = {}
    whole = "requests failed" if found["n"] == ok else "requests that have it or failed are failures"
    for key in ADJUSTED if row.get("adjusted_p50_ms") is not None else ():
        value = row[f"adjusted_{key}_ms"] if key not in reasons else None
        adjusted[key] = _finite(value)
        if value is not None and math.isinf(value):
            reasons[f"adjusted.{key}"] = f"infinite: more than {(1 - PERCENTILES[key]) * 100:.3g} % of {whole}"
        elif value is None and key in reasons:
            reasons[f"adjusted.{key}"] = reasons[key]
    return found | {"adjusted": adjusted or None, "withheld": reasons}


def _finite(value: float | None) -> float | None:
    """JSON has no infinity and no NaN."""
    return value if value is not None and math.isfinite(value) else None


def _counts(rows: Iterable[Row]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["outcome"]] = counts.get(row["outcome"], 0) + row["n"]
    return counts


def _step(window: Row, label: str, facts: dict[str, Row], counts: dict[str, int], given_up: dict[str, int]) -> Row:
    """Everything of a step but its latencies. ``given_up``: how those ended that the scenario gives up on purpose."""
    summary, through, speed = facts["step_summary"], facts["throughput"], facts["user_speed"]
    slo, offered, lengths = facts["goodput"], facts["offered_achieved"], facts["prompt_lengths"]
    faith = facts["schedule_fidelity"]
    start_ns = window["run_start_ns"]
    as_said = ("step_id", "name", "cell", "arm", "block", "arrivals", "rate_rps", "rate_end_rps", "burstiness", "concurrency", "concurrency_end", "session_turns")  # fmt: skip
    return {key: window[key] for key in as_said} | {
        "label": label,
        "load": load(window),
        "start_s": (window["start_ns"] - start_ns) / 1e9 if window["start_ns"] is not None else None,
        "end_s": (window["end_ns"] - start_ns) / 1e9 if window["end_ns"] is not None else None,
        "warmup_s": window["warmup_ns"] / 1e9,
        "window_s": window["window_s"],
        "requests": summary["requests"],
        "ok": summary["ok_requests"],
        "success_rate": summary["success_share"],
        "outcomes": counts,
        "given_up": {"planned": sum(given_up.values()), "cut": given_up.get("cancelled", 0)},
        "offered": faith.get("offered"),
        "sent_share": faith.get("attempted_share"),
        "offered_rps": offered.get("offered_rps"),
        "achieved_rps": offered.get("achieved_rps"),
        "in_flight_mean": offered.get("mean_in_flight"),
        "requests_per_s": through.get("ok_rps"),
        "output_tokens_per_s": through.get("output_tps"),
        "input_tokens_per_s": through.get("input_tps"),
        "per_user_tokens_per_s": speed.get("p50_tps"),
        "slowest_user_tokens_per_s": speed.get("p05_tps"),
        "slo": slo.get("slo"),
        "goodput_rps": slo.get("goodput_rps") if slo.get("slo") else None,
        "good_tokens_per_s": slo.get("good_tps") if slo.get("slo") else None,
        "attainment": slo.get("attainment") if slo.get("slo") else None,
        "attainment_low": slo.get("attainment_low") if slo.get("slo") else None,
        "attainment_high": slo.get("attainment_high") if slo.get("slo") else None,
        "input_tokens": {
            "wanted": lengths.get("wanted_mean_tokens"),
            "reported": lengths.get("reported_mean_tokens"),
            "error_share": lengths.get("error_share"),
            "worst_error_tokens": lengths.get("abs_error_max_tokens"),
            "cached": lengths.get("cached_mean_tokens"),
        },
        "output_tokens": {
            "wanted": lengths.get("output_wanted_mean_tokens", window["output_tokens_wanted"]),
            "received": summary["mean_output_tokens"],
            "error_share": lengths.get("output_error_share"),
            "sources": lengths.get("output_sources"),
        },
        "cost": costs.of_step(facts["cost"]),
        "tokens_per_chunk": summary["tokens_per_chunk"],
        "gaps_are_tokens": bool(summary["icl_is_itl"]),
        "exact_share": summary["exact_share"],
        "hidden_reasoning": summary["hidden_reasoning"],
    }


def _rule(rule: Rule) -> Row:
    return {
        "name": rule.name,
        "level": rule.level,
        "step_id": rule.step_id,
        "figure": rule.figure,
        "limit": rule.limit,
        "advice": rule.advice,
        "broken": rule.broken,
    }


def _generator(steps: list[Row], fidelity: dict[int, Row], health: list[Row], manifest: Row) -> Row:
    """The generator's own error, the worst of all steps and workers. These are held against limits, so none is withheld."""
    workers = [r for r in health if r["worker_id"] >= 0]
    return {
        "lateness_p50_ms": _most(r["lateness_p50_ms"] for r in fidelity.values()),
        "lateness_p99_ms": _most(r["lateness_p99_ms"] for r in fidelity.values()),
        "lateness_max_ms": _most(r["lateness_max_ms"] for r in fidelity.values()),
        "sent_share": _least(r["attempted_share"] for r in fidelity.values()),
        "exact_share": _least(s["exact_share"] for s in steps),
        "cpu_share": _most(r["cpu_max_share"] for r in workers),
        "cpu_us_per_request": _most(r["cpu_us_per_request"] for r in workers),
        "rss_max_bytes": _most(r["rss_max_bytes"] for r in workers),
        "stamp_source": manifest.get("stamp_source"),
    }


def _most(figures: Iterable[float | None]) -> float | None:
    return max((f for f in figures if f is not None), default=None)


def _least(figures: Iterable[float | None]) -> float | None:
    return min((f for f in figures if f is not None), default=None)


def _run(manifest: Row, windows: list[Row]) -> Row:
    """Identity, machine and versions, as the manifest has them."""
    plan = manifest.get("plan") or {}
    starts = [w["start_ns"] for w in windows if w["start_ns"] is not None]
    ends = [w["end_ns"] for w in windows if w["end_ns"] is not None]
    targets = manifest.get("targets") or {}
    prices = manifest.get("prices") or {}
    return {
        "run_id": manifest.get("run_id"),
        "name": manifest.get("name"),
        "created": manifest.get("created"),
        "duration_s": (max(ends) - min(starts)) / 1e9 if starts and ends else None,
        "openloop_version": manifest.get("openloop_version"),
        "versions": manifest.get("versions") or {},
        "host": manifest.get("host") or {},
        "seed": manifest.get("seed"),
        "scenario_digest": manifest.get("scenario_digest"),
        "command": manifest.get("command"),
        "workers": plan.get("workers"),
        "transport": plan.get("transport"),
        "stamp_source": manifest.get("stamp_source"),
        "interrupted": bool(manifest.get("interrupted")),
        "aborted": manifest.get("aborted"),
        "lost_workers": manifest.get("lost_workers") or [],
        "targets": [
            {"name": name, "url": t.get("url"), "api": t.get("api"), "model": t.get("model"), "price": prices.get(name)}
            for name, t in targets.items()
        ],
        "budget": manifest.get("budget"),
        "slo": manifest.get("slo"),
        "slo_preset": manifest.get("slo_preset"),
        "warnings": manifest.get("warnings") or [],
    }


def _totals(steps: list[Row], outcomes: list[Row]) -> Row:
    requests, ok = sum(s["requests"] for s in steps), sum(s["ok"] for s in steps)
    return {
        "requests": requests,
        "ok": ok,
        "success_rate": ok / requests if requests else None,
        "outcomes": _counts(outcomes),
        "window_output_tokens": sum(
            s["output_tokens_per_s"] * s["window_s"] for s in steps if s["output_tokens_per_s"] is not None
        ),
    }


def _errors(outcomes: list[Row]) -> list[Row]:
    """Kinds of failure, most frequent first within their step. ``error_message`` is one of them."""
    found = [
        {
            "step_id": r["step_id"],
            "outcome": r["outcome"],
            "http_status": r["http_status"],
            "error_type": r["error_type"],
            "error_message": r["example"],
            "requests": r["n"],
        }
        for r in outcomes
        if r["outcome"] != "ok"
    ]
    return sorted(found, key=lambda r: (r["step_id"], -r["requests"], r["outcome"]))
