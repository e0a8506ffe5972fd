"""The queue: which benchmark runs next, and what became of those that ran. One thread; the database is its memory.

So many at a time of one target, so many in all. What is queued is in the database, what runs is a process of its own: a service that is
killed and started again finds both, seals what was cut off, says so, and goes on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from console import exits
from console.web import admission, runs
from console.web.catalogue.store import Point, Store
from console.web.catalogue.tables import BenchmarkRow, storable
from console.web.runs import Child
from console.web.settings import Settings
from console.web.states import Event, State
from generator.run_dir import RunDir

_LOOK_S = 0.25
_LEAVE_S = 20.0
_OVERTIME_S = 300.0
"""What a run may take beyond the longest that is allowed, for draining and sealing."""

_OVER = (exits.GOOD, exits.INVALID, exits.THRESHOLD)
"""Exit codes of a run that came to its end."""

log = logging.getLogger(__name__)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Queue:
    """``over`` is called with the id of each benchmark that reached its end, from the queue's thread."""

    def __init__(self, settings: Settings, store: Store, over: Callable[[str], None]) -> None:
        self._settings = settings
        self._rules = admission.of_settings(settings)
        self._store = store
        self._over = over
        self._children: dict[str, Child] = {}
        self._sealing: dict[str, Child] = {}
        self._lanes: dict[str, list[str]] = {}
        self._deadline_s: dict[str, float] = {}
        self._cut: set[str] = set()
        """Those that were not let come to their end by themselves."""
        self._starting = threading.Lock()
        """Held while a benchmark is running and has no process yet: who would stop it waits until there is one to stop."""
        self._wake = threading.Event()
        self._stumbled = False
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="queue", daemon=True)

    def start(self) -> None:
        """Take up what an earlier service left, then begin."""
        self._take_up()
        self._thread.start()

    def _take_up(self) -> None:
        """What runs as far as the database knows, and has no process here: it has one of an earlier service, one that ended meanwhile, or none."""
        for row in self._store.in_state(State.RUNNING):
            if row.id not in self._children and row.id not in self._sealing:
                # Its input closed with that service, so it drains and seals by itself; told again, it would cut what is in flight.
                self._children[row.id] = Child(row.id, row.pid or 0, row.pid_created_s or 0.0)
                self._cut.add(row.id)
                self._lanes[row.id] = row.lanes
                self._deadline_s[row.id] = time.monotonic() + _OVERTIME_S

    def close(self) -> None:
        """Let all that runs drain and seal; what is not done soon, the next service finds."""
        self._closing = True
        self._wake.set()
        self._thread.join()
        for benchmark_id, child in self._children.items():
            self._cut.add(benchmark_id)
            child.leave()
        end_s = time.monotonic() + _LEAVE_S
        while (self._children or self._sealing) and time.monotonic() < end_s:
            self._reap()
            time.sleep(_LOOK_S)

    def look(self) -> None:
        """Something was added, or is to be stopped."""
        self._wake.set()

    def running(self) -> list[str]:
        return [*self._children, *self._sealing]

    def _work(self) -> None:
        while not self._closing:
            try:
                if self._stumbled:
                    self._take_up()
                    self._stumbled = False
                self._reap()
                self._stop()
                self._begin()
            except Exception:
                # The queue must outlive a database that is away for a moment.
                log.exception("the queue stumbled")
                self._stumbled = True
                time.sleep(1)
            self._wake.wait(_LOOK_S)
            self._wake.clear()

    # -- begin ----------------------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        free = self._settings.at_once - len(self._children) - len(self._sealing)
        busy = Counter(lane for lanes in self._lanes.values() for lane in lanes)
        waiting = self._store.in_state(State.QUEUED) if free > 0 else ()
        for row in waiting:
            if free <= 0:
                return
            if any(busy[lane] >= self._settings.per_target for lane in row.lanes):
                # Those behind it that want the same target wait, too: first come, first served.
                busy.update(dict.fromkeys(row.lanes, self._settings.per_target))
                continue
            if self._launch(row):
                busy.update(row.lanes)
                free -= 1

    def _launch(self, row: BenchmarkRow) -> bool:
        if (why := admission.kept_back(row.env_names, self._rules)) is not None:
            # Its process must not be handed that key, and without it could not say so well.
            self._end(row.id, Event.FAIL, error=f"{admission.NO_LONGER}: {why}", figured=True)
            return False
        folder = self.folder(row.id)
        rules = admission.told(self._rules, self._settings.prompts_dir)
        with self._starting:
            if not self._store.move(row.id, Event.START, started_ms=now_ms()):
                return False
            try:
                child = runs.run(folder, self._settings.runs_dir, row.id, row.env_names, rules)
            except Exception as e:
                # Whatever it was: what is running and has no process, nobody could stop or delete.
                log.exception("%s: its process could not be started", row.id)
                why = e.strerror if isinstance(e, OSError) else type(e).__name__
                self._end(row.id, Event.FAIL, error=f"its process could not be started: {why}", figured=True)
                return False
            self._children[row.id] = child
        self._lanes[row.id] = row.lanes
        self._deadline_s[row.id] = time.monotonic() + self._settings.limits.duration_s + _OVERTIME_S
        self._store.set(row.id, pid=child.pid, pid_created_s=child.created_s)
        return True

    # -- stop -----------------------------------------------------------------------------------------------------------------

    def _stop(self) -> None:
        for benchmark_id, child in self._children.items():
            if time.monotonic() > self._deadline_s[benchmark_id]:
                log.warning("%s: longer than a run may take; it is cut", benchmark_id)
                child.kill()

    def stop(self, benchmark_id: str) -> bool:
        """Whether there was something to stop. What was sent is drained, judged and kept; asked again, what is in flight is cut."""
        if self.withdraw(benchmark_id):
            return True
        with self._starting:
            child = self._children.get(benchmark_id)
        if child is None:
            return benchmark_id in self._sealing
        self._store.set(benchmark_id, stop_asked=True)
        child.interrupt()
        return True

    def withdraw(self, benchmark_id: str) -> bool:
        """Out of the queue; False where it is not in it (any more)."""
        if not self._store.move(benchmark_id, Event.STOP, only=State.QUEUED, ended_ms=now_ms(), figured=True):
            return False
        self._over(benchmark_id)
        return True

    # -- end ------------------------------------------------------------------------------------------------------------------

    def _reap(self) -> None:
        for children, over in ((self._children, self._ended), (self._sealing, self._sealed)):
            for benchmark_id, child in list(children.items()):
                if child.alive():
                    continue
                try:
                    over(benchmark_id)
                except Exception:
                    # Where the database is away, a later look tells it again; the others do not wait for this one.
                    log.exception("%s: its end could not be kept", benchmark_id)
                    time.sleep(1)
                else:
                    del children[benchmark_id]

    def _ended(self, benchmark_id: str) -> None:
        said = runs.ended(self.folder(benchmark_id))
        if said is None or "code" not in said:
            # Without a code it is of a process that sealed it for a service that did not live to see that.
            self._seal(benchmark_id)
            return
        self._keep(benchmark_id, said)
        code, interrupted = said["code"], said.get("interrupted")
        if interrupted and self._asked(benchmark_id):
            event = Event.STOP
        elif interrupted and benchmark_id in self._cut:
            event = Event.CUT
        elif code in _OVER and not said.get("error"):
            event = Event.END
        else:
            event = Event.FAIL
        error = said.get("error") or _WHY.get(event, _CODES.get(code))
        # Where a run was recorded, its figures may be had though its own process did not tell them.
        figured = "figures" in said or not self._recorded(benchmark_id)
        self._end(benchmark_id, event, error=error, exit_code=code, figured=figured)

    def _asked(self, benchmark_id: str) -> bool:
        found = self._store.get(benchmark_id, short=True)
        return found is not None and found[0].stop_asked

    def _recorded(self, benchmark_id: str) -> bool:
        return RunDir(self._settings.runs_dir / benchmark_id).manifest_path.exists()

    def _seal(self, benchmark_id: str) -> None:
        """What is left of a run whose process died: sealed by another, or nothing, where it never began to record."""
        if self._recorded(benchmark_id):
            folder = self.folder(benchmark_id)
            folder.mkdir(parents=True, exist_ok=True)
            self._sealing[benchmark_id] = runs.seal(folder, self._settings.runs_dir, benchmark_id)
        else:
            event = Event.STOP if self._asked(benchmark_id) else Event.CUT
            words = self._last_words(benchmark_id) if event is Event.CUT else ""
            error = f"{_NOTHING}{words}"
            self._end(benchmark_id, event, error=error, figured=True)

    def _sealed(self, benchmark_id: str) -> None:
        said = runs.ended(self.folder(benchmark_id)) or {"error": "what was recorded could not be sealed"}
        self._keep(benchmark_id, said)
        error = said.get("error") or f"{_WHY[Event.CUT]}{self._last_words(benchmark_id)}"
        self._end(benchmark_id, Event.STOP if self._asked(benchmark_id) else Event.CUT, error=error)

    def _last_words(self, benchmark_id: str) -> str:
        found = self._store.get(benchmark_id, short=True)
        words = runs.last_words(self.folder(benchmark_id), found[0].env_names if found else ())
        return f": {words}" if words else ""

    def _keep(self, benchmark_id: str, said: dict[str, Any]) -> None:
        if "figures" in said:
            points = [Point(**point) for point in said["points"]]
            self._store.set(benchmark_id, verdict=said["verdict"], reasons=said["reasons"])
            self._store.set_figures(benchmark_id, said["figures"], points)

    def _end(self, benchmark_id: str, event: Event, **values: Any) -> None:
        if values.get("error") is not None:
            values["error"] = storable(values["error"])
        self._store.move(benchmark_id, event, ended_ms=now_ms(), pid=None, **values)
        self._over(benchmark_id)
        self._cut.discard(benchmark_id)
        self._lanes.pop(benchmark_id, None)
        self._deadline_s.pop(benchmark_id, None)

    def folder(self, benchmark_id: str) -> Path:
        return self._settings.own_dir / "benchmarks" / benchmark_id


_NOTHING = "ended before anything was recorded"
_WHY = {
    Event.CUT: "cut off before its end; what was recorded by then was sealed",
    Event.STOP: None,
}
_CODES = {
    exits.NO_SUCCESS: "no request succeeded",
    exits.INTERRUPTED: "its process was told to stop, not by this service",
}
