"""Where a search goes next, from what it has run so far, and nothing else: no clock, no file, no state of its own.

    ladder ──► guess ──► bisection ──► confirmation ──► found
                  │          ▲               │ not accepted
                  └──────────┴───────────────┘

A load that was accepted is the floor, the lowest that was not is the bar; between the two the search halves until they are closer than the
precision. The floor is then run once more with other arrivals, because the best of several accepted loads is the one that was lucky; where
that fails it becomes the bar. A search that is killed and resumed asks the same function with the same runs and goes the same way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from analysis.searching import ladder
from analysis.searching.decide import SHARES, Evidence, least_requests, weigh
from analysis.searching.part import Done, Goal, Limits, Order, seed_of

End = Literal["found", "none", "all", "requests", "time", "money", "invalid", "nothing"]

PLENTY = 2
"""The first part of a probe holds this many times the requests that would prove the target without a miss."""

STEP_DOWN = 1.5
STEP_UP = 1.25
DEEPEST = 64
"""A search without a lower bound gives up this many times below its first guess."""

WARMUP_SHARE = 0.2
WARMUP_MOST_S = 30.0
SIGNIFICANT = 4


@dataclass(frozen=True, slots=True)
class Trial:
    """All runs of one probe or confirmation."""

    number: int
    kind: str
    load: float
    runs: tuple[Done, ...]
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Ending:
    """``found``: confirmed. ``none``: not even the lowest load. ``all``: even the highest. ``requests``, ``time``, ``money``: a limit came
    first. ``invalid``: our own generator could not. ``nothing``: nothing was answered.
    """

    end: End


def trials(goal: Goal, history: Sequence[Done]) -> list[Trial]:
    """Probes and confirmations in their order, INVALID runs left out: what our own generator did says nothing of the target."""
    runs: dict[int, list[Done]] = {}
    for done in history:
        if done.counts and done.kind != "ladder":
            runs.setdefault(done.trial, []).append(done)
    return [
        Trial(n, of[0].kind, of[0].load, tuple(of), weigh([d.sample for d in of], goal.target, goal.confidence))
        for n, of in runs.items()
    ]


def rungs(history: Sequence[Done]) -> list[Done]:
    return [d for d in history if d.counts and d.kind == "ladder"]


def floor_and_bar(found: Sequence[Trial]) -> tuple[float | None, float | None]:
    """(the largest load that was accepted below the bar, the lowest load that was not accepted). The last word on a load counts: a
    confirmation comes after the probe that it confirms.
    """
    last = {t.load: t.evidence.verdict for t in found if t.evidence.verdict is not None}
    bar = min((load for load, verdict in last.items() if verdict != "accepted"), default=None)
    accepted = [load for load, verdict in last.items() if verdict == "accepted" and (bar is None or load < bar)]
    return max(accepted, default=None), bar


def next_move(goal: Goal, limits: Limits, history: Sequence[Done], forgiven: int = 0) -> Order | Ending:
    """The next run, or how the search ends. ``forgiven``: so many runs at the front of the history, INVALID ones too, count for no limit
    on repetitions, because somebody has resumed the search since.
    """
    if _invalid_tail(history[forgiven:]) > limits.retries:
        return Ending("invalid")
    order = _wanted(goal, history)
    if isinstance(order, Ending):
        return order
    return _limit(order, limits, history) or order


def _wanted(goal: Goal, history: Sequence[Done]) -> Order | Ending:
    if goal.axis == "rate" and (goal.low is None or goal.high is None):
        climbed = rungs(history)
        slots = ladder.next_slots(climbed)
        if slots is not None:
            n = ladder.requests(slots)
            return Order("ladder", slots, 0, 0, seed_of(goal, len(history)), requests=n, expected=n)
        if ladder.capacity(climbed, goal.target) is None:
            return Ending("nothing")
    found = trials(goal, history)
    if found and found[-1].evidence.verdict is None:
        last = found[-1]
        return _order(goal, history, last.kind, last.load, last.number, len(last.runs))
    floor, bar = floor_and_bar(found)
    load = _next_load(goal, history, floor, bar)
    if isinstance(load, Ending):
        return load
    number = found[-1].number + 1 if found else 0
    if load is not None:
        return _order(goal, history, "probe", load, number, 0)
    assert floor is not None
    if any(t.kind == "confirm" and t.load == floor and t.evidence.verdict == "accepted" for t in found):
        return Ending("all" if bar is None else "found")
    return _order(goal, history, "confirm", floor, number, 0)


def _next_load(goal: Goal, history: Sequence[Done], floor: float | None, bar: float | None) -> float | Ending | None:
    """None: the floor is what there is to be had, and wants confirmation."""
    guess, ceiling = _expected(goal, history)
    if floor is None and bar is None:
        return guess
    if floor is None:
        assert bar is not None
        return _down(goal, bar, guess)
    if bar is None:
        if goal.high is not None and floor >= goal.high:
            return None
        if ceiling is not None and not _near(goal, floor, ceiling):
            return _between(goal, floor, ceiling)
        if ceiling is not None and floor < ceiling:
            return ceiling
        up = _rounded(goal, max(floor * (2.0 if goal.axis == "concurrency" else STEP_UP), floor + _unit(goal)))
        return up if goal.high is None else min(up, goal.high)
    return None if _near(goal, floor, bar) else _between(goal, floor, bar)


def _expected(goal: Goal, history: Sequence[Done]) -> tuple[float, float | None]:
    """(first guess, load that the answer is expected to be below, None where nothing is known of it)."""
    if goal.axis == "concurrency":
        return goal.low or 1.0, goal.high
    room = ladder.capacity(rungs(history), goal.target)
    if room is None:
        assert goal.low is not None
        assert goal.high is not None
        return _rounded(goal, math.sqrt(goal.low * goal.high)), goal.high
    guess = 0.9 * room.rps if room.good_rps is None else min(0.9 * room.rps, room.good_rps)
    ceiling = room.rps if goal.high is None else min(goal.high, room.rps)
    guess = min(max(guess, goal.low or 0.0), ceiling)
    return _rounded(goal, guess), _rounded(goal, ceiling) if goal.high is None else ceiling


def _down(goal: Goal, bar: float, guess: float) -> float | Ending:
    """Below a bar with nothing accepted yet: down in steps, to the lower bound at last."""
    lowest = goal.low if goal.low is not None else (1.0 if goal.axis == "concurrency" else guess / DEEPEST)
    if bar <= lowest or (goal.axis == "concurrency" and bar <= 1):
        return Ending("none")
    below = bar / STEP_DOWN if goal.axis == "rate" else math.floor(bar / STEP_DOWN)
    return max(lowest, _rounded(goal, below))


def _between(goal: Goal, low: float, high: float) -> float:
    """The geometric middle, strictly inside."""
    middle = _rounded(goal, math.sqrt(low * high))
    return middle if low < middle < high else low + (high - low) / 2


def _near(goal: Goal, low: float, high: float) -> bool:
    """No finer halving is wanted, or possible."""
    return high - low <= max(_unit(goal), goal.precision * low * (1 + 1e-9))


def _unit(goal: Goal) -> float:
    return 1.0 if goal.axis == "concurrency" else 0.0


def _rounded(goal: Goal, load: float) -> float:
    """Slots are whole; rates have four digits, which a person can read and type."""
    return float(max(1, round(load))) if goal.axis == "concurrency" else float(f"{load:.{SIGNIFICANT}g}")


def _order(goal: Goal, history: Sequence[Done], kind: object, load: float, trial: int, part: int) -> Order:
    assert kind in ("probe", "confirm")
    rate = load if goal.axis == "rate" else _throughput(history, load)
    window_s = goal.probe_s * SHARES[part]
    if rate:
        # A look that could not accept however well the target does would be a waste of time.
        window_s = max(
            window_s, PLENTY * least_requests(goal.target, goal.confidence) / rate * SHARES[part] / SHARES[0]
        )
    warmup_s = min(WARMUP_SHARE * window_s, WARMUP_MOST_S) if goal.warmup_s is None else goal.warmup_s
    expected = None if not rate else math.ceil(rate * (window_s + warmup_s))
    return Order(
        "confirm" if kind == "confirm" else "probe",
        load,
        trial,
        part,
        seed_of(goal, len(history)),
        window_s,
        warmup_s,
        expected=expected,
    )


def _throughput(history: Sequence[Done], slots: float) -> float | None:
    """Requests a second of the run with the nearest number of slots."""
    known = [d for d in history if d.counts and d.x_rps]
    return min(known, key=lambda d: abs(d.load - slots)).x_rps if known else None


def _invalid_tail(history: Sequence[Done]) -> int:
    count = 0
    for done in reversed(history):
        if done.counts:
            break
        count += 1
    return count


def _limit(order: Order, limits: Limits, history: Sequence[Done]) -> Ending | None:
    """Whether the next run would cross a limit. A run that would is not begun: half of it decides nothing."""
    if limits.requests is not None and sum(d.sent for d in history) + (order.expected or 0) > limits.requests:
        return Ending("requests")
    beside = [d.elapsed_s - d.planned_s for d in history if d.planned_s]
    lasts_s = order.warmup_s + (order.window_s or 0.0) + (sum(beside) / len(beside) if beside else 0.0)
    if limits.time_s is not None and sum(d.elapsed_s for d in history) + lasts_s > limits.time_s:
        return Ending("time")
    if limits.usd is not None:
        spent = sum(d.usd or 0.0 for d in history)
        each = spent / max(1, sum(d.sent for d in history))
        if spent + each * (order.expected or 0) > limits.usd:
            return Ending("money")
    return None
