"""Rules of a scenario against the steps that were planned: what each is about, found before anything is sent."""

from __future__ import annotations

from generator import thresholds
from generator.errors import ScenarioError
from generator.job import Step
from generator.scenario import Scenario
from generator.thresholds import Rule


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
