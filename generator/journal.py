"""``journal.jsonl``: what the coordinator did, a JSON object a line, each flushed: all that sealing needs after a crash.

Events: ``start`` (step_id, start_ns), ``end`` (step_id, end_ns, offered by worker), ``drained`` (step_id, drained_ns), ``lost`` (worker,
t_ns, why), ``stop`` (t_ns), ``done``.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson


class Journal:
    """Append only. A line that cannot be written (a full disk) is kept in ``failed``: the run goes on."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")
        self.failed: list[dict[str, Any]] = []

    def write(self, event: str, **facts: Any) -> None:
        entry = {"event": event, **facts}
        try:
            self._file.write(orjson.dumps(entry) + b"\n")
            self._file.flush()
        except OSError:
            self.failed.append(entry)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # the same full disk that write() has counted
            self._file.close()


@dataclass(slots=True)
class StepFacts:
    """What the journal says of one step. ``end_ns`` None: the coordinator died while it was issuing. ``offered``: by worker, of
    those that lived to say it."""

    start_ns: int
    end_ns: int | None = None
    drained_ns: int | None = None
    offered: dict[int, int] | None = None


@dataclass(slots=True)
class History:
    steps: dict[int, StepFacts] = field(default_factory=dict)
    lost_workers: dict[int, int] = field(default_factory=dict)
    stop_ns: int | None = None
    done: bool = False


def read(path: Path) -> History:
    """The journal as facts; a last line that a crash cut short is left out."""
    history = History()
    if not path.exists():
        return history
    for line in path.read_bytes().splitlines():
        try:
            entry = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        match entry["event"]:
            case "start":
                history.steps[entry["step_id"]] = StepFacts(entry["start_ns"])
            case "end":
                history.steps[entry["step_id"]].end_ns = entry["end_ns"]
                history.steps[entry["step_id"]].offered = {int(w): n for w, n in entry["offered"].items()}
            case "drained":
                history.steps[entry["step_id"]].drained_ns = entry["drained_ns"]
            case "lost":
                history.lost_workers[entry["worker"]] = entry["t_ns"]
            case "stop":
                history.stop_ns = entry["t_ns"]
            case "done":
                history.done = True
    return history
