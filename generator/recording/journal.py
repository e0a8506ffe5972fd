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
    """Append only. On a full disk the run goes on: the file's buffer keeps what could not be written and tries it again with the
    next line, so that lines are never out of order."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")

    def write(self, event: str, **facts: Any) -> None:
        self._file.write(orjson.dumps({"event": event, **facts}) + b"\n")
        with contextlib.suppress(OSError):
            self._file.flush()

    def close(self) -> None:
        with contextlib.suppress(OSError):  # the disk is still full: sealing will say so
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
            case "end" | "drained" if entry["step_id"] not in history.steps:
                continue  # its start is on no line: nothing can be said of the step
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
