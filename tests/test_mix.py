"""Weighted workloads and what conversations say: pure in the step's seed and the number, histories as they were heard."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import WORDS, folder, plan, step

from generator.job import Correction, DatasetOptions, Length, Pause, SessionSpec, Step
from generator.run_dir import RunDir
from generator.workload import Conversations, of_step
from generator.workload.mix import Mix, region

FIVE = SessionSpec(Length("fixed", value=5), 5)
CORRECTIONS: dict[str, Correction] = {}


def mixed(*weights: float, **fields: Any) -> Step:
    """A step of workloads w0, w1, … by their weights."""
    mix = tuple(replace(WORDS, name=f"w{i}", weight=w) for i, w in enumerate(weights))
    return step(workload=mix[0], mix=mix, **fields)


def run_of(path: Path, made: Step) -> RunDir:
    return folder(path, plan(made))


# -- which workload -----------------------------------------------------------------------------------------------------


def test_shares_are_the_weights() -> None:
    """Of many arrivals each workload gets its weight's share, within four standard deviations."""
    mix = Mix([3, 1, 0.5], (7, 0))
    n = 20_000
    counts = Counter(mix.place(i)[0] for i in range(n))
    for which, weight in enumerate([3, 1, 0.5]):
        share = weight / 4.5
        assert abs(counts[which] - n * share) < 4 * (n * share * (1 - share)) ** 0.5


@given(numbers=st.lists(st.integers(0, 5000), max_size=40), seed=st.integers(0, 2**62))
@settings(max_examples=30)
def test_whose_an_arrival_is_depends_on_its_number_alone(numbers: list[int], seed: int) -> None:
    """Whatever is asked before, in whatever order, by whichever worker."""
    in_order = Mix([2, 1], (seed, 3))
    known = [in_order.place(n) for n in range(max(numbers, default=0) + 1)]
    other = Mix([2, 1], (seed, 3))
    assert [other.place(n) for n in numbers] == [known[n] for n in numbers]


def test_own_numbers_leave_nothing_out() -> None:
    """A workload's arrivals are numbered 0, 1, 2, … so that a dataset is read whole, over blocks' ends, too."""
    mix = Mix([2, 1], (7, 0))
    own: dict[int, list[int]] = {0: [], 1: []}
    for n in range(5000):
        which, number = mix.place(n)
        own[which].append(number)
    assert all(numbers == list(range(len(numbers))) for numbers in own.values())


def test_seeds_and_steps_differ() -> None:
    """Another seed, or another step of the same run, deals differently."""
    deals = [[Mix([1, 1], seed).place(n)[0] for n in range(64)] for seed in ((7, 0), (8, 0), (7, 1))]
    assert len({tuple(deal) for deal in deals}) == 3


def test_prompts_of_a_mix_say_whose_they_are_and_are_unlike(tmp_path: Path) -> None:
    """Equal numbers of two workloads give other texts: no prefix cache may answer."""
    made = mixed(1, 1)
    workload = of_step(made, run_of(tmp_path, made), CORRECTIONS)
    prompts = [workload.prompt(n) for n in range(300)]
    mix = Mix([1, 1], made.seed)
    assert [p.spec and p.spec.name for p in prompts] == [f"w{mix.place(n)[0]}" for n in range(300)]
    assert len({" ".join(p.text.split()[:6]) for p in prompts}) == 300


def test_each_workload_is_corrected_for_its_own_target(tmp_path: Path) -> None:
    """What the probe learned of one target says nothing of another."""
    mix = tuple(replace(WORDS, name=name, target=name) for name in ("a", "b"))
    made = step(workload=mix[0], mix=mix, target="a")
    workload = of_step(made, run_of(tmp_path, made), {"b": Correction(overhead_tokens=6)})
    words = {p.spec.name: p.words for p in (workload.prompt(n) for n in range(50)) if p.spec}
    assert words == {"a": 16, "b": 10}


@pytest.mark.parametrize("of", [1, 2, 3, 8, 200])
def test_regions_do_not_meet(of: int) -> None:
    """Each maker of prompts has numbers of its own below 2³⁰, as many as any other."""
    starts = [region(i, of) for i in range(of)]
    assert starts[0] == 0
    assert len({b - a for a, b in pairwise(starts)}) <= 1
    assert starts == sorted(set(starts))
    assert starts[-1] < 2**30


# -- conversations ------------------------------------------------------------------------------------------------------


def talk(path: Path, made: Step) -> Conversations:
    workload = of_step(made, run_of(path, made), CORRECTIONS)
    assert isinstance(workload, Conversations)
    return workload


def test_a_turn_carries_what_was_said(tmp_path: Path) -> None:
    """Each prompt is the whole conversation up to there with the real answers, and its own new message at the end; the length that
    was asked for is known of the first alone."""
    said = talk(tmp_path, step(step_id=2, workload=replace(WORDS, session=FIVE)))
    messages: list[dict[str, Any]] = []
    for k in range(5):
        prompt = said.prompt(3 * 5 + k)
        messages.append({"role": "user", "content": prompt.text})
        assert list(prompt.messages or ()) == messages
        assert (prompt.session_id, prompt.turn, prompt.turns, prompt.keep_text) == (2_000_000_015, k + 1, 5, k < 4)
        assert (prompt.input_tokens, prompt.words) == ((16, 16) if k == 0 else (None, None))
        assert len(prompt.text.split()) == 16
        answer = f"said {k}"
        said.heard(3, prompt, answer)
        messages.append({"role": "assistant", "content": answer})
    assert said.kept == 1
    said.over(3)
    assert said.kept == 0
    assert len({m["content"] for m in messages if m["role"] == "user"}) == 5


def test_sessions_do_not_hear_each_other(tmp_path: Path) -> None:
    """What one is told reaches no other's history."""
    said = talk(tmp_path, step(workload=replace(WORDS, session=FIVE)))
    said.heard(0, said.prompt(0), "for the first")
    assert len(said.prompt(6).messages or ()) == 1
    assert len(said.prompt(1).messages or ()) == 3


def test_turns_are_drawn_by_the_seed(tmp_path: Path) -> None:
    """Within their bounds, the same in any order; the plan's T is the most that any has."""
    made = step(workload=replace(WORDS, session=SessionSpec(Length("uniform", low=2, high=6), 6)))
    assert made.turns == 6
    said = talk(tmp_path, made)
    drawn = [said.turns(s) for s in range(400)]
    assert set(drawn) == {2, 3, 4, 5, 6}
    assert [said.turns(s) for s in reversed(range(400))] == drawn[::-1]


def test_the_first_message_may_be_longer_and_alone_has_the_prefix(tmp_path: Path) -> None:
    """A shared prefix is a conversation's beginning: it stands once, and not before each message."""
    session = replace(FIVE, first_input_tokens=Length("fixed", value=64))
    said = talk(tmp_path, step(workload=replace(WORDS, session=session, shared_prefix_tokens=20)))
    first, second = said.prompt(0).text.split(), said.prompt(5).text.split()
    assert (len(first), len(said.prompt(1).text.split())) == (64, 16)
    assert first[:20] == second[:20]
    assert said.prompt(1).text.split()[:10] != first[:10]


def test_a_mix_may_converse_in_part(tmp_path: Path) -> None:
    """A workload without a session asks once and has no turn; the others' turns are numbered by the step's T."""
    mix = (
        replace(WORDS, name="ask"),
        replace(WORDS, name="talk", session=SessionSpec(Length("fixed", value=3), 3, Pause("fixed", 1.0))),
    )
    made = step(workload=mix[0], mix=mix)
    said = talk(tmp_path, made)
    place = Mix([1, 1], made.seed).place
    for s in range(60):
        prompt = said.prompt(3 * s)
        assert prompt.spec == mix[place(s)[0]]
        talks = place(s)[0] == 1
        assert (said.turns(s), prompt.turn, said.pause(s).mean_s) == ((3, 1, 1.0) if talks else (1, None, 0.0))
    assert len({said.prompt(3 * s).text for s in range(60)}) == 60


def test_a_dataset_has_the_turns(tmp_path: Path) -> None:
    """A record's own turns, in order, after its system message; its answers are replaced by real ones; T bounds how many are asked."""
    file = tmp_path / "talks.jsonl"
    conversation = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "one?"},
        {"role": "assistant", "content": "never sent"},
        {"role": "user", "content": "two?"},
    ]
    file.write_text(json.dumps({"messages": conversation}) + "\n" + json.dumps({"turns": ["a?", "b?", "c?"]}) + "\n")
    spec = replace(
        WORDS, input_tokens=None, dataset=str(file), dataset_options=DatasetOptions(), session=SessionSpec(None, 3)
    )
    said = talk(tmp_path, step(workload=spec))
    assert [said.turns(s) for s in range(4)] == [2, 3, 2, 3]
    first = said.prompt(0)
    assert first.messages == ({"role": "system", "content": "be brief"}, {"role": "user", "content": "one?"})
    said.heard(0, first, "1")
    assert said.prompt(1).messages == (
        *first.messages,
        {"role": "assistant", "content": "1"},
        {"role": "user", "content": "two?"},
    )
    assert [said.prompt(3 + k).text for k in range(3)] == ["a?", "b?", "c?"]
    assert first.input_tokens is None
