"""What can be known before anything is written or sent: the scenario read, the simulator's options checked, the plan made."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from generator.errors import ScenarioError
from generator.planning import plan
from generator.planning.plan import Planned
from generator.scenario import blocks as scenario_blocks
from generator.scenario import reading
from generator.scenario import text as scenario_text
from generator.scenario.reading import Scenario
from simulator.settings import SettingsError, from_options

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
    return Prepared(read, plan.make(read, NO_RUN), simulators_of(read))


def simulators_of(read: Scenario, repetition: int = 1) -> Mapping[str, Mapping[str, Any]]:
    """Options of the built-in endpoints. Each starts anew with every run, so its jitter is drawn from the run's seed, its target's name and
    the repetition's number: with the same noise again a run would be the run before over again, and two targets one. A seed that the
    scenario gives stays. Raises ScenarioError.
    """
    return {
        name: _checked(
            read, name, {"seed": zlib.crc32(f"noise {read.seed} {name} {repetition}".encode())} | dict(options)
        )
        for name, options in read.simulators.items()
    }


def _checked(read: Scenario, name: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        from_options(options)
    except SettingsError as e:
        path = ("targets", name, "simulator") if "targets" in read.document.data else ("target", "simulator")
        place = read.document.place((*path, e.key) if e.key else path)
        raise ScenarioError(f"{place}: {scenario_text.dotted(path)}: {str(e).removeprefix('simulator: ')}") from e
    return options
