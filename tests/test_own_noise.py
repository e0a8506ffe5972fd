"""The built-in endpoint starts anew with every run: each run, target and repetition meets noise of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_search_tool import SCENARIO

from console import prepare, repeating
from generator.repetition import Repetition, Seeds

TWO = """
targets: {a: {url: simulator, model: m}, b: {url: simulator, model: m}}
seed: 4
workload: {input_tokens: 16, output_tokens: 4}
steps: [{arrivals: constant, rate: 5/s, duration: 2s}]
"""


def noise(tmp_path: Path, text: str, *sets: str) -> dict[str, object]:
    file = tmp_path / "s.yaml"
    file.write_text(text)
    return {n: o["seed"] for n, o in prepare.prepare(str(file), {}, list(sets)).simulators.items()}


def test_noise_follows_the_runs_seed(tmp_path: Path) -> None:
    """Two parts of a probe with constant arrivals would else be the same run twice, and count twice; with its seed a run can be had again."""
    assert noise(tmp_path, SCENARIO, "seed=5") == noise(tmp_path, SCENARIO, "seed=5")
    assert noise(tmp_path, SCENARIO, "seed=5") != noise(tmp_path, SCENARIO, "seed=6")


def test_a_seed_that_the_scenario_gives_stays(tmp_path: Path) -> None:
    assert noise(tmp_path, SCENARIO, "seed=5", "target.simulator.seed=7") == {"target": 7}


def test_two_targets_are_not_one(tmp_path: Path) -> None:
    """A comparison of the built-in endpoint with itself would else see no noise at all between its sides."""
    found = noise(tmp_path, TWO)
    assert found["a"] != found["b"]


@pytest.mark.parametrize("seeds", ["same", "fresh"])
def test_each_repetition_has_its_own_noise(seeds: Seeds, tmp_path: Path) -> None:
    """Repetitions of the same arrivals would else be one run several times, and their spread nothing. The first is the plain run."""
    file = tmp_path / "s.yaml"
    file.write_text(SCENARIO)
    prepared = prepare.prepare(str(file), {}, [])
    nth = [repeating._nth(prepared, Repetition("g", number, 3, seeds), []) for number in (1, 2, 3)]
    found = [one.simulators["target"]["seed"] for one in nth]
    assert len(set(found)) == 3
    assert found[0] == prepared.simulators["target"]["seed"]
