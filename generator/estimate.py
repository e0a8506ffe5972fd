"""What a plan will cost, before a key is spent: expected tokens times prices.

Cached input is not foreseen, so where a target caches, this is the most. A tier is chosen by the mean length of the step's prompts.
The probe's few short requests are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from generator.charge import cost_nano_usd, money, price_for, usd
from generator.job import Plan, Price, Step
from generator.needs import Needs, StepNeeds
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
    tiers = _tiers(plan, step)
    if not tiers:
        return StepCost(step.step_id, None, None)
    # An embedding has no output, whatever the workload would ask of another API.
    output_tokens = 0 if plan.target_of(step).api == EMBEDDINGS else need.output_tokens
    if need.requests and need.input_tokens is not None and output_tokens is not None:
        each = _usd(tiers, need.input_tokens / need.requests, output_tokens / need.requests)
        return StepCost(step.step_id, None if each is None else each * need.requests, each)
    if need.requests == 0:
        return StepCost(step.step_id, 0.0, None)
    return StepCost(step.step_id, None, None if output_tokens == 0 else _mean_request_usd(step, tiers))


def _tiers(plan: Plan, step: Step) -> tuple[Price, ...]:
    """The prices of the step's target; of a mix only where all of its targets have the same."""
    found = {plan.targets[alone.target].prices for alone in step.alone()}
    return found.pop() if len(found) == 1 else ()


def _mean_request_usd(step: Step, tiers: tuple[Price, ...]) -> float | None:
    spec = step.workload
    wanted = (spec.input_tokens, spec.output_tokens)
    if step.mix or spec.session is not None or any(length is None or length.law == "trace" for length in wanted):
        return None
    return _usd(tiers, *(lengths.mean(length) for length in wanted if length is not None))


def _usd(tiers: tuple[Price, ...], input_tokens: float, output_tokens: float) -> float | None:
    price = price_for(tiers, round(input_tokens))
    # Means have fractions; a thousand requests' worth of tokens keeps them.
    nano = cost_nano_usd(price, round(input_tokens * 1000), round(output_tokens * 1000))
    return None if nano is None else usd(nano) / 1000
