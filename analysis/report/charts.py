"""Charts as Vega-Lite, drawn into SVG while the report is made, so that the page needs no script and no network to show them.

Every function takes plain rows and gives a specification (a dict of JSON values). What a mark says on hover stands in its
``description``, which Vega writes as ``aria-label``; the page shows that text beside the pointer. Marks without one are ``SILENT``.
"""

from __future__ import annotations

import math
from typing import Any

from analysis.report.style import (
    LEVELS,
    NUMBER_LABEL,
    OUTCOME_COLOURS,
    SILENT,
    Spec,
    finish,
    log_ticks,
    ramp,
    wants_log,
    y_axis,
)

Row = dict[str, Any]

_DASHES = {"p50": [1, 0], "p90": [6, 3], "p99": [2, 2]}


def x_of_load(rows: list[Row], title: str) -> Spec:
    """Numbers where the loads are numbers, else the steps in their order."""
    loads = [r["load"] for r in rows]
    if any(isinstance(v, str) for v in loads):
        order = list(dict.fromkeys(loads))
        axis: Spec = {"title": title, "labelLimit": 110, "labelAngle": -30 if len(order) > 4 else 0}
        return {
            "field": "load",
            "type": "ordinal",
            "scale": {"type": "point", "padding": 0.5, "domain": order},
            "axis": axis,
        }
    log = wants_log(loads, 12) and min(loads) > 0
    scale: Spec = (
        {"type": "log", "nice": False, "padding": 14} if log else {"zero": False, "nice": False, "padding": 14}
    )
    ticks = sorted(set(loads))
    axis = {
        "title": title,
        "values": ticks if len(ticks) <= 10 else None,
        "labelExpr": NUMBER_LABEL,
        "labelOverlap": "greedy",
    }
    if axis["values"] is None:
        del axis["values"]
    return {"field": "load", "type": "quantitative", "scale": scale, "axis": axis}


def latency_against_load(rows: list[Row], title: str, width: int, height: int = 250) -> Spec:
    """Rows: load, percentile, ms, group, text. One line a percentile; with several groups (cells, arms) colour tells the group."""
    groups = list(dict.fromkeys(r["group"] for r in rows))
    colour: Spec = (
        {
            "field": "group",
            "type": "nominal",
            "scale": {"domain": groups, "range": [ramp(i, len(groups)) for i in range(len(groups))]},
        }
        if len(groups) > 1
        else {
            "field": "percentile",
            "type": "nominal",
            "scale": {"domain": list(LEVELS), "range": list(LEVELS.values())},
        }
    )
    dash = {
        "field": "percentile",
        "type": "nominal",
        "scale": {"domain": list(_DASHES), "range": list(_DASHES.values())},
    }
    shape = {
        "field": "percentile",
        "type": "nominal",
        "scale": {"domain": list(_DASHES), "range": ["circle", "square", "diamond"]},
    }
    by: Spec = {
        "x": x_of_load(rows, title),
        "y": y_axis("ms", [r["ms"] for r in rows]),
        "color": colour,
        "detail": [{"field": "group"}],
    }
    ends = list({(r["group"], r["percentile"]): r for r in rows}.values()) if len(groups) == 1 else []
    return finish(
        width,
        height,
        data={"values": rows},
        layer=[
            {"mark": {"type": "line", **SILENT, "strokeWidth": 2}, "encoding": by | {"strokeDash": dash}},
            {
                "mark": {"type": "point", "filled": True, "size": 46, "opacity": 1},
                "encoding": by | {"shape": shape, "description": {"field": "text"}},
            },
            {
                "data": {"values": ends},
                "mark": {"type": "text", **SILENT, "align": "right", "dx": -2, "dy": -10, "fontWeight": 600},
                "encoding": by | {"text": {"field": "percentile"}},
            },
        ],
    )


def value_against_load(rows: list[Row], title: str, width: int, height: int = 200) -> Spec:
    """Rows: load, value, group, text."""
    groups = list(dict.fromkeys(r["group"] for r in rows))
    colours = [ramp(i, len(groups)) for i in range(len(groups))] if len(groups) > 1 else ["var(--accent-2)"]
    by: Spec = {
        "x": x_of_load(rows, title),
        "y": y_axis("value", [r["value"] for r in rows]),
        "color": {"field": "group", "type": "nominal", "scale": {"domain": groups, "range": colours}},
    }
    return finish(
        width,
        height,
        data={"values": rows},
        layer=[
            {"mark": {"type": "line", **SILENT, "strokeWidth": 2}, "encoding": by},
            {
                "mark": {"type": "point", "filled": True, "size": 46, "opacity": 1},
                "encoding": by | {"description": {"field": "text"}},
            },
        ],
    )


def percentile_curves(rows: list[Row], steps: list[str], width: int, height: int = 250) -> Spec:
    """Rows: step, q, ms, text. The axis is −log10(1 − q): each nine takes the same room."""
    marks = {0.0: "0", 0.30103: "50", 1.0: "90", 1.30103: "95", 2.0: "99", 3.0: "99.9", 4.0: "99.99"}
    rows = [r | {"nines": round(-math.log10(1 - min(r["q"], 0.99995)), 5)} for r in rows]
    labels = " : ".join(f"abs(datum.value - {v}) < 0.01 ? '{t}'" for v, t in marks.items()) + " : ''"
    top = max((r["nines"] for r in rows), default=1.0)
    x: Spec = {
        "field": "nines",
        "type": "quantitative",
        "scale": {"domain": [0, max(1.0, top)], "nice": False},
        "axis": {
            "title": "percentile",
            "values": [v for v in marks if v <= top + 0.01],
            "labelExpr": labels,
            "labelOverlap": "greedy",
        },
    }
    by: Spec = {"x": x, "y": y_axis("ms", [r["ms"] for r in rows]), "color": _by_step(steps)}
    return finish(
        width,
        height,
        data={"values": rows},
        layer=[
            {"mark": {"type": "line", **SILENT, "strokeWidth": 2, "interpolate": "monotone"}, "encoding": by},
            {
                "mark": {"type": "point", "filled": True, "size": 120, "opacity": 0},
                "encoding": by | {"description": {"field": "text"}},
            },
        ],
    )


def _by_step(steps: list[str]) -> Spec:
    colours = [ramp(i, len(steps)) for i in range(len(steps))]
    return {"field": "step", "type": "nominal", "scale": {"domain": steps, "range": colours}}


def distribution(rows: list[Row], steps: list[str], width: int, height: int = 250) -> Spec:
    """Rows: step, low_ms, high_ms, share, text. Bins are equal in the logarithm; heights are shares of the step's own total."""
    lows = [r["low_ms"] for r in rows]
    log = wants_log(lows, 5) and min(lows) > 0
    x: Spec = {
        "field": "low_ms",
        "type": "quantitative",
        "scale": {"type": "log", "nice": False} if log else {"zero": False, "nice": True},
        "axis": {"title": "ms", "labelExpr": NUMBER_LABEL, "labelOverlap": "greedy"}
        | ({"values": log_ticks(min(lows), max(r["high_ms"] for r in rows))} if log else {}),
    }
    y: Spec = {
        "field": "share",
        "type": "quantitative",
        "stack": None,
        "axis": {"format": "~%"},
        "scale": {"zero": True},
    }
    colour = {"color": _by_step(steps)}
    hover = {"x": x, "x2": {"field": "high_ms"}, "y": y, "y2": {"datum": 0}, "description": {"field": "text"}}
    body = {"type": "rect", "opacity": 0.85 if len(steps) == 1 else 0}
    layers: list[Spec] = [{"mark": body, "encoding": hover | colour}]
    if len(steps) > 1:
        line = {"type": "line", **SILENT, "strokeWidth": 1.75, "interpolate": "step-after"}
        layers.insert(0, {"mark": line, "encoding": {"x": x, "y": y} | colour})
        area = {"type": "area", **SILENT, "opacity": 0.08, "interpolate": "step-after", "line": False}
        layers.insert(0, {"mark": area, "encoding": {"x": x, "y": y} | colour})
    return finish(width, height, data={"values": rows}, layer=layers)


def outcomes(rows: list[Row], steps: list[str], width: int) -> Spec:
    """Rows: step, outcome, rank, share, text. One bar a step, 100 % long."""
    kinds = [k for k in OUTCOME_COLOURS if any(r["outcome"] == k for r in rows)]
    by: Spec = {
        "y": rows_of_steps(steps),
        "x": {
            "field": "share",
            "type": "quantitative",
            "stack": "zero",
            "scale": {"domain": [0, 1]},
            "axis": {"title": None, "format": "~%"},
        },
        "color": {
            "field": "outcome",
            "type": "nominal",
            "scale": {"domain": kinds, "range": [OUTCOME_COLOURS[k] for k in kinds]},
        },
        "order": {"field": "rank", "type": "quantitative"},
        "description": {"field": "text"},
    }
    return finish(
        width, 24 * max(len(steps), 2), data={"values": rows}, mark={"type": "bar", "height": 13}, encoding=by
    )


def offered_achieved(rows: list[Row], steps: list[str], width: int) -> Spec:
    """Rows: step, offered_rps (None in closed loops), achieved_rps, text. Bar: sent; tick: what the schedule asked for."""
    y = rows_of_steps(steps)
    bar: Spec = {
        "y": y,
        "x": {
            "field": "achieved_rps",
            "type": "quantitative",
            "axis": {"title": "requests/s", "labelExpr": NUMBER_LABEL},
        },
    }
    tick: Spec = {"y": y, "x": {"field": "offered_rps", "type": "quantitative"}}
    return finish(
        width,
        24 * max(len(steps), 2),
        data={"values": rows},
        layer=[
            {
                "mark": {"type": "bar", "height": 9, "color": "var(--accent-1)"},
                "encoding": bar | {"description": {"field": "text"}},
            },
            {
                "transform": [{"filter": "isValid(datum.offered_rps)"}],
                "mark": {"type": "tick", "thickness": 2.5, "height": 18, "color": "var(--ink)"},
                "encoding": tick | {"description": {"field": "text"}},
            },
        ],
    )


def rows_of_steps(steps: list[str]) -> Spec:
    # The order comes by "domain", which is data; "sort" would be compiled into an expression, and names are anybody's text.
    axis = {"title": None, "labelLimit": 130, "labelColor": "var(--ink)", "labelPadding": 8}
    return {"field": "step", "type": "nominal", "scale": {"domain": steps}, "axis": axis}
