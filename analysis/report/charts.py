"""Charts as Vega-Lite, drawn into SVG while the report is made, so that the page needs no script and no network to show them.

Every function takes plain rows and gives a specification (a dict of JSON values). Colours are CSS custom properties of the page
(``var(--accent)``): one drawing serves light, dark and print. What a mark says on hover stands in its ``description``, which
Vega writes as ``aria-label``; the page's script shows that text beside the pointer.
"""

from __future__ import annotations

import math
from typing import Any

Spec = dict[str, Any]
Row = dict[str, Any]

FONT = "Inter, Segoe UI, Helvetica, Arial, sans-serif"
"""Measured with when the chart is laid out; the page sets its own."""

OUTCOME_COLOURS = {
    "ok": "var(--ok)",
    "rate_limited": "var(--amber)",
    "quota": "var(--yellow)",
    "overloaded": "var(--pink)",
    "server_error": "var(--red)",
    "client_error": "var(--brown)",
    "timeout": "var(--sky)",
    "connect_error": "var(--green)",
    "truncated": "var(--violet)",
    "stream_error": "var(--rose)",
    "cancelled": "var(--grey-1)",
    "dropped": "var(--grey-2)",
    "lost": "var(--ink)",
}
"""The dozen of Okabe and Ito with what they lack: told apart without red and green."""

LEVELS = {"p50": "var(--accent-1)", "p90": "var(--accent-2)", "p99": "var(--accent-3)"}
NUMBER_LABEL = "format(datum.value, abs(datum.value) >= 10000 ? '~s' : ',~r')"
_DASHES = {"p50": [1, 0], "p90": [6, 3], "p99": [2, 2]}

CONFIG: Spec = {
    "background": None,
    "font": FONT,
    "padding": {"left": 2, "right": 6, "top": 4, "bottom": 2},
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--muted)",
        "titleColor": "var(--muted)",
        "gridColor": "var(--grid)",
        "domain": False,
        "ticks": False,
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleFontWeight": 500,
        "labelPadding": 6,
        "titlePadding": 8,
    },
    "axisX": {"grid": False, "ticks": True, "tickColor": "var(--grid)", "tickSize": 4, "titleAnchor": "end"},
    "axisY": {"tickCount": 5, "title": None},
    "title": {
        "anchor": "start",
        "color": "var(--ink)",
        "fontSize": 12,
        "fontWeight": 600,
        "offset": 8,
        "frame": "group",
    },
    "text": {"color": "var(--ink)", "fontSize": 11},
    "legend": {"disable": True},
}


def ramp(index: int, total: int) -> str:
    """A colour for one of ``total`` ordered steps, from the page's four stops, light load to heavy."""
    at = 3 * index / (total - 1) if total > 1 else 1.0
    low = min(int(at), 2)
    return f"color-mix(in oklab, var(--ramp-{low + 1}) {(at - low) * 100:.0f}%, var(--ramp-{low}))"


def wants_log(values: list[float], ratio: float = 20.0) -> bool:
    """Whether positive values spread so far that a linear axis would flatten the small ones."""
    positive = [v for v in values if v > 0]
    return bool(positive) and max(positive) / min(positive) > ratio


def _finish(width: int, height: int, **parts: Any) -> Spec:
    return {
        "width": width,
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "config": CONFIG,
        **parts,
    }


def _y(field: str, values: list[float], ticks: int = 5) -> Spec:
    """A scale from zero, or a logarithmic one where the values spread over more than a decade or so."""
    channel: Spec = {"field": field, "type": "quantitative"}
    if not wants_log(values):
        return channel | {
            "scale": {"zero": True, "nice": True},
            "axis": {"labelExpr": NUMBER_LABEL, "tickCount": ticks},
        }
    positive = [v for v in values if v > 0]
    low, high = min(positive) / 1.2, max(positive) * 1.3
    scale = {"type": "log", "nice": False, "domain": [low, high], "clamp": True}
    return channel | {"scale": scale, "axis": {"labelExpr": NUMBER_LABEL, "values": log_ticks(low, high, 2 * ticks)}}


def log_ticks(low: float, high: float, most: int = 10) -> list[float]:
    """1, 2, 5 of each decade within [low, high], or whole decades where those would be more than ``most``."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = [m * 10.0**e for e in decades for m in (1, 2, 5) if low <= m * 10.0**e <= high]
    return fine if len(fine) <= most else [10.0**e for e in decades if low <= 10.0**e <= high]


def _x_of_load(rows: list[Row], title: str) -> Spec:
    """Numbers where the loads are numbers, else the steps in their order."""
    loads = [r["load"] for r in rows]
    if any(isinstance(v, str) for v in loads):
        order = list(dict.fromkeys(loads))
        axis: Spec = {"title": title, "labelLimit": 110, "labelAngle": -30 if len(order) > 4 else 0}
        return {
            "field": "load",
            "type": "ordinal",
            "scale": {"type": "point", "padding": 0.5},
            "sort": order,
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
        "x": _x_of_load(rows, title),
        "y": _y("ms", [r["ms"] for r in rows]),
        "color": colour,
        "detail": [{"field": "group"}],
    }
    ends = list({(r["group"], r["percentile"]): r for r in rows}.values()) if len(groups) == 1 else []
    return _finish(
        width,
        height,
        data={"values": rows},
        layer=[
            {"mark": {"type": "line", "strokeWidth": 2}, "encoding": by | {"strokeDash": dash}},
            {
                "mark": {"type": "point", "filled": True, "size": 46, "opacity": 1},
                "encoding": by | {"shape": shape, "description": {"field": "text"}},
            },
            {
                "data": {"values": ends},
                "mark": {"type": "text", "align": "right", "dx": -2, "dy": -10, "fontWeight": 600},
                "encoding": by | {"text": {"field": "percentile"}},
            },
        ],
    )


def value_against_load(rows: list[Row], title: str, width: int, height: int = 200) -> Spec:
    """Rows: load, value, group, text."""
    groups = list(dict.fromkeys(r["group"] for r in rows))
    colours = [ramp(i, len(groups)) for i in range(len(groups))] if len(groups) > 1 else ["var(--accent-2)"]
    by: Spec = {
        "x": _x_of_load(rows, title),
        "y": _y("value", [r["value"] for r in rows]),
        "color": {"field": "group", "type": "nominal", "scale": {"domain": groups, "range": colours}},
    }
    return _finish(
        width,
        height,
        data={"values": rows},
        layer=[
            {"mark": {"type": "line", "strokeWidth": 2}, "encoding": by},
            {
                "mark": {"type": "point", "filled": True, "size": 46, "opacity": 1},
                "encoding": by | {"description": {"field": "text"}},
            },
        ],
    )


def percentile_curves(rows: list[Row], steps: list[str], width: int, height: int = 250) -> Spec:
    """Rows: step, q, ms, text. The axis is −log10(1 − q): each nine takes the same room."""
    marks = {0.0: "0", 0.30103: "50", 1.0: "90", 1.30103: "95", 2.0: "99", 3.0: "99.9", 4.0: "99.99"}
    rows = [r | {"nines": -math.log10(1 - min(r["q"], 0.99995))} for r in rows]
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
    by: Spec = {"x": x, "y": _y("ms", [r["ms"] for r in rows]), "color": _by_step(steps)}
    return _finish(
        width,
        height,
        data={"values": rows},
        layer=[
            {"mark": {"type": "line", "strokeWidth": 2, "interpolate": "monotone"}, "encoding": by},
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
        line = {"type": "line", "strokeWidth": 1.75, "interpolate": "step-after"}
        layers.insert(0, {"mark": line, "encoding": {"x": x, "y": y} | colour})
        area = {"type": "area", "opacity": 0.08, "interpolate": "step-after", "line": False}
        layers.insert(0, {"mark": area, "encoding": {"x": x, "y": y} | colour})
    return _finish(width, height, data={"values": rows}, layer=layers)


def timeline(rows: list[Row], spans: list[Row], panels: list[Spec], width: int, height: int = 88) -> Spec:
    """Rows: t_s, to_s, text and the panels' fields. Spans: step, start_s, end_s. A panel: title, kind, series {field: colour}."""
    x_title = "time since the first step began, s"
    last = max([*(r["to_s"] for r in rows), *(s["end_s"] for s in spans)], default=1.0)
    drawn = [
        _panel(panel, spans, width, height, last, x_title if panel is panels[-1] else None, labelled=panel is panels[0])
        for panel in panels
    ]
    return {
        "data": {"values": rows},
        "vconcat": drawn,
        "spacing": 38,
        "bounds": "flush",
        "config": CONFIG | {"axisY": {"title": None, "minExtent": 40, "maxExtent": 40}},
    }


def _panel(
    panel: Spec, spans: list[Row], width: int, height: int, last_s: float, x_title: str | None, *, labelled: bool
) -> Spec:
    axis: Spec = {
        "title": x_title,
        "labelExpr": NUMBER_LABEL,
        "labels": x_title is not None,
        "ticks": x_title is not None,
    }
    x: Spec = {"field": "t_s", "type": "quantitative", "scale": {"domain": [0, last_s], "nice": False}, "axis": axis}
    band: Spec = {"x": {"field": "start_s", "type": "quantitative"}, "x2": {"field": "end_s"}}
    layers: list[Spec] = [
        {"data": {"values": spans}, "mark": {"type": "rect", "color": "var(--band)"}, "encoding": band},
    ]
    if labelled:
        text = {
            "type": "text",
            "align": "left",
            "baseline": "bottom",
            "dx": 2,
            "dy": -2,
            "fontSize": 10,
            "color": "var(--muted)",
            "limit": 90,
        }
        at = {"x": {"field": "start_s", "type": "quantitative"}, "y": {"value": 0}, "text": {"field": "label"}}
        layers.append({"data": {"values": [s for s in spans if s.get("label")]}, "mark": text, "encoding": at})
    fields = list(panel["series"])
    values = [v for v in panel["values"] if v is not None]
    y = _y("value", values if panel.get("log") else [], ticks=3)
    lines: Spec = {
        "transform": [{"fold": fields, "as": ["series", "value"]}, {"filter": "isValid(datum.value)"}],
        "encoding": {
            "x": x,
            "y": y,
            "color": {
                "field": "series",
                "type": "nominal",
                "scale": {"domain": fields, "range": list(panel["series"].values())},
            },
        },
        "layer": [
            {
                "mark": {
                    "type": "line",
                    "strokeWidth": 1.6,
                    "interpolate": "linear" if panel.get("log") else "step-after",
                }
            }
        ],
    }
    if panel.get("area"):
        lines["layer"].insert(0, {"mark": {"type": "area", "opacity": 0.14, "interpolate": "step-after"}})
        lines["encoding"]["y"]["stack"] = None
    layers.append(lines)
    cover: Spec = {"x": x, "x2": {"field": "to_s"}, "description": {"field": "text"}}
    layers.append({"mark": {"type": "rect", "opacity": 0}, "encoding": cover})
    return {
        "width": width - 52,
        "height": height,
        "title": panel["title"],
        "layer": layers,
        "resolve": {"scale": {"color": "independent"}},
    }


def outcomes(rows: list[Row], steps: list[str], width: int) -> Spec:
    """Rows: step, outcome, rank, share, text. One bar a step, 100 % long."""
    kinds = [k for k in OUTCOME_COLOURS if any(r["outcome"] == k for r in rows)]
    by: Spec = {
        "y": _rows_of_steps(steps),
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
    return _finish(
        width, 24 * max(len(steps), 2), data={"values": rows}, mark={"type": "bar", "height": 13}, encoding=by
    )


def offered_achieved(rows: list[Row], steps: list[str], width: int) -> Spec:
    """Rows: step, offered_rps (None in closed loops), achieved_rps, text. Bar: sent; tick: what the schedule asked for."""
    y = _rows_of_steps(steps)
    bar: Spec = {
        "y": y,
        "x": {
            "field": "achieved_rps",
            "type": "quantitative",
            "axis": {"title": "requests/s", "labelExpr": NUMBER_LABEL},
        },
    }
    tick: Spec = {"y": y, "x": {"field": "offered_rps", "type": "quantitative"}}
    return _finish(
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


def _rows_of_steps(steps: list[str]) -> Spec:
    axis = {"title": None, "labelLimit": 130, "labelColor": "var(--ink)", "labelPadding": 8}
    return {"field": "step", "type": "nominal", "sort": steps, "scale": {"domain": steps}, "axis": axis}
