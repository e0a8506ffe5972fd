"""A comparison's steps cut into blocks: in which order the targets take turns, and what must hold for that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from generator.scenario import session
from generator.scenario.fields import WrongError

if TYPE_CHECKING:
    from generator.scenario.models import Form, StepForm

USUAL = 10
"""Blocks of `openloop ab` unless said: Student's factor on the eight degrees of freedom that they leave is 2.3, on four 2.8."""

MOST = 1_000


def compares(form: Form) -> bool:
    """Whether each step is run against several targets, one after another."""
    return form.targets is not None and not session.targets_named(form)


def pieces(form: Form, step: StepForm) -> Iterator[tuple[int | None, StepForm, list[str]]]:
    """(block, its part of the step, the targets in their order) of each block; without ``blocks`` one piece, the whole, block None.

    Every second block takes the targets in reverse: A B, B A. A drift that is linear in time then costs each target the same.
    """
    arms = session.arms(form)
    if form.blocks is None:
        yield None, step, arms
        return
    for block in range(form.blocks):
        yield block, _part(step, block, form.blocks), arms if block % 2 == 0 else arms[::-1]


def _part(step: StepForm, block: int, blocks: int) -> StepForm:
    """An equal share of the step's time; of its requests or sessions, the first blocks one more where they do not divide."""
    part: dict[str, int] = {}
    if step.duration is not None:
        part["duration"] = step.duration // blocks
    for key in ("requests", "sessions"):
        number = getattr(step, key)
        if number is not None:
            part[key] = number // blocks + (block < number % blocks)
    return step.model_copy(update=part)


def check(form: Form, most_steps: int) -> None:
    """Raises WrongError."""
    if form.blocks is None:
        return
    if not compares(form) or len(form.target_forms()) < 2:
        raise WrongError("blocks are for comparisons; give two or more targets: {A: …, B: …}", "blocks")
    if form.blocks % 2:
        raise WrongError(
            f"{form.blocks} blocks: an even number is wanted, so that each target comes first as often as last",
            "blocks",
        )
    count = len(form.steps) * (form.matrix.cells() if form.matrix else 1) * len(form.target_forms()) * form.blocks
    if count > most_steps:
        raise WrongError(f"{form.blocks} blocks make {count:,} steps; at most {most_steps:,} are run", "blocks")
    for number, step in enumerate(form.steps):
        if step.trace is not None:
            raise WrongError("a trace is not cut into blocks; leave blocks out", "steps", number, "trace")
        if any(ramp is not None and ramp.ramped for ramp in (step.rate, step.concurrency)):
            raise WrongError("a ramp is not cut into blocks; give a step for each load", "steps", number)
        for key in ("requests", "sessions"):
            asked = getattr(step, key)
            if asked is not None and asked < form.blocks:
                raise WrongError(
                    f"{asked} {key} in {form.blocks} blocks: one or more a block is wanted", "steps", number, key
                )
        warmup = form.warmup if step.warmup is None else step.warmup
        if step.duration is not None and warmup >= step.duration // form.blocks:
            raise WrongError(
                f"the warm-up, which each of the {form.blocks} blocks has, is as long as a block; nothing is left to measure",
                "steps",
                number,
                "duration",
            )
