"""What can be known before anything is written or sent: the scenario read, the simulator's options checked, the plan made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from console import endpoint
from generator.errors import ScenarioError
from generator.planning import plan
from generator.planning.plan import Planned
from generator.scenario import blocks as scenario_blocks
from generator.scenario import reading
from generator.scenario.reading import Scenario

NO_RUN = "planned"
"""Stands for the run id until there is a run folder."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """``simulators``: options of the built-in endpoint, by the name of the target that it stands for."""

    scenario: Scenario
    planned: Planned
    simulators: Mapping[str, Mapping[str, Any]]


def prepare(source: str | None, flags: Mapping[str, str], sets: list[str]) -> Prepared:
    """Raises ScenarioError for what a person wrote wrong, MachineError for what the machine cannot carry."""
    return planned(reading.load(source, dict(flags), sets))


def prepare_comparison(source: str | None, flags: Mapping[str, str], targets: list[str], sets: list[str]) -> Prepared:
    """The same for two or more targets that take turns; ``targets``: NAME=URL, beside those of the scenario."""
    given: dict[str, Any] = {**flags, "targets": targets}
    read = reading.load(source, given, sets)
    if not scenario_blocks.compares(read.form) or len(read.form.target_forms()) < 2:
        raise ScenarioError(
            "two or more targets are wanted: --target A=URL --target B=URL, or a scenario with targets: {A: …, B: …}"
        )
    if read.form.blocks is None:
        read = reading.load(source, given | {"blocks": scenario_blocks.USUAL}, sets)
    return planned(read)


def planned(read: Scenario) -> Prepared:
    simulators = {name: endpoint.checked(options) for name, options in read.simulators.items()}
    return Prepared(read, plan.make(read, NO_RUN), simulators)


def with_own_noise(prepared: Prepared, seed: int) -> Prepared:
    """The same with jitter of its own for the built-in endpoint, which starts anew with every run and would else repeat itself: with the
    same arrivals a run would be the run before over again, and no evidence. A seed that the scenario gives stays.
    """
    return replace(prepared, simulators={n: {"seed": seed} | dict(o) for n, o in prepared.simulators.items()})
