"""Prompts from a JSONL file with a field ``prompt``, in the file's order, from the start again when they are spent."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from generator.errors import ScenarioError


class Dataset:
    """The file's prompts. Raises ScenarioError with file and line where one is missing or no text."""

    def __init__(self, path: Path) -> None:
        try:
            raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        except (OSError, EOFError) as e:
            raise ScenarioError(f"{path}: the prompts cannot be read: {getattr(e, 'strerror', None) or e}") from None
        self._prompts = [_prompt(line, f"{path}:{n}") for n, line in enumerate(raw.split(b"\n"), 1) if line.strip()]
        if not self._prompts:
            raise ScenarioError(f"{path}: no prompts; a JSON object with a field `prompt` is wanted on each line")

    def __len__(self) -> int:
        return len(self._prompts)

    def text(self, n: int) -> str:
        return self._prompts[n % len(self._prompts)]


def _prompt(line: bytes, place: str) -> str:
    try:
        row = json.loads(line)
    except ValueError as e:
        raise ScenarioError(f"{place}: not JSON: {e}") from None
    prompt = row.get("prompt") if isinstance(row, dict) else None
    if not isinstance(prompt, str) or not prompt:
        there = f"; it has {', '.join(row)}" if isinstance(row, dict) else ""
        raise ScenarioError(f"{place}: a JSON object with a text field `prompt` is wanted{there}")
    return prompt
