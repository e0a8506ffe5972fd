"""The picture of a search: which loads were probed, in which order, and what share of requests was good at each."""

from __future__ import annotations

from typing import Any

from analysis.report.style import NUMBER_LABEL, SILENT, Spec, finish

Row = dict[str, Any]

COLOURS = {
    "accepted": "var(--green)",
    "rejected": "var(--red)",
    "undecided": "var(--grey-1)",
    "goes on": "var(--grey-2)",
}
SHAPES = {"accepted": "circle", "rejected": "cross", "undecided": "diamond", "goes on": "triangle-up"}


def _kinds(field: str, table: dict[str, str]) -> Spec:
    return {"field": field, "type": "nominal", "scale": {"domain": list(table), "range": list(table.values())}}


def floor_of(target: float) -> float:
    """The least attainment that the picture shows to scale: six times the misses that the SLO allows."""
    return max(0.0, 1 - 6 * (1 - target))


def attainment(rows: list[Row], target: float, load_title: str, width: int, height: int = 300) -> Spec:
    """Rows: number, load, attainment, low, high, verdict, confirm (bool), text. The line is the share that the SLO asks for."""
    # Far above the answer nearly all requests miss; to show that to scale would flatten what the search is about.
    lowest = max(min([target, *(r["low"] for r in rows)]), floor_of(target))
    x: Spec = {
        "field": "load",
        "type": "quantitative",
        "scale": {"zero": False, "nice": False, "padding": 18},
        "axis": {"title": load_title, "labelExpr": NUMBER_LABEL, "labelOverlap": "greedy"},
    }
    y: Spec = {
        "field": "attainment",
        "type": "quantitative",
        "scale": {"domain": [max(0.0, lowest - 0.05 * (1 - lowest)), 1], "nice": False, "clamp": True},
        "axis": {"format": "~%"},
    }
    by: Spec = {"x": x, "color": _kinds("verdict", COLOURS)}
    point = by | {"y": y, "shape": _kinds("verdict", SHAPES), "description": {"field": "text"}}
    return finish(
        width,
        height,
        data={"values": rows},
        layer=[
            {
                "data": {"values": [{"target": target}]},
                "mark": {"type": "rule", **SILENT, "strokeDash": [5, 4], "color": "var(--ink)", "strokeWidth": 1.2},
                "encoding": {"y": y | {"field": "target"}},
            },
            {
                "mark": {"type": "rule", **SILENT, "strokeWidth": 2, "opacity": 0.55},
                "encoding": by | {"y": y | {"field": "low"}, "y2": {"field": "high"}},
            },
            {"mark": {"type": "point", "filled": True, "size": 85, "opacity": 1}, "encoding": point},
            {
                "mark": {"type": "text", **SILENT, "dy": -11, "fontSize": 10.5},
                "encoding": {"x": x, "y": y, "text": {"field": "number"}},
            },
        ],
    )


def order(rows: list[Row], found: float | None, load_title: str, width: int, height: int = 300) -> Spec:
    """The same rows by their number: how the search closed in. The line is the load that was found."""
    numbers = [r["number"] for r in rows]
    x: Spec = {
        "field": "number",
        "type": "ordinal",
        "scale": {"type": "point", "padding": 0.5, "domain": numbers},
        "axis": {"title": "probe", "labelAngle": 0, "labelOverlap": "greedy"},
    }
    y: Spec = {
        "field": "load",
        "type": "quantitative",
        "scale": {"zero": False, "nice": True, "padding": 10},
        "axis": {"title": load_title, "labelExpr": NUMBER_LABEL},
    }
    line: list[Spec] = []
    if found is not None:
        mark = {"type": "rule", **SILENT, "strokeDash": [5, 4], "color": "var(--ink)", "strokeWidth": 1.2}
        line = [{"data": {"values": [{"load": found}]}, "mark": mark, "encoding": {"y": y}}]
    point = {
        "x": x,
        "y": y,
        "color": _kinds("verdict", COLOURS),
        "shape": _kinds("verdict", SHAPES),
        "description": {"field": "text"},
    }
    path = {"type": "line", **SILENT, "strokeWidth": 1, "color": "var(--grid)"}
    return finish(
        width,
        height,
        data={"values": rows},
        layer=[
            *line,
            {"mark": path, "encoding": {"x": x, "y": y}},
            {"mark": {"type": "point", "filled": True, "size": 85, "opacity": 1}, "encoding": point},
        ],
    )
