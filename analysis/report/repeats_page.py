"""The merged report of several runs as one HTML file that loads nothing, in the dress of a single run's."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from analysis.report import repeats
from analysis.report.drawing import draw
from analysis.report.style import NUMBER_LABEL, SILENT, Spec, finish, ramp
from analysis.report.wording import number

Row = dict[str, Any]

_WIDE, _NARROW = 1200, 350
_DRAWN = ("p50(ttft)", "p99(ttft)", "p50(tpot)", "p99(e2e)", "rate(output_tokens)", "rate(goodput)")


def render(report: Row) -> str:
    """The page. Whatever a scenario or a target said reaches it through the template's autoescaping or as escaped text inside SVG."""
    from jinja2 import Environment, StrictUndefined

    assets = files("analysis.report") / "assets"
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((assets / "repeats.html.j2").read_text(encoding="utf-8"))
    return template.render(
        report=report,
        title=report["group"] or report["name"] or "runs",
        ended=repeats.ended(report),
        sentences=repeats.sentences(report),
        tables=repeats.tables(report),
        notes=repeats.notes(report),
        charts=[_chart(row, index, report["group"]) for index, row in enumerate(_drawn(report))],
        style=(assets / "report.css").read_text(encoding="utf-8"),
    )


def _drawn(report: Row) -> list[Row]:
    """The figures that get a drawing: where there is an interval and something to see."""
    shown = [r for name in _DRAWN for r in report["figures"] if r["figure"] == name and r["spread"]]
    return [r for r in shown if r["spread"]["total_sd"]]


def _chart(row: Row, index: int, group: str | None) -> dict[str, str]:
    several = f", {row['load']}" + (f" · {row['arm']}" if row["arm"] else "")
    unit = " ms" if row["metric"] in repeats.LATENCIES else ""
    wide, narrow = (draw(_runs(row, unit, width, group), f"runs-{index}-{width}") for width in (_WIDE, _NARROW))
    return {
        "title": repeats.name_of(row) + several,
        "note": f"Each repetition a dot; the line is the merged figure, {number(row['value'])}{unit}, the band its 95 % interval.",
        "wide": wide,
        "narrow": narrow,
    }


def _runs(row: Row, unit: str, width: int, group: str | None) -> Spec:
    """A dot a repetition on one axis of the figure, above them band and line of the merged one."""
    values = [
        {"run": repeats.short(r, group), "value": r["value"], "text": f"{r['run_id']}: {number(r['value'])}{unit}"}
        for r in row["runs"]
        if r["value"] is not None
    ]
    x: Spec = {
        "field": "value",
        "type": "quantitative",
        "scale": {"zero": False, "nice": True},
        "axis": {
            "title": unit.strip() or "a second",
            "labelExpr": NUMBER_LABEL,
            "labelOverlap": "greedy",
            "tickCount": width // 120,
        },
    }
    # The order comes by "domain", which is data; "sort" would be compiled into an expression, and names are anybody's text.
    y: Spec = {
        "field": "run",
        "type": "ordinal",
        "scale": {"domain": [v["run"] for v in values]},
        "axis": {"title": None, "labelLimit": 160},
    }
    merged = [{"low": row["low"], "high": row["high"], "value": row["value"]}]
    return finish(
        width,
        max(60, 14 * len(row["runs"])),
        data={"values": values},
        layer=[
            {
                "data": {"values": merged},
                "mark": {"type": "rect", **SILENT, "color": "var(--accent-1)", "opacity": 0.18},
                "encoding": {"x": x | {"field": "low"}, "x2": {"field": "high"}},
            },
            {
                "data": {"values": merged},
                "mark": {"type": "rule", **SILENT, "color": "var(--accent-1)", "strokeWidth": 2},
                "encoding": {"x": x},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1, "color": ramp(1, 2)},
                "encoding": {"x": x, "y": y, "description": {"field": "text"}},
            },
        ],
    )
