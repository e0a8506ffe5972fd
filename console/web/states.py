"""The life of a benchmark as a table: (state, what happened) → state. What is not in the table cannot happen."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"


class Event(StrEnum):
    START = "start"
    END = "end"
    FAIL = "fail"
    STOP = "stop"
    CUT = "cut"


NEXT: dict[tuple[State, Event], State] = {
    (State.QUEUED, Event.START): State.RUNNING,
    (State.QUEUED, Event.STOP): State.STOPPED,
    (State.QUEUED, Event.FAIL): State.FAILED,
    (State.RUNNING, Event.END): State.COMPLETED,
    (State.RUNNING, Event.FAIL): State.FAILED,
    (State.RUNNING, Event.STOP): State.STOPPED,
    (State.RUNNING, Event.CUT): State.INTERRUPTED,
}
"""STOP: a person asked for it. CUT: the service, or the machine under it, went away."""

OVER = frozenset(State) - {state for state, _ in NEXT}
