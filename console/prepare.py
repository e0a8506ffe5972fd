"""What can be known before anything is written or sent: the scenario read, the simulator's options checked, the plan made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from console import endpoint
from generator import plan, scenario
from generator.plan import Planned
from generator.scenario import Scenario

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
    read = scenario.load(source, dict(flags), sets)
    simulators = {name: endpoint.checked(options) for name, options in read.simulators.items()}
    return Prepared(read, plan.make(read, NO_RUN), simulators)
