"""A plan in words: what `run` would do, what it needs, and what this machine has."""

from __future__ import annotations

import dataclasses
import io
import json
from typing import Any

from console.live import span
from console.rows import write_table
from generator import machine
from generator.charge import money
from generator.job import MANY, Cancel, Pause, Plan, Step, Target
from generator.planning.needs import StepNeeds
from generator.planning.plan import Planned, length_text

_COLUMNS = ("step", "load", "requests", "length", "input tokens", "output tokens", "in flight")


def as_text(planned: Planned) -> str:
    """A table of the steps, then totals and the machine. What the target decides is left empty."""
    plan, needs, here = planned.plan, planned.needs, machine.look()
    out = io.StringIO()
    rows = [_row(step, need) for step, need in zip(plan.steps, needs.steps, strict=True)]
    told = [s.usd for s in planned.cost.steps]
    if any(usd is not None for usd in told):
        rows = [(*row, _count(None) if usd is None else money(usd)) for row, usd in zip(rows, told, strict=True)]
        write_table((*_COLUMNS, "cost"), iter(rows), out)
    else:
        write_table(_COLUMNS, iter(rows), out)
    targets = "; ".join(f"{t.url} ({t.api}{f', {t.model}' if t.model else ''})" for t in plan.targets.values())
    lines = [
        f"{plan.name}, seed {plan.seed}: {len(plan.steps)} step{'s' * (len(plan.steps) != 1)} against {targets}",
        "",
        out.getvalue().rstrip("\n"),
        "",
        *_workloads(plan),
        f"probe        {plan.probe} requests to each target before the first step",
        f"in all       {_requests(needs.requests)}, {_length(needs.duration_s)}",
        f"tokens       {_tokens(needs.input_tokens, needs.output_tokens)}",
        *_costs(planned),
        f"workers      {plan.workers}, transport {plan.transport}; this machine has {here.cpus:g} processors",
        f"descriptors  {needs.descriptors:,} in the busiest worker; this machine allows {here.descriptors_hard:,}",
        f"ports        {needs.ports:,} to the busiest address; this machine has {here.ports:,}",
    ]
    return "\n".join(lines)


def _given_up(cancel: Cancel) -> str:
    after = f"{cancel.after_ns / 1e9:g} s" if cancel.after_ns is not None else f"{cancel.after_tokens} tokens"
    return f"{cancel.share:.3g} of the requests given up after {after}"


def _workloads(plan: Plan) -> list[str]:
    """A line for each of several workloads, and for one of conversations: what the table does not tell. Those of the first step."""
    first = plan.steps[0]
    if not first.mix and first.workload.session is None and first.workload.cancel is None:
        return []
    weights = sum(alone.workload.weight for alone in first.alone())
    lines = []
    for alone in first.alone():
        spec = alone.workload
        told = [f"{spec.weight / weights:.3g} of arrivals"] if first.mix else []
        told += [f"target {spec.target}"] if spec.target is not None else []
        told += [f"tags {spec.tags}"] if spec.tags is not None else []
        told += [_given_up(spec.cancel)] if spec.cancel is not None else []
        if spec.session is not None:
            length = (
                "as many turns as the dataset has"
                if spec.session.turns is None
                else f"{length_text(spec.session.turns)} turns"
            )
            told += [f"sessions of {length}, thinking {_pause(spec.session.think)}"]
        lines.append(f"workload     {spec.name}: {', '.join(told)}")
    return lines


def _pause(pause: Pause) -> str:
    mean = f"{pause.mean_s:g} s"
    return f"{mean} on average" if pause.law == "exponential" else mean


def _costs(planned: Planned) -> list[str]:
    """Lines on the estimate: nothing where no price is known."""
    plan, cost = planned.plan, planned.cost
    several = len(plan.targets) > 1
    lines = [
        f"{f'price of {t.name}' if several else 'price':<12} {price_text(t)}" for t in plan.targets.values() if t.prices
    ]
    if not lines:
        return ["cost         unknown: no price (price_in and price_out, --prices FILE, or openloop[prices])"]
    each = list(dict.fromkeys(money(usd) for usd in sorted(s.usd_per_request or 0 for s in cost.steps) if usd))
    a_request = f", {' to '.join((each[0], each[-1])[: len(each)])} a request" if each else ""
    total = "as the target decides" if cost.usd is None else f"about {money(cost.usd)}"
    limit = "" if plan.budget_usd is None else f"; budget {money(plan.budget_usd)}"
    return [*lines, f"cost         {total}{a_request}{limit}"]


def price_text(target: Target) -> str:
    """``$0.88 in, $0.88 out a million (genai-prices …, 2026-11-01)``; tiers by what they begin at."""
    tiers = []
    for tier in target.prices:
        known = {"in": tier.input, "out": tier.output, "cached": tier.cached, "cache write": tier.cache_write}
        told = ", ".join(f"${usd:g} {what}" for what, usd in known.items() if usd is not None)
        tiers.append(f"{told} above {tier.above_tokens:,} input tokens" if tier.above_tokens else f"{told} a million")
    return f"{'; '.join(tiers)} ({target.price_source}, {target.price_date})"


def as_json(planned: Planned, repeat: dict[str, Any] | None = None) -> str:
    """The plan that workers are handed, without secrets, and its needs. Times are ns where the name says so, else s. ``repeat``: how often
    all of it is done, where more than once.
    """
    return json.dumps(
        {
            "plan": _ends(dataclasses.asdict(planned.plan)),
            "needs": dataclasses.asdict(planned.needs),
            "cost": dataclasses.asdict(planned.cost),
            "repeat": repeat,
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
        _load(step),
        _count(need.requests),
        _time(need.duration_s),
        _count(need.input_tokens),
        _count(need.output_tokens),
        f"{need.in_flight:,.0f}" + (" (assumed)" if need.assumed else ""),
    )


def _load(step: Step) -> str:
    text = step.name if step.cell is None else f"{step.name} ({step.cell})"
    if step.block is not None:
        return f"{text} · {step.arm} {step.block + 1}"
    return text if step.arm is None else f"{text} · {step.arm}"


def _count(number: float | None) -> str:
    return "as the target decides" if number is None else f"{number:,.0f}"


def _requests(number: float | None) -> str:
    return "as many requests as the target answers" if number is None else f"{_count(number)} requests"


def _length(s: float | None) -> str:
    return "as long as the target takes" if s is None else span(s)


def _tokens(asked: float | None, answered: float | None) -> str:
    if asked is None and answered is None:
        return _count(None)
    return f"{_count(asked)} in, {_count(answered)} out"


def _time(s: float | None) -> str:
    return "as the target decides" if s is None else span(s)
