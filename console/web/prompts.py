"""Prompts that were submitted: a file for each list of them, named by its content.

So equal submissions name equal files, their resolved scenarios are equal, and so are their digests. A file lies there as long as a
benchmark's scenario names it, which whoever submits the scenario of a benchmark again does, too.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import orjson

from generator.run_dir import write_whole

_NAME = re.compile(r"[0-9a-f]{64}\.jsonl")


class Prompts:
    """``named``: whether a benchmark's scenario has this text in it."""

    def __init__(self, folder: Path, named: Callable[[str], bool]) -> None:
        self.folder = folder
        self._named = named
        self._wanted: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def kept(self, prompts: Sequence[str] | None) -> Iterator[Path | None]:
        """Their file, which is there within, and afterwards where a benchmark names it; None where there are no prompts."""
        if not prompts:
            yield None
            return
        data = b"".join(orjson.dumps({"prompt": prompt}) + b"\n" for prompt in prompts)
        path = self.folder / f"{hashlib.sha256(data).hexdigest()}.jsonl"
        with self._lock:
            self._wanted[path.name] += 1
            if not path.exists():
                self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                write_whole(path, data)
        try:
            yield path
        finally:
            with self._lock:
                self._wanted[path.name] -= 1
                self._drop(path.name)

    def forget(self, scenario: str | None) -> None:
        """A benchmark with this scenario is gone."""
        with self._lock:
            for name in set(_NAME.findall(scenario or "")):
                self._drop(name)

    def _drop(self, name: str) -> None:
        if not self._wanted[name]:
            del self._wanted[name]
            if not self._named(name):
                (self.folder / name).unlink(missing_ok=True)
