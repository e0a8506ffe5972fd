"""Whether a staircase of rates can show the limit that is looked for: warnings, where steps are too short, too close or too few.

A limit of size B that gets back r a second refuses nothing before (λ − r)·T > B, λ being a step's rate and T its length; a pause
shorter than B/r leaves it partly spent for the next step.
"""

from __future__ import annotations

from collections.abc import Sequence

from generator.job import MANY, Step
from generator.scenario.limit import ExpectedLimitForm

CLEAN_REQUESTS = 381
"""The fewest of which none refused prove that less than 1 % are: the upper end of Wilson's 95 % interval, 3.84 / (n + 3.84)."""


def warnings(expected: ExpectedLimitForm | None, steps: Sequence[Step]) -> list[str]:
    """None without an expected limit, and none of closed, ramped or replayed steps, whose load is not one rate."""
    if expected is None:
        return []
    stairs = [s for s in steps if not s.closed and s.rate_rps is not None and s.rate_end_rps is None]
    found = []
    drain_s = expected.size / expected.rate
    close = [s for s in steps[:-1] if s.pause_ns / 1e9 < drain_s]
    if close:
        found.append(
            f"the pause after {_names(close)} is shorter than size / rate = {drain_s:.3g} s: what is left of the expected limit is less "
            "for the next step; lengthen the pause"
        )
    for step in stairs:
        rate, length_s = step.rate_rps or 0.0, _length_s(step)
        if length_s and expected.rate < rate and (rate - expected.rate) * length_s <= expected.size:
            seen = expected.rate + expected.size / length_s
            enough_s = expected.size / (rate - expected.rate)
            found.append(
                f"{step.name} lasts {length_s:.3g} s: too short to use up the expected limit of {expected.size:,} at "
                f"{rate:.4g}/s; a step of that length shows it from {seen:.4g}/s on, this rate shows it after {enough_s:.3g} s"
            )
    few = [s for s in stairs if s.planned_arrivals is not None and s.planned_arrivals < CLEAN_REQUESTS]
    if few:
        found.append(
            f"too few requests to show that less than 1 % are refused ({CLEAN_REQUESTS} without a refusal): {_names(few)}"
        )
    if stairs and not any((s.rate_rps or 0) > expected.rate for s in stairs):
        found.append(f"no step is above the expected limit of {expected.rate:.4g}/s: nothing will be refused")
    return found


def _length_s(step: Step) -> float:
    if step.duration_ns != MANY:
        return step.duration_ns / 1e9
    return (step.planned_arrivals or 0) / step.rate_rps if step.rate_rps else 0.0


def _names(steps: Sequence[Step]) -> str:
    names = list(dict.fromkeys(f"{s.name} [{s.cell}]" if s.cell else s.name for s in steps))
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
