"""The built-in endpoint under a search or a repetition: each run meets noise of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_search_tool import SCENARIO

from console import prepare, repeating
from generator.repetition import Repetition


@pytest.mark.parametrize(("given", "seeds"), [(None, [5, 6]), ("7", [7, 7])])
def test_each_run_has_its_own_noise_unless_the_scenario_says_which(
    given: str | None, seeds: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Else two parts of a probe with constant arrivals would be the same run twice, and count twice."""
    file = tmp_path_factory.mktemp("search") / "s.yaml"
    file.write_text(SCENARIO)
    sets = [] if given is None else [f"target.simulator.seed={given}"]
    prepared = prepare.prepare(str(file), {}, sets)
    assert prepared.simulators
    for seed, wanted in zip((5, 6), seeds, strict=True):
        (options,) = prepare.with_own_noise(prepared, seed).simulators.values()
        assert int(str(options["seed"])) == wanted
        assert set(prepared.simulators["target"]) - {"seed"} == set(options) - {"seed"}


def test_each_repetition_has_its_own_noise(tmp_path: Path) -> None:
    """Repetitions of the same arrivals would else be one run several times, and their spread nothing."""
    file = tmp_path / "s.yaml"
    file.write_text(SCENARIO)
    prepared = prepare.prepare(str(file), {}, [])
    nth = [repeating._nth(prepared, Repetition("g", number, 3), []) for number in (1, 2, 3)]
    assert [one.simulators["target"]["seed"] for one in nth] == [1, 2, 3]
