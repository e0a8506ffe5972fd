"""The charts of the SLO: attainment and goodput against the load, and why requests missed, stacked."""

from __future__ import annotations

import functools
from typing import Any

from analysis.report import charts, figures, goodput, style
from analysis.report.figures import Figure, Panel, Section
from analysis.report.style import SILENT, Spec, finish
from analysis.report.wording import count, number, share

Row = dict[str, Any]

_KINDS = {"TTFT": "var(--accent-1)", "TPOT": "var(--accent-3)", "TTFT + TPOT": "var(--ink)"}
_OTHER_LIMITS = ("var(--violet)", "var(--brown)", "var(--pink)", "var(--yellow)")


def sections(report: Row) -> list[Section]:
    """None without an SLO, or without a request."""
    found = report["goodput"]
    if found is None or not report["totals"]["requests"]:
        return []
    made = []
    if len(found["by_load"]) > 1:
        made = [_attainment(found), _goodput(found)]
    made += [_causes(found["misses"], report["steps"])] if found["misses"] else []
    if not made:
        return []
    return [
        Section(
            "goodput",
            "Goodput and attainment",
            "How many requests met the SLO, and why the others did not.",
            tuple(made),
        )
    ]


def _points(found: Row) -> tuple[str, list[Row], list[str]]:
    """Title of the axis, the loads of the axis that most steps are on, the names of its curves."""
    axes = [r["axis"] for r in found["by_load"]]
    axis = max(set(axes), key=lambda a: (axes.count(a), a))
    rows = [r for r in found["by_load"] if r["axis"] == axis]
    title = "concurrent requests" if axis == "slots" else f"offered rate, {axis}"
    return title, rows, list(dict.fromkeys(r["series"] for r in rows))


def _key(series: list[str]) -> tuple[dict[str, str], ...]:
    if len(series) < 2:
        return ()
    return tuple({"name": name, "colour": style.ramp(i, len(series))} for i, name in enumerate(series))


def _attainment(found: Row) -> Figure:
    title, rows, series = _points(found)
    drawn = [
        {
            "load": r["load"],
            "group": r["series"],
            "attainment": r["attainment"],
            "low": r["attainment_low"],
            "high": r["attainment_high"],
            "text": f"{goodput.at(r['load'], r['axis'])}\nattainment {share(r['attainment'])} of {count(r['due_requests'])}\n"
            f"95 %: {share(r['attainment_low'])} – {share(r['attainment_high'])}: {r['state']}",
        }
        for r in rows
    ]
    panel = figures.panel_of(
        "all",
        "attainment",
        f"Attainment with its 95 % interval against {title}; the figures stand in the table of goodput",
        lambda width: attainment_against_load(drawn, series, found["wanted"], title, width),
        "",
    )
    note = f"Share of due requests that met the SLO, with its 95 % interval. Dashed: {share(found['wanted'])}, what is wanted."
    return Figure("attainment", "Attainment against load", note, (panel,), _key(series))


def _goodput(found: Row) -> Figure:
    title, rows, series = _points(found)
    panels: list[Panel] = []
    for name, key, unit in (("Requests", "goodput_rps", "good requests/s"), ("Tokens", "good_tps", "good tokens/s")):
        drawn = [
            {
                "load": r["load"],
                "group": r["series"],
                "value": r[key],
                "text": f"{goodput.at(r['load'], r['axis'])}\n{number(r[key])} {unit}",
            }
            for r in rows
        ]
        panels.append(
            figures.panel_of(
                name,
                "goodput",
                f"{unit.capitalize()} against {title}",
                functools.partial(charts.value_against_load, drawn, title, height=250),
                "",
            )
        )
    return Figure(
        "goodput-load",
        "Goodput against load",
        "What met the SLO, a second; tokens: of good requests.",
        tuple(panels),
        _key(series),
    )


def _causes(misses: list[Row], steps: list[Row]) -> Figure:
    labels = {s["step_id"]: s["label"] for s in steps if s["requests"]}
    causes = list(
        dict.fromkeys(
            r["cause"] for r in sorted(misses, key=lambda r: ("late", "failed", "unfinished").index(r["kind"]))
        )
    )
    spare = iter(_OTHER_LIMITS * len(causes))
    colours = {c: _KINDS.get(c) or style.OUTCOME_COLOURS.get(c) or next(spare) for c in causes}
    drawn = [
        {
            "step": labels[r["step_id"]],
            "cause": r["cause"],
            "rank": causes.index(r["cause"]),
            "share": r["share_of_due"],
            "text": f"{labels[r['step_id']]}\n{r['cause']} ({r['kind']}): {count(r['requests'])}, {share(r['share_of_due'])} of those due",
        }
        for r in misses
    ]
    panel = figures.panel_of(
        "all",
        "misses",
        "Share of due requests that missed the SLO by cause, by step; the counts stand in the table of causes",
        lambda width: causes_stacked(drawn, list(labels.values()), colours, width),
        "",
    )
    key = tuple({"name": name, "colour": colour} for name, colour in colours.items())
    note = "Share of due requests that missed the SLO. A limit’s name: it alone; with +: these together."
    return Figure("misses", "Why the SLO was missed", note, (panel,), key)


def attainment_against_load(
    rows: list[Row], series: list[str], wanted: float, title: str, width: int, height: int = 250
) -> Spec:
    """Rows: load, group, attainment, low, high, text. A rule across marks what is wanted."""
    colours = [style.ramp(i, len(series)) for i in range(len(series))] if len(series) > 1 else ["var(--accent-2)"]
    least = min([wanted, *(r["low"] for r in rows)])
    y: Spec = {
        "field": "attainment",
        "type": "quantitative",
        "scale": {"domain": [max(0.0, least - 0.05) if least > 0.5 else 0.0, 1.0], "nice": False},
        "axis": {"format": ".3~%", "tickCount": 5},
    }
    by: Spec = {
        "x": charts.x_of_load(rows, title),
        "y": y,
        "color": {"field": "group", "type": "nominal", "scale": {"domain": series, "range": colours}},
    }
    interval = by | {"y": y | {"field": "low"}, "y2": {"field": "high"}}
    return finish(
        width,
        height,
        data={"values": rows},
        layer=[
            {
                "mark": {"type": "rule", **SILENT, "strokeDash": [5, 4], "strokeWidth": 1.5, "color": "var(--muted)"},
                "encoding": {"y": {"datum": wanted}},
            },
            {"mark": {"type": "line", **SILENT, "strokeWidth": 2}, "encoding": by},
            {"mark": {"type": "rule", **SILENT, "strokeWidth": 1.5, "opacity": 0.7}, "encoding": interval},
            {
                "mark": {"type": "point", "filled": True, "size": 46, "opacity": 1},
                "encoding": by | {"description": {"field": "text"}},
            },
        ],
    )


def causes_stacked(rows: list[Row], steps: list[str], colours: dict[str, str], width: int) -> Spec:
    """Rows: step, cause, rank, share, text. One bar a step, as long as the share that missed."""
    by: Spec = {
        "y": charts.rows_of_steps(steps),
        "x": {"field": "share", "type": "quantitative", "stack": "zero", "axis": {"title": None, "format": ".2~%"}},
        "color": {
            "field": "cause",
            "type": "nominal",
            "scale": {"domain": list(colours), "range": list(colours.values())},
        },
        "order": {"field": "rank", "type": "quantitative"},
        "description": {"field": "text"},
    }
    return finish(
        width, 24 * max(len(steps), 2), data={"values": rows}, mark={"type": "bar", "height": 13}, encoding=by
    )
