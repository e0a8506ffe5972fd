"""The report's charts: rows of named queries → specifications → drawings, each at two widths, with the words that stand beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from duckdb import DuckDBPyConnection

from analysis.report import charts, server_panels, style, timeline
from analysis.report.chart_rows import Rows, as_step, gather, without_holes
from analysis.report.drawing import draw
from analysis.report.server_panels import ServerPanel
from analysis.report.wording import METRICS, brief, count, number, share, span

Row = dict[str, Any]
Report = dict[str, Any]

HALF, WHOLE, PHONE = 600, 1250, 350
"""Widths of drawings in pixels: half the page, all of it, a phone."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One drawing of a figure, at two widths; or the reason why there is none."""

    name: str
    label: str
    wide: str = ""
    narrow: str = ""
    empty: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """``panels`` with more than one member are alternatives, chosen by name."""

    id: str
    title: str
    note: str
    panels: tuple[Panel, ...]
    key: tuple[dict[str, str], ...] = ()
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Section:
    id: str
    title: str
    lead: str
    figures: tuple[Figure, ...]


def sections(con: DuckDBPyConnection, report: Report) -> list[Section]:
    """All charts of a report, drawn."""
    return arrange(report, gather(con, report))


def arrange(report: Report, rows: Rows) -> list[Section]:
    """The same from rows at hand. Without a request there is nothing to draw and no section."""
    if not report["totals"]["requests"]:
        return []
    steps = report["steps"]
    key = _step_key(steps)
    latency = (
        _against_load(report, rows),
        _curves(rows.curves, steps, key),
        _distributions(rows.histograms, steps, key),
        _throughput(report, rows),
    )
    arrival = (_timeline(rows.timeline, steps, rows.server), _offered(steps), _outcomes(steps))
    return [
        Section(
            "latency",
            "Latency and throughput",
            "Under rising load, over the whole range of percentiles, and as distributions.",
            latency,
        ),
        Section(
            "time",
            "Over time",
            "Whether the load came as planned, and what became of it. Bands mark the steps’ windows of issuing.",
            arrival,
        ),
    ]


def panel_of(
    name: str, figure: str, label: str, spec: Callable[[int], style.Spec] | None, empty: str, wide: int = HALF
) -> Panel:
    if spec is None:
        return Panel(name, label, empty=empty)
    drawn = [draw(spec(width), f"{figure}-{name.lower().replace(' ', '-')}-{width}") for width in (wide, PHONE)]
    return Panel(name, label, *drawn)


def _step_key(steps: list[Row]) -> tuple[dict[str, str], ...]:
    if len(steps) < 2:
        return ()
    return tuple({"name": s["label"], "colour": style.ramp(i, len(steps))} for i, s in enumerate(steps))


def _axis(steps: list[Row]) -> tuple[str, Callable[[Row], Any]]:
    """What the load axis shows: rates where every step has one, slots where every step is closed, else the steps by name."""
    what = "sessions" if steps and all(s["session_turns"] for s in steps) else "requests"
    if all(s["arrivals"] == "closed" and s["concurrency_end"] in {None, s["concurrency"]} for s in steps):
        return f"concurrent {what}", lambda s: s["concurrency"]
    if all(s["rate_rps"] is not None and s["rate_end_rps"] in {None, s["rate_rps"]} for s in steps):
        return f"offered rate, {what}/s", lambda s: s["rate_rps"]
    return "step", lambda s: s["label"]


def _group(step: Row) -> str:
    """Cell and arm of a step: what is compared at equal load."""
    return " · ".join(str(v) for v in (step["arm"], step["cell"]) if v)


def _by_load(report: Report, rows: Rows) -> tuple[str, list[tuple[Any, str, Row, str]]]:
    """Title of the load axis; load, group, figures and words of each point. A single step is seen by what was in flight."""
    steps = [s for s in report["steps"] if s["requests"]]
    if len(steps) > 1:
        title, load_of = _axis(steps)
        return title, [(load_of(s), _group(s), s, s["label"]) for s in steps]
    title = "in flight when sent"
    return title, [
        (b["in_flight"], "", as_step(b), f"{span(b['in_flight'], b['in_flight_to'])} in flight") for b in rows.buckets
    ]


def _against_load(report: Report, rows: Rows) -> Figure:
    title, points = _by_load(report, rows)
    groups = list(dict.fromkeys(group for _, group, _, _ in points))
    levels = list(style.LEVELS) if len(groups) == 1 else ["p50", "p99"]
    panels = []
    for metric in ("ttft_ms", "tpot_ms", "e2e_ms"):
        drawn = [
            {
                "load": load,
                "group": group,
                "percentile": level,
                "ms": at[metric][level],
                "text": f"{words}\n{METRICS[metric]} {level} {number(at[metric][level])} ms",
            }
            for load, group, at, words in points
            for level in levels
            if at.get(metric) and at[metric].get(level) is not None
        ]
        spec = (lambda width, drawn=drawn: charts.latency_against_load(drawn, title, width)) if drawn else None
        label = f"{METRICS[metric]} percentiles against {title}; the figures stand in the table of steps"
        panels.append(panel_of(METRICS[metric], "load", label, spec, f"No {METRICS[metric]} was measured."))
    key = (
        tuple({"name": g or "the rest", "colour": style.ramp(i, len(groups))} for i, g in enumerate(groups))
        if len(groups) > 1
        else ()
    )
    note = "p50 solid, p99 dotted. " if len(groups) > 1 else ""
    what = (
        "one point a step"
        if len([s for s in report["steps"] if s["requests"]]) > 1
        else "requests grouped by what was in flight"
    )
    return Figure("load", "Latency against load", f"{note}Milliseconds; {what}.", tuple(panels), key)


def _curves(rows: list[Row], steps: list[Row], key: tuple[dict[str, str], ...]) -> Figure:
    labels = {s["step_id"]: s["label"] for s in steps}
    names = list(labels.values())
    panels = []
    for metric in ("ttft_ms", "tpot_ms", "e2e_ms"):
        drawn = [
            {
                "step": labels[r["step_id"]],
                "q": r["q"],
                "ms": r[metric],
                "text": f"{labels[r['step_id']]}\n{METRICS[metric]} p{r['q'] * 100:.5g}: {number(r[metric])} ms",
            }
            for r in rows
            if r[metric] is not None and r["step_id"] in labels
        ]
        spec = (lambda width, drawn=drawn: charts.percentile_curves(drawn, names, width)) if drawn else None
        label = f"{METRICS[metric]} at every percentile, one line a step"
        panels.append(panel_of(METRICS[metric], "curve", label, spec, f"No {METRICS[metric]} was measured."))
    note = "Milliseconds at or below which that share of requests lies; each nine takes the same room."
    return Figure("curve", "Percentile curves", note, tuple(panels), key)


def _distributions(histograms: dict[str, list[Row]], steps: list[Row], key: tuple[dict[str, str], ...]) -> Figure:
    labels = {s["step_id"]: s["label"] for s in steps}
    names = list(labels.values())
    panels = []
    for metric, rows in histograms.items():
        totals: dict[int, int] = {}
        for r in rows:
            totals[r["step_id"]] = totals.get(r["step_id"], 0) + r["n"]
        drawn = [
            {
                "step": labels[r["step_id"]],
                "low_ms": r["low_ms"],
                "high_ms": r["high_ms"],
                "share": r["n"] / totals[r["step_id"]],
                "text": f"{labels[r['step_id']]}\n{number(r['low_ms'])} – {number(r['high_ms'])} ms: {count(r['n'])}, "
                f"{share(r['n'] / totals[r['step_id']])}",
            }
            for r in without_holes(rows)
            if r["step_id"] in labels
        ]
        spec = (lambda width, drawn=drawn: charts.distribution(drawn, names, width)) if drawn else None
        label = f"Histogram of {METRICS[metric]}, share of each step's own total"
        panels.append(panel_of(METRICS[metric], "distribution", label, spec, f"No {METRICS[metric]} was measured."))
    note = "Share of requests (TTFT) or of gaps between chunks (ICL) in each interval."
    return Figure("distribution", "Distributions", note, tuple(panels), key)


def _throughput(report: Report, rows: Rows) -> Figure:
    title, points = _by_load(report, rows)
    panels = []
    several = len([s for s in report["steps"] if s["requests"]]) > 1
    kinds = (
        {"All users": "output_tokens_per_s", "Each user": "per_user_tokens_per_s"}
        if several
        else {"Each user": "per_user_tokens_per_s"}
    )
    for name, field in kinds.items():
        drawn = [
            {"load": load, "group": group, "value": at[field], "text": f"{words}\n{number(at[field])} tokens/s"}
            for load, group, at, words in points
            if at.get(field) is not None
        ]
        spec = (lambda width, drawn=drawn: charts.value_against_load(drawn, title, width, 250)) if drawn else None
        panels.append(
            panel_of(
                name, "throughput", f"Output tokens per second against {title}", spec, "No output tokens were counted."
            )
        )
    return Figure(
        "throughput",
        "Output speed",
        "Tokens/s inside the measurement window; each user: 1 / TPOT, the median.",
        tuple(panels),
    )


def _timeline(rows: list[Row], steps: list[Row], server: list[ServerPanel]) -> Figure:
    drawn = [r | {"text": _instant(r) + server_panels.said(r, server)} for r in server_panels.merged(rows, server)]
    drawn += [r | {"t_s": r["to_s"], "text": ""} for r in drawn[-1:]]  # closes the last interval: a line needs two ends
    spans = [
        {"label": s["label"], "start_s": s["start_s"], "end_s": s["end_s"]} for s in steps if s["start_s"] is not None
    ]
    panels = [
        {
            "title": title,
            "series": {field: colour for field, (colour, _) in series.items()},
            "values": [r[field] for r in rows for field in series],
            **how,
        }
        for title, series, how in timeline.PANELS
        if any(r[field] is not None for r in rows for field in series)
    ]
    panels += server_panels.drawn(server)

    def spec(width: int) -> style.Spec:
        kept = spans if width > PHONE else [s | {"label": ""} for s in spans]
        return timeline.timeline(drawn, kept, panels, width)

    key = tuple(
        {"name": name, "colour": colour}
        for colour, name in (
            ("var(--accent-1)", "TTFT p50"),
            ("var(--accent-3)", "TTFT p99"),
            ("var(--accent-2)", "all else"),
            ("var(--red)", "failed"),
            *server_panels.second_lines(server),
        )
    )
    panel = panel_of(
        "all",
        "timeline",
        "In flight, TTFT, requests and tokens per second over time"
        + ("; below, what the target says of itself" if server else ""),
        spec if drawn else None,
        "Nothing was sent.",
        WHOLE,
    )
    length_s = rows[0]["to_s"] - rows[0]["t_s"] if rows else 1
    every = "second" if length_s == 1 else f"{brief(length_s)} s"
    return Figure(
        "timeline",
        "Timeline",
        f"One point every {every}; TTFT by the moment that the request was due."
        + (" The lower panels are the target’s own account of itself." if server else ""),
        (panel,),
        key,
        whole=True,
    )


def _instant(r: Row) -> str:
    ttft = (
        ""
        if r["ttft_p50_ms"] is None
        else f"\nTTFT p50 {number(r['ttft_p50_ms'])} ms, p99 {number(r['ttft_p99_ms'])} ms"
    )
    failed = f", {number(r['failed_rps'])}/s failed" if r["failed_rps"] else ""
    speed = f"\n{number(r['output_tokens_per_s'])} output tokens/s"
    return (
        f"{brief(r['t_s'], 6)} s: {brief(r['in_flight'])} in flight{ttft}\n{brief(r['sent_rps'])}/s sent{failed}{speed}"
    )


def _offered(steps: list[Row]) -> Figure:
    drawn = [
        {
            "step": s["label"],
            "offered_rps": None if s["arrivals"] == "closed" else s["offered_rps"],
            "achieved_rps": s["achieved_rps"],
            "text": f"{s['label']}\nsent {number(s['achieved_rps'], 4)}/s"
            + (f" of {number(s['offered_rps'], 4)}/s offered" if s["arrivals"] != "closed" else ""),
        }
        for s in steps
        if s["achieved_rps"] is not None
    ]
    names = [str(r["step"]) for r in drawn]
    panel = panel_of(
        "all",
        "offered",
        "Requests per second sent, by step, against what the schedule offered",
        (lambda width: charts.offered_achieved(drawn, names, width)) if drawn else None,
        "No step has a measurement window.",
    )
    return Figure(
        "offered", "Offered and achieved", "Requests/s. Bar: sent. Tick: due by the schedule, in open loops.", (panel,)
    )


def _outcomes(steps: list[Row]) -> Figure:
    drawn = [
        {
            "step": s["label"],
            "outcome": outcome,
            "rank": rank,
            "share": s["outcomes"][outcome] / s["requests"],
            "text": f"{s['label']}\n{outcome}: {count(s['outcomes'][outcome])}, {share(s['outcomes'][outcome] / s['requests'])}",
        }
        for s in steps
        if s["requests"]
        for rank, outcome in enumerate(style.OUTCOME_COLOURS)
        if s["outcomes"].get(outcome)
    ]
    names = [s["label"] for s in steps if s["requests"]]
    there = [o for o in style.OUTCOME_COLOURS if any(r["outcome"] == o for r in drawn)]
    key = tuple({"name": o, "colour": style.OUTCOME_COLOURS[o]} for o in there)
    spec = (lambda width: charts.outcomes(drawn, names, width)) if drawn else None
    panel = panel_of(
        "all",
        "outcomes",
        "Share of requests by outcome, by step; the counts stand in the table of failures",
        spec,
        "Nothing was sent.",
    )
    return Figure("outcomes", "Outcomes", "Share of the step’s requests.", (panel,), key)
