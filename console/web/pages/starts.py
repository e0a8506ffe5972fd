"""What the form starts from: shipped scenarios as data, or the scenario of a run that is to be run again."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from generator.errors import ScenarioError
from generator.scenario import reading
from generator.scenario import text as scenario_text
from generator.scenario.files import named_files


def shipped() -> list[dict[str, str]]:
    """Name and purpose of each; the purpose is the comment that its file begins with."""
    return [{"name": name, "about": _about(_text(name))} for name in reading.shipped()]


def of_name(name: str) -> dict[str, Any]:
    """A shipped scenario as a person wrote it. Raises ScenarioError where there is none of that name."""
    if name not in reading.shipped():
        raise ScenarioError(f"no shipped scenario {name!r}; there are: {', '.join(reading.shipped())}")
    document = scenario_text.parse(_text(name), name)
    folder = Path(str(resources.files("scenarios")))
    for path in named_files(document.data):
        value = document.get(path)
        if isinstance(value, str):
            # What is sent back from the form is no longer a file of that folder.
            document.put(path, str(folder / value), name)
    return document.data


def of_text(text: str) -> dict[str, Any]:
    """A scenario that was run, as data."""
    return scenario_text.parse(text, "the scenario").data


def _text(name: str) -> str:
    return (resources.files("scenarios") / f"{name}.yaml").read_text(encoding="utf-8")


def _about(text: str) -> str:
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return " ".join(lines)
