"""Where a scenario names files of data, however deep: prompts, traces, tables of lengths."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from generator.scenario.text import Path

_PARTS = ("workload", "workloads", "steps", "matrix")
"""Keys of a scenario within which ``file`` is a file's name; elsewhere it may be anything, as in a request's body."""


def named_files(data: dict[str, Any]) -> Iterator[Path]:
    """Paths of all values that are names of files."""
    for part in _PARTS:
        yield from _within(data.get(part), (part,))


def _within(value: Any, path: Path) -> Iterator[Path]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, str) and key in ("file", "prompts"):
                yield (*path, key)
            yield from _within(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _within(inner, (*path, number))
