"""Charts that a page carries as data: Vega-Lite specifications, made by the same functions as the reports' charts, drawn in the browser."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

Spec = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Panel:
    """``spec``: JSON text; or ``empty``, which says why there is nothing to draw. ``label``: the drawing for those who do not see it."""

    name: str
    label: str
    spec: str = ""
    empty: str = ""

    @classmethod
    def of(cls, name: str, label: str, spec: Spec | None, empty: str) -> Panel:
        """The drawing takes the width of its place."""
        return (
            cls(name, label, empty=empty)
            if spec is None
            else cls(name, label, json.dumps(spec | {"width": "container"}))
        )


@dataclass(frozen=True, slots=True)
class Drawing:
    """Panels are alternatives, chosen by name."""

    id: str
    title: str
    note: str
    panels: tuple[Panel, ...]
