"""A plan in words: what `run` would do, what it needs, and what this machine has."""

from __future__ import annotations

import dataclasses
import io
import json
from typing import Any

from console.live import span
from console.rows import write_table
from generator import machine
from generator.job import MANY, Step
from generator.needs import StepNeeds
from generator.plan import Planned

_COLUMNS = ("step", "load", "requests", "length", "input tokens", "output tokens", "in flight")


def as_text(planned: Planned) -> str:
    """A table of the steps, then totals and the machine. What the target decides is left empty."""
    plan, needs, here = planned.plan, planned.needs, machine.look()
    out = io.StringIO()
    rows = [_row(step, need) for step, need in zip(plan.steps, needs.steps, strict=True)]
    write_table(_COLUMNS, iter(rows), out)
    targets = "; ".join(f"{t.url} ({t.api}, {t.model})" for t in plan.targets.values())
    lines = [
        f"{plan.name}, seed {plan.seed}: {len(plan.steps)} steps against {targets}",
        "",
        out.getvalue().rstrip("\n"),
        "",
        f"probe        {plan.probe} requests to each target before the first step",
        f"in all       {_count(needs.requests)} requests, {_time(needs.duration_s)}",
        f"tokens       {_count(needs.input_tokens)} in, {_count(needs.output_tokens)} out",
        f"workers      {plan.workers}, transport {plan.transport}; this machine has {here.cpus:g} processors",
        f"descriptors  {needs.descriptors:,} in the busiest worker; this machine allows {here.descriptors_hard:,}",
        f"ports        {needs.ports:,} to the busiest address; this machine has {here.ports:,}",
    ]
    return "\n".join(lines)


def as_json(planned: Planned) -> str:
    """The plan that workers are handed, without secrets, and its needs. Times are ns where the name says so, else s."""
    return json.dumps(
        {
            "plan": _ends(dataclasses.asdict(planned.plan)),
            "needs": dataclasses.asdict(planned.needs),
            "machine": dataclasses.asdict(machine.look()),
            "warnings": planned.warnings,
        },
        indent=2,
    )


def _ends(value: Any) -> Any:
    """MANY, which stands for no end, as null."""
    if isinstance(value, dict):
        return {key: _ends(inner) for key, inner in value.items() if key != "run_id"}
    if isinstance(value, list | tuple):
        return [_ends(inner) for inner in value]
    return None if value == MANY else value


def _row(step: Step, need: StepNeeds) -> tuple[Any, ...]:
    return (
        step.step_id,
        step.name if step.cell is None else f"{step.name} ({step.cell})",
        _count(need.requests),
        _time(need.duration_s),
        _count(need.input_tokens),
        _count(need.output_tokens),
        f"{need.in_flight:,.0f}" + (" (assumed)" if need.assumed else ""),
    )


def _count(number: float | None) -> str:
    return "as the target decides" if number is None else f"{number:,.0f}"


def _time(s: float | None) -> str:
    return "as the target decides" if s is None else span(s)
