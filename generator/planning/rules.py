"""Rules of a scenario against the steps that were planned: what each is about, found before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from generator import thresholds
from generator.errors import ScenarioError
from generator.job import Step
from generator.planning.needs import StepNeeds
from generator.scenario.reading import Scenario
from generator.thresholds import Rule
from generator.until import least_n


def rules(scenario: Scenario, steps: tuple[Step, ...]) -> tuple[Rule, ...]:
    """Raises ScenarioError for a selector that nothing matches, with the nearest that something does."""
    parts = [
        thresholds.Part(
            alone.step_id,
            alone.name,
            alone.workload.name,
            alone.target,
            frozenset(alone.workload.tags.split(",") if alone.workload.tags else ()),
        )
        for step in steps
        for alone in step.alone()
    ]
    found = []
    for number, form in enumerate(scenario.form.thresholds):
        try:
            found.append(
                thresholds.narrowed(
                    form.rule,
                    parts,
                    step=form.step,
                    workload=form.workload,
                    target=form.target,
                    tag=form.tag,
                    abort=form.abort,
                    delay_ns=form.delay or 0,
                )
            )
        except thresholds.UnmatchedError as e:
            place = scenario.document.place(("thresholds", number, e.key))
            raise ScenarioError(f"{place}: thresholds.{number}.{e.key}: {e}") from None
    return tuple(found)


def warnings(rules: Iterable[Rule], steps: Sequence[Step], needs: Sequence[StepNeeds]) -> list[str]:
    """Rules on a percentile that a step is too short for: they could neither hold nor fail."""
    told = []
    for rule in rules:
        threshold = thresholds.parse(rule.text)
        p = threshold.probability
        # An answer has many gaps: how many is not known before.
        if p is None or max(p, 1 - p) < thresholds.TAIL or threshold.metric == "icl":
            continue
        few = [
            f"step {step.name!r} sends about {need.requests:,}"
            for step, need in zip(steps, needs, strict=True)
            if need.requests is not None
            and need.requests < least_n(p)
            and (rule.steps is None or step.step_id in rule.steps)
        ]
        if few:
            more = f" and {len(few) - 3} more" if len(few) > 3 else ""
            told.append(
                f"threshold {thresholds.named(rule)} takes {least_n(p):,} answers to be judged; {'; '.join(few[:3])}{more}: make the step longer, or "
                "take a lower percentile"
            )
    return told
