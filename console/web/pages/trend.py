"""A scenario over time: a point a run and step, with its interval; and whether the newest run fell out of line."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from analysis.report.costs import dollars
from analysis.report.style import SILENT, Spec, finish, ramp, y_axis
from analysis.report.wording import number
from console.web.pages.drawings import Drawing, Panel
from console.web.service import Service
from console.web.shapes import Point

Row = dict[str, Any]

MOST = 60
"""Runs of a history: points of more are not told apart at the width of a page."""

BEFORE = 10
"""Runs that the newest one is held against."""


@dataclass(frozen=True, slots=True)
class Metric:
    """``more``: what a rise is."""

    name: str
    title: str
    unit: str
    more: str

    def words(self, value: float) -> str:
        return dollars(value) if self.unit == "USD" else f"{number(value)} {self.unit}"


METRICS = (
    Metric("ttft_p99_ms", "TTFT p99", "ms", "worse"),
    Metric("goodput_rps", "Goodput", "requests/s", "better"),
    Metric("cost_usd", "Cost", "USD", "worse"),
)


def values(service: Service, name: str, step: str | None) -> Row:
    """What history.html.j2 shows. ``step``: label of one step; None, or one that there is not: all."""
    points = service.measured.history(name, [m.name for m in METRICS], MOST).points
    steps = list(dict.fromkeys(p.step for p in points))
    chosen = step if step in steps else None
    points = [p for p in points if chosen in (None, p.step)]
    runs = list(dict.fromkeys(p.benchmark_id for p in points))
    return {
        "name": name,
        "steps": steps,
        "step": chosen,
        "drawings": [_drawing(m, [p for p in points if p.metric == m.name], runs, steps) for m in METRICS],
        "changes": [change for m in METRICS for change in changes(m, [p for p in points if p.metric == m.name], runs)],
        "colours": [(label, ramp(i, len(steps))) for i, label in enumerate(steps)] if len(steps) > 1 else [],
        "rows": _rows(points, runs),
    }


def changes(metric: Metric, points: Sequence[Point], runs: Sequence[str]) -> list[Row]:
    """Steps whose newest figure has an interval that excludes the median of up to ten runs before it: ``better`` or ``worse``.

    An interval tells how sure one run is of its own figure; runs differ by more than that. So this marks what deserves a look, and proves
    nothing: `openloop ab` and repeats do. Figures without an interval are never marked. Runs that are not VALID count on neither side.
    """
    found = []
    for label in dict.fromkeys(p.step for p in points):
        own = [p for p in points if p.step == label and p.verdict != "INVALID"]
        if len(own) < 3 or own[-1].benchmark_id != runs[-1]:
            continue
        *earlier, last = own
        usual = statistics.median(p.value for p in earlier[-BEFORE:])
        low, high = last.low, last.high
        if low is None or not usual:
            continue
        rose, fell = low > usual, high is not None and high < usual
        if not (rose or fell):
            continue
        good = rose == (metric.more == "better")
        share = (last.value - usual) / usual * 100
        found.append(
            {
                "word": "better" if good else "worse",
                "said": f"{metric.title} of {label}: {metric.words(last.value)}, {'+' if share > 0 else '−'}{number(abs(share))} % "
                f"against the median of the {min(len(earlier), BEFORE)} runs before; its 95 % interval, {metric.words(low)} to "
                f"{metric.words(high) if high is not None else 'unbounded'}, excludes that median.",
            }
        )
    return found


def _drawing(metric: Metric, points: list[Point], runs: list[str], steps: list[str]) -> Drawing:
    told = f"{metric.title} of each run in the order of time; the figures stand in the table below"
    spec = _spec(metric, points, runs, steps) if points else None
    empty = {
        "goodput_rps": "No run of this name has an SLO, without which there is no goodput.",
        "cost_usd": "No run of this name has a price, without which there is no cost.",
    }.get(metric.name, "No run of this name has enough requests for this figure.")
    return Drawing(
        metric.name, f"{metric.title}, {metric.unit}", _NOTES[metric.name], (Panel.of(metric.title, told, spec, empty),)
    )


_NOTES = {
    "ttft_p99_ms": "With 95 % intervals. Open rings: INVALID runs.",
    "goodput_rps": "Of requests that met the SLO; 95 % intervals.",
    "cost_usd": "Of the whole step, by the target’s own count of tokens.",
}


def _spec(metric: Metric, points: list[Point], runs: list[str], steps: list[str]) -> Spec:
    """Runs in even steps, in the order of time: a week without runs is no gap to look at."""
    place = {one: i for i, one in enumerate(runs)}
    rows: list[Row] = [
        {
            "n": place[p.benchmark_id],
            "when": f"{p.created:%m-%d %H:%M}",
            "step": p.step,
            "value": p.value,
            "low": p.low if p.low is not None else p.value,
            "high": p.high if p.high is not None else p.value,
            "sound": p.verdict != "INVALID",
            "text": _hover(metric, p),
        }
        for p in points
    ]
    # Labels are looked up by number: the text itself in an axis would merge runs of one minute.
    every = max(1, -(-len(runs) // 4))
    first = {row["n"]: row["when"] for row in rows}
    shown = {n: first[n] for n in sorted(first) if n % every == 0}
    labels = " : ".join(f"datum.value === {n} ? '{when}'" for n, when in shown.items()) + " : ''"
    x: Spec = {
        "field": "n",
        "type": "quantitative",
        "scale": {"domain": [-0.5, max(len(runs) - 0.5, 0.5)], "nice": False},
        "axis": {
            "title": "UTC",
            "values": list(shown),
            "labelExpr": labels,
            "labelOverlap": "greedy",
            "labelSeparation": 10,
        },
    }
    colour: Spec = {
        "field": "step",
        "type": "nominal",
        "scale": {"domain": steps, "range": [ramp(i, len(steps)) for i in range(len(steps))]},
    }
    spread = [v for row in rows for v in (row["low"], row["high"])]
    y = y_axis("value", spread)
    by: Spec = {"x": x, "y": y, "color": colour}
    ring = {"condition": {"test": "datum.sound", "value": 1}, "value": 0}
    return finish(
        600,
        240,
        data={"values": rows},
        layer=[
            {
                "mark": {"type": "rule", **SILENT, "strokeWidth": 1.5, "opacity": 0.55},
                "encoding": by | {"y": y | {"field": "low"}, "y2": {"field": "high"}},
            },
            {"mark": {"type": "line", **SILENT, "strokeWidth": 1.5, "opacity": 0.7}, "encoding": by},
            {
                "mark": {"type": "point", "size": 55, "filled": False, "strokeWidth": 1.75, "opacity": 1},
                "encoding": by
                | {"fill": colour | {"legend": None}, "fillOpacity": ring, "description": {"field": "text"}},
            },
        ],
    )


def _hover(metric: Metric, p: Point) -> str:
    around = (
        "" if p.low is None else f"\n{metric.words(p.low)} to {metric.words(p.high) if p.high is not None else '∞'}"
    )
    return f"{p.benchmark_id}\n{p.step}\n{metric.title} {metric.words(p.value)}{around}\n{p.verdict or 'not judged'}"


def _rows(points: Sequence[Point], runs: Sequence[str]) -> list[Row]:
    """A row a run and step, newest first."""
    cells: dict[tuple[str, str], Row] = {}
    for p in points:
        row = cells.setdefault((p.benchmark_id, p.step), {"point": p, "figures": {}})
        row["figures"][p.metric] = p
    order = {one: i for i, one in enumerate(runs)}
    return sorted(cells.values(), key=lambda r: (-order[r["point"].benchmark_id], r["point"].step_id))
