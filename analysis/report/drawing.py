"""Vega-Lite → SVG that can stand beside other SVG in one page."""

from __future__ import annotations

import json
import re
from typing import Any

_IDS = re.compile(r'(\bid="|url\(#|xlink:href="#|\bhref="#)([A-Za-z_][\w-]*)')
_SPOKEN = re.compile(r'aria-label="([^"]*)" role="graphics-symbol" aria-roledescription="[^"]*"')
_SIZE = re.compile(r' width="([\d.]+)" height="([\d.]+)"')


def draw(spec: dict[str, Any], name: str) -> str:
    """One SVG element. ``name`` must be unique in the page: clip paths are found by id, and Vega numbers them anew in each drawing.

    The element takes the width of its place and keeps its proportions. To those who listen it is silent: the page names the drawing
    as a whole and has the figures in tables; what a mark says on hover moves to ``data-tip``.
    """
    import vl_convert

    svg = str(vl_convert.vegalite_to_svg(json.dumps(spec)))
    head, rest = svg.split(">", 1)
    head = _SIZE.sub("", head)
    rest = _SPOKEN.sub(r'data-tip="\1"', _IDS.sub(rf"\g<1>{name}-\g<2>", rest))
    return f'{head} aria-hidden="true" focusable="false">{rest}'
