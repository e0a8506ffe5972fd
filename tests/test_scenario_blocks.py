"""A comparison in blocks: whose turn it is, what each gets, and what cannot be cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from generator.errors import ScenarioError
from generator.planning import plan
from generator.scenario import reading

TWO = """
seed: 7
targets:
  A: {url: 'http://127.0.0.1:9/v1', model: m}
  B: {url: 'http://127.0.0.1:10/v1', model: m}
workload: {input_tokens: 20, output_tokens: 5}
blocks: 4
steps:
  - {rate: 50/s, duration: 8s}
  - {concurrency: 2, requests: 10}
"""


def planned(tmp_path: Path, text: str = TWO, flags: dict | None = None) -> plan.Planned:
    (tmp_path / "ab.yaml").write_text(text)
    return plan.make(reading.load(str(tmp_path / "ab.yaml"), flags or {}, []), "r")


def test_targets_take_turns_in_the_order_abba(tmp_path: Path) -> None:
    """A B, B A, A B, B A: each target comes first in every second block, and steps are numbered in the order that they run."""
    steps = planned(tmp_path).plan.steps
    assert [s.arm for s in steps[:8]] == ["A", "B", "B", "A", "A", "B", "B", "A"]
    assert [s.block for s in steps[:8]] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [s.step_id for s in steps] == list(range(16))


def test_the_arms_of_a_block_have_the_same_arrivals_and_prompts_and_blocks_do_not(tmp_path: Path) -> None:
    """One seed and one schedule within a block; another in the next."""
    made = planned(tmp_path)
    steps = made.plan.steps
    for first, second in zip(steps[::2], steps[1::2], strict=True):
        assert first.seed == second.seed
        assert {first.arm, second.arm} == {"A", "B"}
    assert np.array_equal(made.arrivals[0], made.arrivals[1])
    assert not np.array_equal(made.arrivals[0][:10], made.arrivals[2][:10])
    assert len({s.seed for s in steps}) == 8


def test_blocks_together_are_the_step(tmp_path: Path) -> None:
    """A step's length is cut in equal parts; of requests that do not divide, the first blocks have one more."""
    steps = planned(tmp_path).plan.steps
    assert {s.duration_ns for s in steps[:8]} == {2_000_000_000}
    assert [s.requests for s in steps[8::2]] == [3, 3, 2, 2]


def test_without_blocks_each_target_has_the_step_whole(tmp_path: Path) -> None:
    """Several targets alone change nothing in how a step is run, and it has no block."""
    steps = planned(tmp_path, TWO.replace("blocks: 4\n", "")).plan.steps
    assert [(s.arm, s.block) for s in steps] == [("A", None), ("B", None)] * 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("blocks: 4", "blocks: 3"), "even"),
        (("requests: 10", "requests: 3"), "3 requests in 4 blocks"),
        (("duration: 8s", "duration: 8s, warmup: 2s"), "warm-up"),
        (("50/s", "{from: 5/s, to: 50/s}"), "ramp"),
        (("  B: {url: 'http://127.0.0.1:10/v1', model: m}\n", ""), "two or more targets"),
    ],
)
def test_what_cannot_be_cut_is_refused_with_its_place(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    """An odd number, fewer requests than blocks, a warm-up as long as a block, a ramp, a lone target."""
    text = TWO.replace(*change)
    assert text != TWO
    with pytest.raises(ScenarioError, match=words) as caught:
        planned(tmp_path, text)
    assert "ab.yaml:" in str(caught.value)


def test_targets_of_the_command_line_take_the_scenario_s_target_as_their_pattern(tmp_path: Path) -> None:
    """--target NAME=URL twice: model, API and all else are those of the scenario's target."""
    text = (
        TWO.partition("targets:")[0]
        + "target: {url: 'http://127.0.0.1:9/v1', model: m}\n"
        + TWO.split("model: m}\n")[2]
    )
    flags = {"targets": ["old=http://127.0.0.1:1/v1", "new=http://127.0.0.1:2/v1"]}
    made = planned(tmp_path, text, flags).plan
    assert {n: (t.url, t.model) for n, t in made.targets.items()} == {
        "old": ("http://127.0.0.1:1/v1", "m"),
        "new": ("http://127.0.0.1:2/v1", "m"),
    }


@pytest.mark.parametrize("wrong", ["http://127.0.0.1:1/v1", "=http://127.0.0.1:1/v1", "A="])
def test_a_target_without_its_name_is_refused(tmp_path: Path, wrong: str) -> None:
    """NAME=URL, both of them, and the message shows how."""
    with pytest.raises(ScenarioError, match="NAME=URL"):
        planned(tmp_path, TWO, {"targets": [wrong]})
