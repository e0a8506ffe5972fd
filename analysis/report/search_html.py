"""A search as one HTML file that loads nothing: the answer, the picture of the probes, their tables; light, dark and on paper."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import Any

from analysis.report import search_charts, searched, wording
from analysis.report.drawing import draw
from analysis.report.figures import HALF, PHONE, Figure, Panel
from analysis.report.wording import share

Row = dict[str, Any]


def render(found: Row) -> str:
    """The page of one search; ``found`` is what ``searching.answer.build`` made."""
    from jinja2 import Environment, StrictUndefined

    assets = files("analysis.report") / "assets"
    script = (assets / "report.js").read_text(encoding="utf-8").strip()
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"moment": wording.moment}
    template = environment.from_string((assets / "search.html.j2").read_text(encoding="utf-8"))
    return template.render(
        found=found,
        slo=searched.slo(found),
        told=searched.sentences(found),
        good=bool(found["confirmed"]),
        headline=_headline(found),
        figures=_figures(found),
        tables=[
            table
            for table in (
                ("Probes, in order", searched.PROBE_HEADINGS, searched.probe_rows(found)),
                ("Ladder, closed loop", searched.LADDER_HEADINGS, searched.ladder_rows(found)),
            )
            if table[2]
        ],
        spent=searched.spent(found),
        style=(assets / "report.css").read_text(encoding="utf-8"),
        script=script,
        script_digest="sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _headline(found: Row) -> str:
    return "not found" if found["load"] is None else searched.load(found, found["load"])


def _figures(found: Row) -> list[Figure]:
    """None where nothing was probed."""
    rows = [
        {
            "number": p["number"] + 1,
            "load": p["load"],
            "attainment": p["attainment"],
            "low": p["low"],
            "high": p["high"],
            "verdict": searched.VERDICTS[p["verdict"]],
            "text": f"{p['kind']} {p['number'] + 1} at {p['load']:.6g}: {searched.VERDICTS[p['verdict']]}, {share(p['attainment'])} good",
        }
        for p in found["probes"]
        if p["attainment"] is not None and p["low"] is not None
    ]
    if not rows:
        return []
    title = "requests/s" if found["axis"] == "rate" else "slots"
    seen = {r["verdict"] for r in rows}
    key = tuple({"name": name, "colour": colour} for name, colour in search_charts.COLOURS.items() if name in seen)
    target = found["goal"]["target"]
    below = any(r["attainment"] < search_charts.floor_of(target) for r in rows)
    lower = "; what lies far below stands at the lower edge" if below else ""
    pictures = (
        (
            "attainment",
            f"Good requests against {'rate' if found['axis'] == 'rate' else 'concurrency'}",
            f"Numbers are the order of the probes, bars what is sure of each, the dashed line the {share(target)} that the SLO asks for{lower}.",
            lambda width: search_charts.attainment(rows, target, title, width),
        ),
        (
            "order",
            "How the search closed in",
            "Each probe in its order; the dashed line is the answer.",
            lambda width: search_charts.order(rows, found["load"], title, width),
        ),
    )
    return [
        Figure(
            name,
            heading,
            note,
            (Panel("", f"{heading}; the figures are in the table below", *_drawn(spec, name)),),
            key,
        )
        for name, heading, note, spec in pictures
    ]


def _drawn(spec: Any, name: str) -> tuple[str, str]:
    return draw(spec(HALF), f"{name}-wide"), draw(spec(PHONE), f"{name}-narrow")
