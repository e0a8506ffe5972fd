"""The timeline: panels above each other over one time axis, with the steps as bands behind them."""

from __future__ import annotations

from typing import Any

from analysis.report.style import CONFIG, NUMBER_LABEL, SILENT, Spec, y_axis

Row = dict[str, Any]

PANELS: tuple[tuple[str, dict[str, tuple[str, str]], dict[str, bool]], ...] = (
    ("in flight", {"in_flight": ("var(--accent-2)", "in flight")}, {"area": True}),
    (
        "TTFT, ms",
        {"ttft_p50_ms": ("var(--accent-1)", "TTFT p50"), "ttft_p99_ms": ("var(--accent-3)", "TTFT p99")},
        {"log": True},
    ),
    ("requests/s", {"sent_rps": ("var(--accent-2)", "sent"), "failed_rps": ("var(--red)", "failed")}, {}),
    ("output tokens/s", {"output_tokens_per_s": ("var(--accent-2)", "output tokens/s")}, {"area": True}),
)
"""Panels of the timeline: title, field → (colour, name), how it is drawn."""


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
        {"data": {"values": spans}, "mark": {"type": "rect", "color": "var(--band)", **SILENT}, "encoding": band},
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
            **SILENT,
        }
        at = {"x": {"field": "start_s", "type": "quantitative"}, "y": {"value": 0}, "text": {"field": "label"}}
        layers.append({"data": {"values": [s for s in spans if s.get("label")]}, "mark": text, "encoding": at})
    fields = list(panel["series"])
    values = [v for v in panel["values"] if v is not None]
    y = y_axis("value", values, ticks=3, may_log=bool(panel.get("log")))
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
                    **SILENT,
                    "strokeWidth": 1.6,
                    "interpolate": "linear" if panel.get("log") else "step-after",
                }
            }
        ],
    }
    if panel.get("area"):
        lines["layer"].insert(0, {"mark": {"type": "area", **SILENT, "opacity": 0.14, "interpolate": "step-after"}})
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
