"""Two or more runs side by side: what the figures of each say, a verdict for each pair, and their percentile curves in one drawing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from string import ascii_uppercase
from typing import Any, TypeVar

import orjson

from analysis.report import charts, comparison
from analysis.report.style import ramp
from analysis.report.wording import METRICS, number
from console.web.pages.drawings import Drawing, Panel
from console.web.service import Service
from generator.errors import OpenloopError

Row = dict[str, Any]
T = TypeVar("T")

_CURVES = ("ttft_ms", "tpot_ms", "e2e_ms")
_FIGURES: tuple[tuple[str, Callable[[Row], float | None]], ...] = (
    ("requests", lambda s: s["requests"]),
    ("ok, %", lambda s: None if s["success_rate"] is None else 100 * s["success_rate"]),
    ("TTFT p50, ms", lambda s: s["ttft_ms"]["p50"]),
    ("TTFT p99, ms", lambda s: s["ttft_ms"]["p99"]),
    ("TPOT p50, ms", lambda s: s["tpot_ms"]["p50"]),
    ("E2E p99, ms", lambda s: s["e2e_ms"]["p99"]),
    ("output, tokens/s", lambda s: s["output_tokens_per_s"]),
    ("goodput, /s", lambda s: s["goodput_rps"]),
    ("lateness p99, ms", lambda s: s["lateness_ms"]["p99"]),
)


def values(service: Service, ids: Sequence[str], step: str | None) -> Row:
    """What compare.html.j2 shows of these runs, the first being the baseline. ``step``: label of the step to draw, None for the first
    that all have.

    Raises MissingError for a run that does not exist; what cannot be compared is told in ``troubles``.
    """
    runs = [service.get(one) for one in ids]
    troubles: list[str] = []
    # No more than are made at once: else the last would wait for the first so long that the page called itself busy.
    with ThreadPoolExecutor(max_workers=service.settings.limits.reports_at_once) as pool:
        reports = list(
            pool.map(lambda one: _told(lambda: orjson.loads(service.measured.report(one, "json").body), troubles), ids)
        )
        curves = list(pool.map(lambda one: _told(lambda: _curve(service, one), troubles), ids))
    found = _told(lambda: service.measured.compare(ids), troubles)
    colours = [ramp(i, len(ids)) for i in range(len(ids))]
    names = _names([(b.name, b.id) for b in runs])
    labels = [[s["label"] for s in report["steps"]] if report else [] for report in reports]
    every = [label for label in labels[0] if all(label in others for others in labels)]
    drawn = step if step in every else (every[0] if every else None)
    return {
        "runs": [{"b": b, "name": name, "colour": c} for b, name, c in zip(runs, names, colours, strict=True)],
        "steps": every,
        "step": drawn,
        "pairs": _pairs(found, dict(zip(ids, names, strict=True)), troubles) if found else [],
        "troubles": list(dict.fromkeys(troubles)),
        "side_by_side": _side_by_side(reports, drawn),
        "overlay": _overlay(names, reports, curves, drawn) if drawn else None,
    }


def _told(ask: Callable[[], T], troubles: list[str]) -> T | None:
    """The answer, or None and why there is none among ``troubles``."""
    try:
        return ask()
    except OpenloopError as e:
        troubles.append(str(e))
        return None


def _names(named: list[tuple[str, str]]) -> list[str]:
    """Names where they tell runs apart, else letters, which the page's key explains."""
    names = [name for name, _ in named]
    return names if len(set(names)) == len(names) else [ascii_uppercase[i] for i in range(len(names))]


def _curve(service: Service, benchmark_id: str) -> list[Row]:
    answer = service.measured.query(benchmark_id, "percentile_curve", None, {}, "json")
    return [dict(zip(answer.head["columns"], row, strict=True)) for row in orjson.loads(answer.body)]


def _side_by_side(reports: Sequence[Row | None], label: str | None) -> list[Row]:
    """A row a figure, a cell a run; of the step that all have, no row without one."""
    if label is None:
        return []
    steps = [next((s for s in report["steps"] if s["label"] == label), None) if report else None for report in reports]
    return [{"name": name, "cells": [figure(s) if s is not None else None for s in steps]} for name, figure in _FIGURES]


def _overlay(
    names: list[str], reports: Sequence[Row | None], curves: Sequence[list[Row] | None], label: str
) -> Drawing:
    """Percentile curves of one step, a colour a run, a panel a metric."""
    panels = []
    for metric in _CURVES:
        rows = [
            {
                "step": name,
                "q": row["q"],
                "ms": row[metric],
                "text": f"{name}\n{METRICS[metric]} p{row['q'] * 100:.6g}: {number(row[metric])} ms",
            }
            for name, report, curve in zip(names, reports, curves, strict=True)
            for row in _of_step(report, curve, label)
            if row[metric] is not None
        ]
        told = f"Percentile curves of {METRICS[metric]}, one a run; the figures stand in the table"
        spec = charts.percentile_curves(rows, names, 600, 320) if rows else None
        panels.append(Panel.of(METRICS[metric], told, spec, "No run has this figure here."))
    note = f"Milliseconds over the whole range of percentiles, step {label}. Curves end where a run has too few requests to bound them."
    return Drawing("overlay", "Percentile curves", note, tuple(panels))


def _of_step(report: Row | None, curve: list[Row] | None, label: str) -> list[Row]:
    if report is None or curve is None:
        return []
    ids = {s["step_id"] for s in report["steps"] if s["label"] == label}
    return [row for row in curve if row["step_id"] in ids]


def _pairs(found: Row, names: dict[str, str], troubles: list[str]) -> list[Row]:
    """The comparison of each other run with the baseline in words and tables, with the names of the page in place of ids. One that has no
    step in common with the baseline is told among ``troubles``.
    """
    pairs = []
    for arm in found["arms"]:
        figures = [row | {"arm": names[arm]} for row in found["figures"] if row["arm"] == arm]
        if not figures:
            troubles.append(f"{arm} has no step in common with {found['baseline']}")
            continue
        others = tuple(f"{one}: " for one in found["arms"] if one != arm)
        told = found | {
            "baseline": names[found["baseline"]],
            "arms": [names[arm]],
            "figures": figures,
            "cannot_exclude": [line for line in found["cannot_exclude"] if not line.startswith(others)],
            "left_out": {run: keys for run, keys in found["left_out"].items() if run in (found["baseline"], arm)},
        }
        words = {"sentences": comparison.sentences(told), "tables": comparison.tables(told)}
        pairs.append({"name": names[arm], "notes": comparison.notes(told), **words})
    return pairs
