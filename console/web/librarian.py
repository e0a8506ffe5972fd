"""A thread that keeps the catalogue in step with the runs folder, when nothing more important goes on.

It finds runs that the command line made, drops those whose folder is gone, and works out the figures of those that have none yet, one at a
time, in a box, and only while no benchmark of the service runs: a judgement takes a second of a processor.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from console.web import importing
from console.web.box import Answer, BusyError
from console.web.catalogue.store import Point, Store
from generator.errors import OpenloopError

_LOOK_S = 5.0

log = logging.getLogger(__name__)


class Librarian:
    """``judge`` asks a box for the figures of a run folder; ``idle`` tells whether there is time for it."""

    def __init__(self, runs_dir: Path, store: Store, judge: Callable[[Path], Answer], idle: Callable[[], bool]) -> None:
        self._runs_dir = runs_dir
        self._store = store
        self._judge = judge
        self._idle = idle
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._work, name="librarian", daemon=True)

    def start(self) -> None:
        """The first look is taken before this returns, so that the first page has them all."""
        self.look()
        self._thread.start()

    def close(self) -> None:
        self._left.set()

    def look(self) -> None:
        there, known = importing.names(self._runs_dir), self._store.origins()
        for row in importing.found(self._runs_dir, there - known.keys()):
            self._store.add(row)
        for name, origin in known.items():
            if origin == "cli" and name not in there:
                self._store.drop(name)

    def _work(self) -> None:
        wait_s = 0.0
        while not self._left.wait(wait_s):
            wait_s = _LOOK_S
            try:
                self.look()
                if self._idle() and (waiting := self._store.not_figured(1)):
                    self._figure(waiting[0])
                    wait_s = 0.1
            except Exception:
                # A database that is away for a moment must not end this thread.
                log.exception("the librarian stumbled")

    def _figure(self, benchmark_id: str) -> None:
        try:
            found = self._judge(self._runs_dir / benchmark_id).head
        except BusyError:
            return  # a later look finds a place
        except OpenloopError as e:
            self._store.set(benchmark_id, figured=True, error=str(e).splitlines()[0][:1000])
            return
        self._store.set(benchmark_id, verdict=found["verdict"], reasons=found["reasons"])
        self._store.set_figures(benchmark_id, found["figures"], [Point(**point) for point in found["points"]])
