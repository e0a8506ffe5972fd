"""Turns of conversations that a dead worker took with it: each of its sessions had at most one turn that was due and has no row.

Which that is follows from what was recorded: the first turn by the schedule or the slot, a later one its think time after an answer
that was ok. What would have come after a lost turn was never due.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq

from generator.job import Step
from generator.recording.journal import StepFacts
from generator.run_dir import RunDir
from generator.schema import REQUESTS_A_STEP
from generator.slots import Slot, slots, think_ns, total
from generator.workload.sessions import TurnCounts

Ended = dict[int, tuple[int, bool]]
"""Request number within the step → (done_ns, ended ok) of what was recorded."""

Missing = tuple[int, int]
"""(request number within the step, scheduled_ns)."""


def missing_turns(
    run: RunDir, step: Step, facts: StepFacts, worker: int, workers: int, until_ns: int, at_most: int | None
) -> list[Missing]:
    """What was due before ``until_ns``; of a closed loop no more than the ``at_most`` requests that it had issued, None if not known."""
    sessions = _Sessions(run, step)
    if not step.closed:
        offsets = np.load(run.arrivals_path(step.step_id), mmap_mode="r")
        due = int(np.searchsorted(offsets, until_ns - facts.start_ns, side="left"))
        found = [sessions.open_turn(s, facts.start_ns + int(offsets[s]))[0] for s in range(worker, due, workers)]
    else:
        found = [sessions.open_turn_of(slot, facts.start_ns) for slot in slots(step, worker, workers)]
    missing = [turn for turn in found if turn is not None and turn[1] < until_ns]
    missing.sort(key=lambda turn: turn[1])
    return missing if at_most is None else missing[: max(0, at_most - sessions.recorded(worker, workers))]


class _Sessions:
    def __init__(self, run: RunDir, step: Step) -> None:
        assert step.turns is not None
        self._step = step
        self._most = step.turns
        self._counts = TurnCounts(step, run)
        self._ended = _ended(run, step.step_id)

    def open_turn(self, s: int, due_ns: int) -> tuple[Missing | None, int]:
        """The turn of session ``s`` that has no row; None, and when the session's last answer ended, where all have theirs."""
        n = s * self._most
        for turn in range(1, self._counts.turns(s) + 1):
            if n not in self._ended:
                return (n, due_ns), 0
            done_ns, ok = self._ended[n]
            if not ok or turn == self._counts.turns(s):
                break
            due_ns = done_ns + think_ns(replace(self._step, think=self._counts.pause(s)), n)
            n += 1
        return None, self._ended[n][0] + think_ns(self._step, n)

    def open_turn_of(self, slot: Slot, start_ns: int) -> Missing | None:
        """The same of a slot's sessions, one after another."""
        s, due_ns = slot.first, start_ns + slot.open_ns
        while s < self._step.requests and due_ns < start_ns + slot.close_ns:
            missing, free_ns = self.open_turn(s, due_ns)
            if missing is not None:
                return missing
            s, due_ns = s + slot.stride, free_ns
        return None

    def recorded(self, worker: int, workers: int) -> int:
        """Rows of a closed loop's worker: slot s is its own where s mod workers is its number."""
        mine = {slot.index for slot in slots(self._step, worker, workers)}
        return sum(n // self._most % total(self._step) in mine for n in self._ended)


def _ended(run: RunDir, step_id: int) -> Ended:
    base = step_id * REQUESTS_A_STEP
    return {
        request_id - base: (done_ns or 0, outcome == "ok")
        for request_id, done_ns, outcome in _rows(run)
        if base <= request_id < base + REQUESTS_A_STEP
    }


def _rows(run: RunDir) -> Iterator[tuple[int, int | None, str]]:
    for path in sorted(run.segments.glob("requests-*.parquet")):
        table = pq.read_table(path, columns=["request_id", "done_ns", "outcome"])
        yield from zip(*(column.to_pylist() for column in table.columns), strict=True)
