"""Work that may be wrong, long or hostile, in a process of its own: planning, reports, SQL.

The server hands over one job and reads one answer. What the process may use is bounded three times: by itself (memory, processor time,
files: ``boxed.py``), by the clock here, and by what is read of its answer. It gets an environment with nothing in it but what Python and
the job need, and runs at a low priority, so that a measurement that is under way goes first.
"""

from __future__ import annotations

import logging
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import psutil

from generator.errors import MachineError, OpenloopError, QueryError, RunFolderError, ScenarioError

PACKAGES = str(Path(__file__).resolve().parents[2])
_KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
_PATIENCE_S = 30.0
_LOOK_S = 0.05
"""Between two looks at a box's memory. What its limit of addresses lets it take in between, the machine has to have."""

_WAITING = 5
"""Times ``most``: more than so many that wait would take all threads of the service, and with them every other answer."""

log = logging.getLogger(__name__)

KINDS: dict[str, type[OpenloopError]] = {
    kind.__name__: kind for kind in (ScenarioError, MachineError, QueryError, RunFolderError)
}


class BusyError(OpenloopError):
    """As many are at work as may be; later it goes through."""


_BUSY = "the service is busy with other reports and queries; ask again in a moment"


class ExceededError(QueryError):
    """The time, the memory or the length of the answer that a job may take was used up."""


@dataclass(frozen=True, slots=True)
class Answer:
    """``head``: facts about the answer; ``body``: its bytes."""

    head: dict[str, Any]
    body: bytes


def environment(names: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a process of ours: what Python needs, and ``names``. No key of the server's is in it."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    path = os.pathsep.join(filter(None, [PACKAGES, os.environ.get("PYTHONPATH")]))
    return kept | {"PYTHONPATH": path} | dict(names or {})


class Boxes:
    """At most ``most`` at a time; some others wait for their turn, but not for ever."""

    def __init__(self, most: int) -> None:
        self._turns = threading.BoundedSemaphore(most)
        self._places = threading.BoundedSemaphore(most * (1 + _WAITING))

    def ask(
        self,
        job: Mapping[str, Any],
        *,
        limit_s: float,
        memory_bytes: int,
        maps_bytes: int | None,
        answer_bytes: int,
        env: Mapping[str, str] | None = None,
    ) -> Answer:
        """``memory_bytes``: what its process may hold in memory, which is looked at now and then. ``maps_bytes``: what it may reserve beyond
        what the program itself does, which nothing exceeds for a moment; None for what needs the charts' engine.

        Raises what the job raised, ExceededError for a limit, BusyError when no turn came.
        """
        if not self._places.acquire(blocking=False):
            raise BusyError(_BUSY)
        try:
            return self._in_turn(job, limit_s, memory_bytes, maps_bytes, answer_bytes, env)
        finally:
            self._places.release()

    def _in_turn(
        self,
        job: Mapping[str, Any],
        limit_s: float,
        memory_bytes: int,
        maps_bytes: int | None,
        answer_bytes: int,
        env: Mapping[str, str] | None,
    ) -> Answer:
        if not self._turns.acquire(timeout=_PATIENCE_S):
            raise BusyError(_BUSY)
        try:
            told = {
                "job": dict(job),
                "cpu_s": int(limit_s) + 1,
                "maps_bytes": maps_bytes,
                "answer_bytes": answer_bytes,
            }
            return _run(orjson.dumps(told), limit_s, memory_bytes, answer_bytes, environment(env))
        finally:
            self._turns.release()


def _run(told: bytes, limit_s: float, memory_bytes: int, answer_bytes: int, env: dict[str, str]) -> Answer:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "console.web.boxed"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=env | {"MALLOC_ARENA_MAX": "2"},  # each arena more reserves 64 MB of the addresses that are counted
        cwd="/",
        start_new_session=True,
    )
    try:
        assert process.stdin is not None
        process.stdin.write(told)
        process.stdin.close()
        out = _read(process, limit_s, memory_bytes, answer_bytes + 1_000_000)
    except BrokenPipeError:
        out = b""
    finally:
        process.kill()
        process.wait()
    if not out:
        raise ExceededError("it took more memory or processor time than an answer may take, and was ended")
    first, _, body = out.partition(b"\n")
    head: dict[str, Any] = orjson.loads(first)
    if "error" in head:
        if "trace" in head:
            log.error("a fault of ours, inside a box:\n%s", head["trace"])
        raise KINDS.get(head["kind"], FaultError)(head["error"])
    return Answer(head, body)


class FaultError(OpenloopError):
    """A fault of ours, inside a box."""

    exit_code = 1


def _read(process: subprocess.Popen[bytes], limit_s: float, memory_bytes: int, most_bytes: int) -> bytes:
    """What it writes until it ends. Raises ExceededError."""
    assert process.stdout is not None
    end_s = time.monotonic() + limit_s
    parts: list[bytes] = []
    size = 0
    with selectors.DefaultSelector() as waiting:
        waiting.register(process.stdout, selectors.EVENT_READ)
        while True:
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                raise ExceededError(f"no answer within {limit_s:g} s; it was ended")
            if _resident_bytes(process.pid) > memory_bytes:
                raise ExceededError(
                    f"it took more memory than such an answer may take here ({memory_bytes / 1e6:,.0f} MB), and was ended; "
                    "`openloop report` and `openloop sql` have no such limit"
                )
            if not waiting.select(min(left_s, _LOOK_S)):
                continue
            part = os.read(process.stdout.fileno(), 1 << 20)
            if not part:
                return b"".join(parts)
            parts.append(part)
            size += len(part)
            if size > most_bytes:
                raise ExceededError(f"the answer is longer than {most_bytes:,} bytes; ask for less")


def _resident_bytes(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:  # it has ended
        return 0
