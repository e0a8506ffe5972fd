"""A closed-loop ladder: how much the target can do at all, before an open loop is let loose on it.

4 slots, 8, 16, … each rung for some rounds of answers. Throughput, of what ended ok, rises until the target has no more to give; the first rung
that adds less than a twentieth is the last, and so is one that misses the SLO for most of its requests. The highest throughput seen is the estimate of the
capacity: a closed loop cannot overload a target, so the estimate is safe to have, and an open loop at that rate would have a queue without end.
What was refused or failed is no throughput: a refusal may take a hundredth of an answer's time, and ends a hundred times as often.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.searching.part import Done

FIRST_SLOTS = 4
MOST_SLOTS = 4096
ROUNDS = 16
LEAST_REQUESTS = 60
LEAST_GAIN = 0.05
SATISFIED = 0.5
LITTLE_TOLERANCE = 0.1


@dataclass(frozen=True, slots=True)
class Capacity:
    """``rps``: the highest throughput of any rung; ``good_rps``: of the rungs whose share of good requests was the target or more, None
    where none was.
    """

    rps: float
    good_rps: float | None


def next_slots(rungs: Sequence[Done]) -> int | None:
    """Slots of the next rung; None once the ladder is high enough."""
    if not rungs:
        return FIRST_SLOTS
    last = rungs[-1]
    attainment = last.sample.attainment
    if last.load >= MOST_SLOTS or last.ok_rps is None or (attainment is not None and attainment < SATISFIED):
        return None
    if len(rungs) > 1 and last.ok_rps < (1 + LEAST_GAIN) * max(r.ok_rps or 0.0 for r in rungs[:-1]):
        return None
    return int(last.load) * 2


def requests(slots: int) -> int:
    """How many requests a rung sends: enough rounds that its first and last, in which not all slots are busy, matter little."""
    return max(LEAST_REQUESTS, ROUNDS * slots)


def capacity(rungs: Sequence[Done], target: float) -> Capacity | None:
    """None where no rung had a throughput: nothing that was answered went well."""
    known = [r for r in rungs if r.ok_rps]
    if not known:
        return None
    good = [r.ok_rps for r in known if r.ok_rps and (r.sample.attainment or 0.0) >= target]
    return Capacity(max(r.ok_rps for r in known if r.ok_rps), max(good, default=None))


def little(rung: Done) -> float | None:
    """N / (X · R), which is 1 in a steady state (Little 1961): slots, completions a second, mean time in flight, each measured for itself and
    over all that ended: what is refused took a slot, too.
    """
    if not rung.x_rps or not rung.latency_s or not rung.in_flight:
        return None
    return rung.in_flight / (rung.x_rps * rung.latency_s)


def doubtful(rungs: Sequence[Done]) -> list[Done]:
    """Rungs where that is off by more than a tenth: they were too short to be steady, or something else holds requests."""
    return [r for r in rungs if (ratio := little(r)) is not None and abs(ratio - 1) > LITTLE_TOLERANCE]
