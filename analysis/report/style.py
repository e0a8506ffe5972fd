"""What all charts share: colours, type, number labels, and when an axis is logarithmic.

Colours are CSS custom properties of the page (``var(--accent-1)``): one drawing serves light, dark and print.
"""

from __future__ import annotations

import math
from typing import Any

Spec = dict[str, Any]

FONT = "Inter, Segoe UI, Helvetica, Arial, sans-serif"
"""Measured with when the chart is laid out; the page sets its own."""

SILENT: Spec = {"aria": False}

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


def finish(width: int, height: int, **parts: Any) -> Spec:
    return {
        "width": width,
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "config": CONFIG,
        **parts,
    }


def y_axis(field: str, values: list[float], ticks: int = 5, *, may_log: bool = True) -> Spec:
    """A scale from zero, or a logarithmic one where the values spread over more than a decade or so."""
    channel: Spec = {"field": field, "type": "quantitative"}
    if not (may_log and wants_log(values)):
        nothing = {"domain": [0, 1]} if not any(values) else {}  # a scale from 0 to 0 has its line in the middle
        return channel | {
            "scale": {"zero": True, "nice": True, **nothing},
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
