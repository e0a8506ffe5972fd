"""A closed loop's slots: when each may send its first request, how long it thinks, and when it must stop taking new ones.

Slot s of C belongs to worker s mod W; its k-th request is arrival n = s + C·k. C is the most slots that the step ever has.
Concurrency may move on a straight line from c₀ to c₁ over the step's duration. What is open is the line rounded, so that a
ramp from 1 to 2 has its second slot for the second half and a ramp's mean is the line's::

    slots    c₁ ┤        ╭──       growing: slot s opens when the line passes s + ½
                │     ╭──╯         shrinking: slot s closes when the line falls below s + ½
             c₀ ┤──╭──╯
                └────────────
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from generator.job import MANY, Step

_SPREAD_NS = 1_000_000_000
_SPREAD_A_SLOT_NS = 10_000_000


@dataclass(frozen=True, slots=True)
class Slot:
    """Offsets in ns from the step's start. ``first`` is its first arrival number, ``stride`` the distance to its next."""

    index: int
    open_ns: int
    close_ns: int
    first: int
    stride: int


def total(step: Step) -> int:
    """C: the most slots that the step ever has."""
    return max(step.concurrency or 1, step.concurrency_end or 0)


def spread_ns(step: Step) -> int:
    """The first requests are spread over this: min(1 s, 5 % of the step). A step that ends by number has no length to take
    5 % of: 10 ms a slot there, 1 s at most."""
    if step.duration_ns < MANY:
        return min(_SPREAD_NS, step.duration_ns // 20)
    return min(_SPREAD_NS, _SPREAD_A_SLOT_NS * (step.concurrency or 1))


def slots(step: Step, worker: int, workers: int) -> list[Slot]:
    """The worker's slots, by opening time. Pure."""
    c0 = step.concurrency or 1
    c1 = step.concurrency_end if step.concurrency_end is not None else c0
    count, spread = total(step), spread_ns(step)
    mine = []
    for s in range(worker, count, workers):
        opens = spread * s // c0 if s < c0 else step.duration_ns * (2 * (s - c0) + 1) // (2 * (c1 - c0))
        closes = step.duration_ns
        if s >= c1:
            closes = step.duration_ns * (2 * (c0 - s) - 1) // (2 * (c0 - c1))
        # Where a steep ramp down begins, a slot's turn to start comes after its time: it never sends.
        if opens < closes or step.duration_ns >= MANY:
            mine.append(Slot(s, opens, closes, s, count))
    return sorted(mine, key=lambda slot: slot.open_ns)


def think_ns(step: Step, arrival: int) -> int:
    """The think time that follows a slot's request: pure in the step's seed and the arrival's number, so that it is the same
    for any number of workers."""
    pause = step.think
    if pause.mean_s <= 0:
        return 0
    if pause.law == "fixed":
        return int(pause.mean_s * 1e9)
    u = random.Random(f"think {step.seed} {arrival}").random()
    return int(-math.log1p(-u) * pause.mean_s * 1e9)
