"""A run that is over: its report's figures as the page shows them, its queries, its downloads."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from analysis import relations
from analysis.report import html, wording
from console.web.shapes import Benchmark
from generator.schema import OPTIONAL_TABLES, TABLES

Row = dict[str, Any]

_STATES = {"broken": ("✕", "broken"), "warned": ("!", "warning"), "withheld": ("–", "withheld"), "held": ("✓", "held")}
_LEVELS = {"INVALID": "broken", "WARN": "warned", "WITHHELD": "withheld"}

_DOWNLOADS = (
    ("CSV, by step", "report?format=csv&download=true", "csv"),
    ("JSON report", "report?format=json&download=true", "json"),
    ("HTML report", "report?format=html&download=true", "html"),
    ("JUnit XML", "report?format=junit&download=true", "xml"),
)
_KINDS = {
    "metrics": "Metrics",
    "reports": "Reports",
    "profiles": "As other tools count",
    "checks": "Checks",
    "staging": "Building blocks",
}

LIVE = (
    {"name": "ttft", "title": "TTFT", "unit": "ms", "key": [("var(--accent-2)", "p50"), ("var(--ramp-3)", "p99")]},
    {"name": "success", "title": "Success", "unit": "% of answers", "key": []},
    {
        "name": "requests",
        "title": "Requests",
        "unit": "/s",
        "key": [("var(--accent-2)", "sent"), ("var(--ramp-0)", "ended")],
    },
    {"name": "tokens", "title": "Output", "unit": "tokens/s", "key": []},
    {"name": "flight", "title": "In flight", "unit": "requests", "key": []},
    {"name": "late", "title": "Issued over 1 ms late", "unit": "% of sends", "key": []},
)
"""Charts of a run that goes; ``static/charts.js`` draws them by name."""


def values(b: Benchmark, report: Row) -> Row:
    """What result.html.j2 shows. ``report``: docs/report.md."""
    labels = {s["step_id"]: s["label"] for s in report["steps"]}
    rules = [_rule(rule, labels) for rule in report["verdict"]["rules"]]
    rules.sort(key=lambda rule: list(_STATES).index(rule["state"]))
    return {
        "report": report,
        "meaning": html.meaning(report),
        "own_error": html.own_error(report),
        "tiles": html.tiles(report["steps"], report["totals"]),
        "rules": rules,
        "rules_summary": html.rules_summary(rules),
        "notes": wording.notes(report["steps"]),
        "thresholds": [t | {"label": _label(t["step_id"], labels)} for t in report["thresholds"]],
        "downloads": downloads(b.id),
        "kinds": kinds(),
        "tables": [*TABLES, *OPTIONAL_TABLES],
    }


def _rule(rule: Row, labels: dict[int, str]) -> Row:
    state = _LEVELS[rule["level"]] if rule["broken"] else "held"
    mark, word = _STATES[state]
    return rule | {"state": state, "mark": mark, "word": word, "step": _label(rule["step_id"], labels)}


def _label(step_id: int | None, labels: dict[int, str]) -> str:
    return "all" if step_id is None else labels.get(step_id, f"step {step_id}")


def downloads(benchmark_id: str) -> list[Row]:
    base = f"/benchmarks/{quote(benchmark_id)}"
    found = [
        {"name": name, "href": f"{base}/{path}", "file": f"{benchmark_id}.{ext}"} for name, path, ext in _DOWNLOADS
    ]
    return found + [
        {
            "name": f"{table}, Parquet",
            "href": f"/ui/runs/{quote(benchmark_id)}/files/{table}.parquet",
            "file": f"{benchmark_id}-{table}.parquet",
        }
        for table in TABLES
    ]


def kinds() -> list[tuple[str, list[Row]]]:
    """Named queries by kind, each with its question, columns and parameters, as the SQL files' headers tell them."""
    queries = sorted(relations.load().values(), key=lambda q: q.name)
    return [
        (title, [_query(q) for q in queries if q.kind == kind])
        for kind, title in _KINDS.items()
        if any(q.kind == kind for q in queries)
    ]


def _query(query: relations.Query) -> Row:
    return {
        "name": query.name,
        "question": query.question,
        "columns": [{"name": c.name, "unit": c.unit, "description": c.meaning} for c in query.columns],
        "parameters": [{"name": p.name, "default": p.default, "description": p.meaning} for p in query.parameters],
    }
