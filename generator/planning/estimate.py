"""What a plan will cost, before a key is spent: expected tokens times prices.

Cached input is not foreseen, so where a target caches, this is the most. A tier is chosen by the mean length of the step's prompts.
The probe's few short requests are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from generator.charge import cost_nano_usd, money, price_for, usd
from generator.job import Plan, Step, Target
from generator.planning import needs_mix
from generator.planning.needs import Needs, StepNeeds
from generator.providers import EMBEDDINGS
from generator.workload import lengths


@dataclass(frozen=True, slots=True)
class StepCost:
    """None where no price is known, or where the target decides: how long its answers are, or how many requests a closed loop makes in
    its time, of which ``usd_per_request`` then still tells the price.
    """

    step_id: int
    usd: float | None
    usd_per_request: float | None


@dataclass(frozen=True, slots=True)
class Estimate:
    steps: tuple[StepCost, ...] = ()
    usd: float | None = None

    def warnings(self, budget_usd: float | None) -> list[str]:
        """That the plan costs more than its budget, if it does."""
        if budget_usd is None or self.usd is None or self.usd <= budget_usd:
            return []
        return [
            f"the plan is estimated at {money(self.usd)}, its budget is {money(budget_usd)}: it will stop before its end"
        ]


def of(plan: Plan, needs: Needs) -> Estimate:
    """The estimate of each step and of all; the total is None where a step's is."""
    steps = tuple(_of_step(plan, step, need) for step, need in zip(plan.steps, needs.steps, strict=True))
    known = [s.usd for s in steps if s.usd is not None]
    return Estimate(steps, sum(known) if len(known) == len(steps) else None)


def _of_step(plan: Plan, step: Step, need: StepNeeds) -> StepCost:
    if need.requests == 0:
        return StepCost(step.step_id, 0.0, None)
    if not step.mix:
        target = plan.target_of(step)
        total = _usd(target, need.requests, need.input_tokens, need.output_tokens)
        if total is None or need.requests is None:
            return StepCost(step.step_id, None, _mean_request_usd(step, target))
        return StepCost(step.step_id, total, total / need.requests)
    whole = sum(alone.workload.weight for alone in step.alone())
    parts = []
    for alone in step.alone():
        wanted = (needs_mix.requests(alone), needs_mix.tokens(alone, "input"), needs_mix.tokens(alone, "output"))
        part = _usd(plan.targets[alone.target], *wanted)
        parts.append(None if part is None else part * alone.workload.weight / whole)
    known = [part for part in parts if part is not None]
    total = sum(known) if len(known) == len(parts) else None
    return StepCost(step.step_id, total, None if total is None or not need.requests else total / need.requests)


def _mean_request_usd(step: Step, target: Target) -> float | None:
    """Of one request, however many there are."""
    spec = step.workload
    wanted = (spec.input_tokens, spec.output_tokens)
    if spec.session is not None or any(length is None or length.law == "trace" for length in wanted):
        return None
    return _usd(target, 1, *(lengths.mean(length) for length in wanted if length is not None))


def _usd(
    target: Target, requests: float | None, input_tokens: float | None, output_tokens: float | None
) -> float | None:
    """Of so many requests with so many tokens together; None where something is not known."""
    if target.api == EMBEDDINGS:
        output_tokens = 0  # it has none, whatever the workload would ask of another API
    if not requests or input_tokens is None or output_tokens is None:
        return None
    price = price_for(target.prices, round(input_tokens / requests))
    # Means have fractions; a thousand times the tokens keep them.
    nano = cost_nano_usd(price, round(input_tokens * 1000), round(output_tokens * 1000))
    return None if nano is None else usd(nano) / 1000
