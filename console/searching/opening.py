"""A search's folder: made for a new one, read again for one that goes on."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from analysis.searching.part import Goal, Limits, Order
from console import prepare
from console.searching import asked, driving, runs, state
from console.searching.asked import Flags
from console.searching.state import State
from generator import clock
from generator.errors import RunFolderError, ScenarioError
from generator.planning import limits as plan_limits
from generator.planning import needs
from generator.run_dir import write_whole
from generator.scenario import reading
from generator.scenario.reading import Scenario

SCENARIO = "scenario.yaml"
_SEARCH_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,89}\Z")
_LONGEST_NAME = 60

Opened = tuple[Scenario, Path, State]


def anew(
    source: str | None, flags: Mapping[str, str], sets: list[str], asks: Flags, runs_dir: Path, search_id: str | None
) -> Opened:
    """Checked and planned before anything is written. Raises ScenarioError, MachineError, RunFolderError."""
    base = reading.load(source, dict(flags), sets)
    goal = asked.goal_of(base, asks)
    limits = asked.limits_of(asks, Limits())
    warnings = _checked(base, goal)
    folder = _create(runs_dir, f"search-{base.name}", search_id)
    write_whole(folder / SCENARIO, base.text().encode())
    (target,) = base.form.target_forms().values()
    known = State(
        search_id=folder.name,
        name=base.name,
        created=clock.utc_text(),
        scenario_digest=base.digest(),
        slo=base.form.slo.limits() if base.form.slo else {},
        goal=goal,
        limits=limits,
        target=f"{target.model or 'no model named'} at {target.url}",
        warnings=tuple(warnings),
    )
    state.write(folder, known)
    return base, folder, known


def again(
    ref: str, source: str | None, flags: Mapping[str, str], sets: list[str], asks: Flags, runs_dir: Path
) -> Opened:
    """Raises RunFolderError where there is no such search, ScenarioError where it is asked for something else than it began with."""
    folder = state.find(ref, runs_dir)
    known = state.read(folder)
    seeded = {"seed": str(known.goal.seed), **flags}
    base = reading.load(str(folder / SCENARIO) if source is None else source, seeded, sets)
    if (source is not None or flags or sets) and base.digest() != known.scenario_digest:
        raise ScenarioError(
            f"the scenario is not the one that search {known.search_id} began with: what it has found holds for {folder / SCENARIO}. Resume with "
            "nothing but --resume and limits, or begin a new search"
        )
    asked.unchanged(asked.goal_of(base, asks), known.goal, asks)
    known = replace(driving.begin_again(folder, known), limits=asked.limits_of(asks, known.limits))
    return replace(base, name=known.name), folder, known


def _checked(base: Scenario, goal: Goal) -> list[str]:
    """What a run of this search would be warned of. Its plan is made once, so that a fault shows before the first run."""
    load = goal.high or goal.low or 1.0
    order = Order("probe", load, 0, 0, base.seed, window_s=goal.probe_s, warmup_s=goal.warmup_s or 0.0)
    step: dict[str, Any] = runs.step_of(base, goal, order)
    made = prepare.planned(asked.scenario_of(base, base.name, base.seed, step, None))
    # The load of this plan's only step was made up here: what rests on it says nothing of the search.
    plan = made.planned.plan
    made_up = {*needs.of_loads(plan, made.planned.needs), *plan_limits.warnings(base.form.expected_limit, plan.steps)}
    return [w for w in made.planned.warnings if w not in made_up]


def _create(runs_dir: Path, name: str, search_id: str | None) -> Path:
    if search_id is not None and not _SEARCH_ID.match(search_id):
        raise RunFolderError(
            f"search id {search_id!r}: letters, digits, '.', '_' and '-' only, at most 90, first a letter or digit"
        )
    word = re.sub(r"[^A-Za-z0-9._-]", "-", name)[:_LONGEST_NAME]
    base = search_id or f"{word}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    for number in itertools.count(1):
        folder = runs_dir / (base if number == 1 else f"{base}-{number}")
        try:
            runs_dir.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
        except FileExistsError:
            if search_id is not None or not runs_dir.is_dir():
                raise RunFolderError(
                    f"search {base!r} exists in {runs_dir}; choose another --search-id, or --resume it"
                ) from None
        except OSError as e:
            raise RunFolderError(
                f"runs folder {runs_dir}: cannot write: {e.strerror}; choose another --runs-dir"
            ) from e
        else:
            return folder
    raise AssertionError("itertools.count does not end")
