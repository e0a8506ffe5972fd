"""The JSON Schema that reports amount to: what keys and types are seen over many of them. The shipped file is made of this."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from analysis.report.model import FORMAT
from analysis.report.wording import METRICS

Schema = dict[str, Any]

PAGE = (Path(__file__).parents[1] / "docs" / "report.md").read_text()
MAPS = ("outcomes", "versions", "host", "slo", "limits", "withheld", "price", "budget", "aborted", "advice")
"""Keys whose value is a map: its keys are outcomes, libraries, metrics, names that people chose."""


def schema_of(reports: Iterable[Any]) -> Schema:
    """Every key that is seen; required where it is in every such object. A leaf may always be null: that is how a report says unknown.
    Keys that are not named are let pass: a later version may add some without changing the format.
    """
    found = _object([r for r in reports if r is not None], "")
    latency = found["properties"]["steps"]["items"]["properties"]
    shared = [latency[m] for m in METRICS]
    assert all(s["properties"].keys() == shared[0]["properties"].keys() for s in shared)
    made = {"type": "object", "required": shared[0]["required"], "properties": {}}
    for key in shared[0]["properties"]:
        made["properties"][key] = next((s["properties"][key] for s in shared if _says(s["properties"][key])), {})
    for metric in METRICS:
        latency[metric] = {
            "$ref": "#/$defs/latency",
            "description": latency[metric].get("description", f"{METRICS[metric]}, ms"),
        }
    found["properties"]["format"] = {"const": FORMAT, "description": "number of this format"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "openloop report",
        "description": "What `openloop report RUN --format json` prints; docs/report.md explains it.",
        **found,
        "$defs": {"latency": made},
    }


def text_of(schema: Schema) -> str:
    """Indented, with lists of words in one line."""
    text = json.dumps(schema, indent=1, ensure_ascii=False)
    return re.sub(r"\[\s+([^][{}]*?)\s+\]", lambda m: "[" + re.sub(r",\s+", ", ", m[1]) + "]", text) + "\n"


def _says(schema: Schema) -> bool:
    return bool(
        schema.get("properties") or schema.get("additionalProperties") or schema.get("type") not in (None, "null")
    )


def _of(values: list[Any], path: str) -> Schema:
    """The schema of all values that were seen at a path."""
    null = any(v is None for v in values)
    there = [v for v in values if v is not None]
    lists = [v for v in there if isinstance(v, list)]
    objects = [v for v in there if isinstance(v, dict)]
    assert not there or len(lists) in (0, len(there)), path
    if lists:
        items = [item for v in lists for item in v]
        made: Schema = {"type": ["array", "null"] if null else "array"} | (
            {"items": _without_words(_of(items, path))} if items else {}
        )
    elif objects and path.rpartition(".")[2] in MAPS:
        made = {"type": ["object", "null"]}
    elif objects:
        made = _object(objects, path)
        if null:
            made["type"] = ["object", "null"]
    else:
        made = _leaf(there)
    return made | ({"description": text} if (text := meaning(path)) else {})


def _without_words(schema: Schema) -> Schema:
    """What the list says, its items need not."""
    return {key: value for key, value in schema.items() if key != "description"}


def _object(values: list[Any], path: str) -> Schema:
    keys = list(dict.fromkeys(key for v in values for key in v))
    prefix = f"{path}." if path else ""
    return {
        "type": "object",
        "required": [key for key in keys if all(key in v for v in values)],
        "properties": {key: _of([v[key] for v in values if key in v], f"{prefix}{key}") for key in keys},
    }


def _leaf(values: list[Any]) -> Schema:
    kinds = {type(v) for v in values}
    if kinds == {int, float}:
        kinds = {float}
    names = {bool: "boolean", int: "integer", float: "number", str: "string"}
    return {"type": [*sorted(names[k] for k in kinds), "null"]} if kinds else {}


def meaning(path: str) -> str | None:
    """What the page says of a key, as plain text: the last cell of its row."""
    row = re.search(rf"^\|[^|]*`{re.escape(path)}`[^|]*\|(?:.*\|)? (.+?) \|$", PAGE, re.MULTILINE)
    return re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", row[1]).replace("`", "") if row else None
