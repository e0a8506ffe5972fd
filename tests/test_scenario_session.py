"""Conversations, tags and weighted workloads in a scenario: what is planned of them, and what is refused with place and fix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from console import forecast
from generator.errors import ScenarioError
from generator.job import MANY, Length, Pause, Step
from generator.planning import plan
from generator.scenario import reading

TARGET = {"url": "http://127.0.0.1:9/v1", "model": "m"}
TALK: dict[str, Any] = {"input_tokens": 64, "output_tokens": 16, "session": {"turns": 5, "think": "2s"}}
MIX: list[dict[str, Any]] = [{"name": "ask", "weight": 3}, {"name": "talk", **TALK}]
STEPS = [{"rate": "20/s", "sessions": 200}]


def made(path: Path, **keys: Any) -> plan.Planned:
    file = path / "s.yaml"
    file.write_text(yaml.safe_dump({"target": TARGET, "steps": STEPS, "seed": 1} | keys, sort_keys=False))
    return plan.make(reading.load(str(file), {}, []), "r", 2)


def step(path: Path, **keys: Any) -> Step:
    (only,) = made(path, **keys).plan.steps
    return only


def refused(path: Path, **keys: Any) -> str:
    with pytest.raises(ScenarioError) as caught:
        made(path, **keys)
    return str(caught.value)


def test_a_session_is_planned(tmp_path: Path) -> None:
    """Turns, think time and the first message's length reach the workers; arrivals count sessions, requests count turns."""
    session = {"turns": 5, "think": {"exponential": "2s"}, "first_input_tokens": 512}
    planned = made(tmp_path, workload=TALK | {"session": session})
    (one,) = planned.plan.steps
    assert one.workload.session is not None
    assert (one.turns, one.planned_arrivals, one.turns_mean) == (5, 200, 5.0)
    assert one.workload.session.think == Pause("exponential", 2.0)
    assert one.workload.session.first_input_tokens == Length("fixed", value=512)
    assert len(planned.arrivals[0]) == 200
    assert planned.needs.requests == 1000
    assert planned.needs.output_tokens == 16_000
    # A turn's input is all that was said: 5 × 512 and, ten times in all, a message and an answer.
    assert planned.needs.input_tokens == 200 * (5 * 512 + 10 * (64 + 16))


def test_turns_may_be_drawn(tmp_path: Path) -> None:
    """T is the law's highest, and what is expected its mean."""
    one = step(tmp_path, workload=TALK | {"session": {"turns": {"uniform": [2, 8]}}})
    assert (one.turns, one.turns_mean) == (8, 5.0)


def test_a_dataset_says_how_many_turns(tmp_path: Path) -> None:
    """Without turns a session has its conversation's; with them at most as many."""
    (tmp_path / "talks.jsonl").write_text("\n".join(json.dumps({"turns": ["a?", "b?", "c?"][:n]}) for n in (1, 2, 3)))
    one = step(tmp_path, workload={"prompts": "talks.jsonl", "session": {}})
    assert (one.turns, one.turns_mean) == (3, 2.0)
    one = step(tmp_path, workload={"prompts": "talks.jsonl", "session": {"turns": 2}})
    assert (one.turns, one.turns_mean) == (2, None)


def test_workloads_share_the_arrivals(tmp_path: Path) -> None:
    """Each with its weight, tags and lengths; the first stands for the step where one must."""
    tagged = [MIX[0] | {"tags": {"tier": 1, "tenant": "a", "beta": True}}, MIX[1]]
    planned = made(tmp_path, workloads=tagged)
    (one,) = planned.plan.steps
    assert [(w.name, w.weight, w.tags) for w in one.mix] == [
        ("ask", 3.0, "beta=true,tenant=a,tier=1"),
        ("talk", 1.0, None),
    ]
    assert one.workload == one.mix[0]
    assert (one.turns, one.turns_mean) == (5, 2.0)
    assert planned.needs.requests == 400


def test_workloads_may_have_targets(tmp_path: Path) -> None:
    """Then a step drives all of them at once: it is not run once for each, and compares nothing."""
    targets = {"a": TARGET, "b": TARGET | {"api": "anthropic-messages"}}
    mix = [MIX[0] | {"target": "a"}, MIX[1] | {"target": "b"}]
    planned = made(tmp_path, target=None, targets=targets, workloads=mix)
    (one,) = planned.plan.steps
    assert (one.target, one.arm) == ("a", None)
    assert [alone.target for alone in one.alone()] == ["a", "b"]
    both = made(tmp_path, target=None, targets=targets, workloads=MIX).plan.steps
    assert [(s.target, s.arm) for s in both] == [("a", "a"), ("b", "b")]


def test_a_trace_may_start_sessions(tmp_path: Path) -> None:
    """Its times alone are taken: a row's lengths are those of one request."""
    (tmp_path / "t.csv").write_text("time,input_tokens,output_tokens\n0,7,8\n1,9,10\n")
    planned = made(tmp_path, workload=TALK, steps=[{"trace": {"file": "t.csv"}}])
    assert planned.plan.steps[0].workload.input_tokens == Length("fixed", value=64)
    assert planned.plan.steps[0].planned_arrivals == 2
    assert planned.lengths == {}


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"workload": {"session": {}}}, "s.yaml:9: workload.session: session wants turns"),
        ({"workload": {"session": {"turns": {"normal": {"mean": 5, "sd": 2}}}}}, "turns: up to 10,000,000 turns"),
        ({"workload": {"session": {"turns": 5000}}}, "at most 1,000 are kept apart; ask for fewer"),
        ({"workload": {"session": {"turn": 5}}}, "session.turn: unknown key; nearest: 'turns'"),
        ({"workload": TALK, "steps": [{"rate": "5/s", "requests": 5}]}, "give sessions, how many start, in place of requests"),
        ({"workload": TALK, "steps": [{"rate": "5/s"}]}, "the step has no end: give duration or sessions"),
        ({"workload": TALK, "steps": [{"rate": "5/s", "sessions": 5, "duration": "5s"}]}, "duration and sessions are both given"),
        ({"steps": [{"rate": "5/s", "sessions": 5}]}, "no workload has a session; give requests"),
        ({"workload": TALK, "target": TARGET | {"api": "openai-completions"}}, "speaks openai-completions, which carries no conversation"),
        ({"workload": {}, "workloads": MIX}, "workload and workloads are both given"),
        ({"workloads": [{"weight": 1}]}, "workloads.0: a workload among several needs a name"),
        ({"workloads": [MIX[0], MIX[0]]}, "workloads.1.name: 'ask' is a name twice"),
        ({"workloads": [MIX[0] | {"weight": 0}]}, "workloads.0.weight: input should be greater than 0"),
        ({"workloads": [MIX[0] | {"target": "x"}]}, "no target is called 'x' (known: none: give targets by name"),
        ({"workloads": [MIX[0] | {"wait": 1}]}, "workloads.0.wait: unknown key; nearest: 'weight'"),
        ({"workloads": MIX, "matrix": {"input_tokens": [1, 2]}}, "input_tokens belongs into each of the workloads"),
        ({"workload": {"tags": {"a,b": "c"}}, "steps": [{"rate": "5/s", "requests": 5}]}, "1 to 100 characters without ','"),
        ({"workload": TALK, "steps": [{"concurrency": 1, "sessions": 500_000_000}]}, "requests fit into a step"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(tmp_path: Path, keys: dict[str, Any], words: str) -> None:
    """Each fault with its place, its key and what to do."""
    assert words in refused(tmp_path, **keys)


def test_targets_are_named_by_all_or_none(tmp_path: Path) -> None:
    """Half a decision would leave the others to chance."""
    mix = [MIX[0] | {"target": "a"}, MIX[1]]
    assert "either each of the workloads names its target or none does" in refused(
        tmp_path, target=None, targets={"a": TARGET}, workloads=mix
    )


def test_a_mix_on_the_command_line_is_told_what_it_lacks(tmp_path: Path) -> None:
    """--input-tokens speaks of one workload; with several the error names the flag."""
    file = tmp_path / "s.yaml"
    file.write_text(yaml.safe_dump({"target": TARGET, "steps": STEPS, "workloads": MIX}))
    with pytest.raises(ScenarioError, match="--input-tokens: workload: workload and workloads are both given"):
        reading.load(str(file), {"input_tokens": "5"}, [])


def test_plan_tells_the_mix(tmp_path: Path) -> None:
    """What the table of steps cannot: each workload's share, tags and target, and how its sessions talk."""
    mix = [MIX[0] | {"tags": {"tenant": "a"}}, MIX[1]]
    text = forecast.as_text(made(tmp_path, workloads=mix))
    assert "workload     ask: 0.75 of arrivals, tags tenant=a\n" in text
    assert "workload     talk: 0.25 of arrivals, sessions of 5 turns, thinking 2 s\n" in text


def test_flags_know_sessions() -> None:
    """--rate keeps how many sessions start, --duration takes their place, and --requests is told what is counted here."""

    def step_of(flags: dict[str, str]) -> Step:
        (only,) = plan.make(reading.load("chat-sessions", flags, []), "r", 1).plan.steps
        return only

    assert (step_of({"rate": "5/s"}).rate_rps, step_of({"rate": "5/s"}).requests) == (5.0, 120)
    assert (step_of({"duration": "9s"}).duration_ns, step_of({"duration": "9s"}).requests) == (9_000_000_000, MANY)
    with pytest.raises(ScenarioError, match="an arrival starts a conversation here: give sessions"):
        step_of({"requests": "5"})
