"""Processes that run benchmarks: started, watched, told to stop, and found again by a service that was started anew."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson
import psutil

from console.web import box, redaction

LATEST = "latest.json"
"""In a benchmark's folder: the last ``Progress`` in full, which /metrics is made of."""

RULES = "rules.json"
"""There, too: what the service allows at the start of the run, which its process checks before anything is sent."""

_LOG_BYTES = 64_000
_LOG_CHARS = 300


@dataclass(slots=True)
class Child:
    """``process`` is None where an earlier service started it."""

    id: str
    pid: int
    created_s: float
    process: subprocess.Popen[bytes] | None = None

    def alive(self) -> bool:
        if self.process is not None:
            return self.process.poll() is None
        try:
            found = psutil.Process(self.pid)
            # A pid is given out again; the instant of its start is not.
            return abs(found.create_time() - self.created_s) < 0.1 and found.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def interrupt(self) -> None:
        """As Ctrl-C: stop issuing, drain, seal. Once more cuts what is in flight."""
        if self.alive():
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """Its workers end when they find it gone."""
        if self.alive():
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        if self.process is not None:
            self.process.wait()

    def leave(self) -> None:
        """Close its standard input, which ends it as ``interrupt`` does, whoever is left to watch."""
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()


def run(folder: Path, runs_dir: Path, run_id: str, env_names: Sequence[str], rules: Mapping[str, Any]) -> Child:
    """Begin a benchmark. ``env_names``: variables of this server's environment that it may read; no others reach it."""
    (folder / RULES).write_bytes(orjson.dumps(rules))
    return _start("run", folder, runs_dir, run_id, {name: os.environ[name] for name in env_names if name in os.environ})


def seal(folder: Path, runs_dir: Path, run_id: str) -> Child:
    """Finish what a crash left of one."""
    return _start("seal", folder, runs_dir, run_id, {})


def _start(what: Literal["run", "seal"], folder: Path, runs_dir: Path, run_id: str, given: Mapping[str, str]) -> Child:
    (folder / "end.json").unlink(missing_ok=True)
    with (folder / "child.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "console.web.child", what, str(folder), str(runs_dir), run_id],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=box.environment({**given, redaction.GIVEN: ",".join(given)}),
            start_new_session=True,
        )
    return Child(run_id, process.pid, psutil.Process(process.pid).create_time(), process)


def ended(folder: Path) -> dict[str, Any] | None:
    """What a run's process said in the end; None where it did not get so far."""
    try:
        found = orjson.loads((folder / "end.json").read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    return found if isinstance(found, dict) else None


def last_words(folder: Path, env_names: Iterable[str]) -> str:
    """The end of what it and its workers wrote to their log, fit to be shown: without keys. ``env_names``: variables that it was given."""
    try:
        with (folder / "child.log").open("rb") as f:
            f.seek(max(0, f.seek(0, os.SEEK_END) - _LOG_BYTES))
            text = f.read().decode(errors="replace")
    except OSError:
        return ""
    # Keys are taken out before it is cut: half of one would not be known for what it is.
    return redaction.without_keys(text, env_names).strip()[-_LOG_CHARS:]
