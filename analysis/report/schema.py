"""The JSON Schema of the report, which ships beside the templates. Tests make the file of what reports are and what docs/report.md says."""

from __future__ import annotations

from importlib import resources
from typing import Any

import orjson


def load() -> dict[str, Any]:
    """Draft 2020-12. ``properties.format.const`` is the version of the format that it describes."""
    text = resources.files("analysis.report").joinpath("assets/report.schema.json").read_text(encoding="utf-8")
    found: dict[str, Any] = orjson.loads(text)
    return found
