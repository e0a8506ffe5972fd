"""A thread that keeps the catalogue in step with the runs folder.

It looks every few seconds: finds runs that the command line made, reads those anew that were sealed since, and drops those whose folder is
gone. Besides it works out the figures of those that have none yet, one at a time, in a box, and only while no benchmark of the service runs:
a judgement takes a second of a processor.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from console.web import importing
from console.web.box import Answer, BusyError, ExceededError
from console.web.catalogue.store import Point, Store
from console.web.catalogue.tables import BenchmarkRow
from console.web.states import State
from generator.errors import OpenloopError
from generator.run_dir import RunDir

_LOOK_S = 5.0

_AGAIN_S = (60.0, 600.0)
"""Before figures that took too much time or memory are asked for again: the machine may have been busy. Then they are given up."""

log = logging.getLogger(__name__)


class Librarian:
    """``judge`` asks a box for the figures of a run folder; ``idle`` tells whether there is time for it."""

    def __init__(self, runs_dir: Path, store: Store, judge: Callable[[Path], Answer], idle: Callable[[], bool]) -> None:
        self._runs_dir = runs_dir
        self._store = store
        self._judge = judge
        self._idle = idle
        self._odd: set[str] = set()
        """Folders that could not be read as runs: each is told once."""
        self._read: dict[str, int] = {}
        """Of interrupted runs: when the manifest that was read last had been written."""
        self._tried: dict[str, tuple[int, float]] = {}
        """Whose figures took too much: how often, and the monotonic second from which on they are tried again."""
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._work, name="librarian", daemon=True)

    def start(self) -> None:
        """The first look is taken before this returns, so that the first page has them all."""
        try:
            self.look()
        except Exception:
            log.exception("the librarian's first look failed; it looks again")
        self._thread.start()

    def close(self) -> None:
        self._left.set()

    def look(self) -> None:
        there, known = importing.names(self._runs_dir), self._store.origins()
        for name in sorted(there - known.keys()):
            self._kept(name, self._list)
        for name, origin in known.items():
            if origin == "cli" and name not in there:
                self._store.drop(name)
        for row in self._store.in_state(State.INTERRUPTED):
            if row.origin == "cli" and row.id in there:
                self._kept(row.id, partial(self._look_again, row))

    def _kept(self, name: str, what: Callable[[RunDir], None]) -> None:
        """Anything may lie in that folder, and none of it keeps the others from being listed."""
        try:
            what(RunDir(self._runs_dir / name))
        except Exception:
            if name not in self._odd:
                log.exception("%s: cannot be read as a run", name)
            self._odd.add(name)

    def _list(self, run: RunDir) -> None:
        row = importing.found(run)
        if row is not None:
            self._store.add(row)

    def _look_again(self, row: BenchmarkRow, run: RunDir) -> None:
        """Sealed since it was listed: it has its verdict now, and may turn out to have come to its end."""
        written_ns = run.manifest_path.stat().st_mtime_ns
        if self._read.get(row.id) == written_ns:
            return
        found = importing.found(run)
        if found is None:
            return
        first = row.id not in self._read
        self._read[row.id] = written_ns
        judged = found.verdict is not None and (found.verdict, found.reasons) != (row.verdict, row.reasons)
        if judged or found.state != row.state or not first:
            known = {name: getattr(found, name) for name in importing.READ}
            self._store.set(row.id, **known, error=None, figured=False)

    def _work(self) -> None:
        wait_s = 0.0
        while not self._left.wait(wait_s):
            wait_s = _LOOK_S
            try:
                self.look()
                if self._idle() and (waiting := self._waiting()) is not None:
                    self._figure(waiting)
                    wait_s = 0.1
            except Exception:
                # A database that is away for a moment must not end this thread.
                log.exception("the librarian stumbled")

    def _waiting(self) -> str | None:
        """The newest whose figures are wanted, but for those that are to wait."""
        now_s = time.monotonic()
        asleep = {name for name, (_, due_s) in self._tried.items() if due_s > now_s}
        return next((name for name in self._store.not_figured(1 + len(asleep)) if name not in asleep), None)

    def _figure(self, benchmark_id: str) -> None:
        try:
            found = self._judge(self._runs_dir / benchmark_id).head
        except BusyError:
            return  # a later look finds a place
        except OpenloopError as e:
            if not (isinstance(e, ExceededError) and self._again(benchmark_id)):
                self._give_up(benchmark_id, str(e).splitlines()[0][:1000])
            return
        self._tried.pop(benchmark_id, None)
        self._store.set(benchmark_id, verdict=found["verdict"], reasons=found["reasons"])
        self._store.set_figures(benchmark_id, found["figures"], [Point(**point) for point in found["points"]])

    def _again(self, benchmark_id: str) -> bool:
        """Whether it is to be tried once more, later."""
        times, _ = self._tried.pop(benchmark_id, (0, 0.0))
        if times == len(_AGAIN_S):
            return False
        self._tried[benchmark_id] = (times + 1, time.monotonic() + _AGAIN_S[times])
        return True

    def _give_up(self, benchmark_id: str, why: str) -> None:
        """Why a run failed says more than why its figures are not to be had."""
        row = self._store.get(benchmark_id, short=True)
        known = row[0].error if row else None
        self._store.set(benchmark_id, figured=True, error=known or why)
