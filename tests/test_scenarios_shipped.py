"""The scenarios that come with the package: each plans, is short enough to read, and drives any endpoint."""

from importlib import resources

import pytest

from generator.planning import plan
from generator.scenario import reading

NAMES = (
    "baseline",
    "chat-sessions",
    "comprehensive",
    "concurrency-ladder",
    "gateway-overhead",
    "http-json",
    "mixed-workloads",
    "poisson-staircase",
    "quick",
    "ramp",
    "rate-limit-concurrency",
    "rate-limit-requests",
    "rate-limit-tokens",
    "search-slo",
    "standard",
    "stress-4096",
    "stress-512",
    "sustained",
    "throughput",
    "token-matrix",
    "trace-azure-conversation",
    "trace-mooncake-conversation",
)


def loads(name):
    """(concurrency, requests) of each step."""
    return [(s.concurrency, s.planned_arrivals) for s in plan.make(reading.load(name, {}, []), "r", 8).plan.steps]


def test_all_are_there():
    """The list of shipped scenarios is the documented one."""
    assert tuple(reading.shipped()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_is_a_few_lines_with_a_comment_on_top(name):
    """A person reads it at a glance: what it is for, then at most twelve lines."""
    lines = resources.files("scenarios").joinpath(f"{name}.yaml").read_text().splitlines()
    assert lines[0].startswith("# ")
    assert len(lines) <= 13


@pytest.mark.parametrize("name", NAMES)
def test_each_plans_against_the_simulator_and_against_any_endpoint(name):
    """The built-in endpoint unless said; ``--target`` (of each target that is compared) and ``--model`` suffice for another. The name
    is the file's."""
    own = plan.make(reading.load(name, {}, []), "r", 8)
    url = "http://127.0.0.1:9/v1"
    arms = own.plan.targets if len(own.plan.targets) > 1 else {}
    to = {"targets": [f"{arm}={url}" for arm in arms]} if arms else {"target": url}
    other = plan.make(reading.load(name, {**to, "model": "m", "seed": 1}, []), "r", 8)
    assert {t.url for t in own.plan.targets.values()} == {"simulator"}
    assert [(t.url, t.model) for t in other.plan.targets.values()] == [(url, "m")] * len(own.plan.targets)
    assert own.plan.name == name
    assert len(own.plan.steps) == len(other.plan.steps)


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("quick", [(2, 10), (5, 20)]),  # 30 requests in all
        ("standard", [(2, 20), (5, 50), (10, 100)]),
        ("comprehensive", [(2, 50), (5, 100), (10, 200), (20, 100)]),
        ("baseline", [(1, 30)]),
        ("concurrency-ladder", [(c, None) for c in (32, 64, 128, 256, 512)]),
        ("throughput", [(c, None) for c in (5, 10, 20, 30, 50)]),
        ("sustained", [(10, None)]),
        ("stress-512", [(512, None)]),
        ("stress-4096", [(4096, None)]),
    ],
)
def test_loads(name, steps):
    """Users and requests of the closed scenarios are the promised ones."""
    assert loads(name) == steps


def test_the_token_matrix_crosses_three_things():
    """Concurrency × input × output, each combination once."""
    steps = plan.make(reading.load("token-matrix", {}, []), "r", 8).plan.steps
    cells = {(s.concurrency, s.workload.input_tokens.value, s.workload.output_tokens.value) for s in steps}
    assert len(cells) == len(steps) == 3 * 3 * 2


def test_the_azure_replay_is_five_minutes_at_double_speed():
    """The trace's own gaps and lengths, halved in time: its first 300 s in 150."""
    made = plan.make(reading.load("trace-azure-conversation", {}, []), "r", 1)
    assert 140e9 < made.arrivals[0][-1] < 150e9
    assert made.lengths[0].shape == (len(made.arrivals[0]), 2)
    assert made.lengths[0][0].tolist() == [374, 44]


def test_the_ramp_is_smooth():
    """One step whose users grow on a line, no staircase."""
    (step,) = plan.make(reading.load("ramp", {}, []), "r", 1).plan.steps
    assert (step.concurrency, step.concurrency_end) == (1, 64)


def test_the_chats_are_conversations():
    """Sessions of three to seven turns that users think between; they start by themselves, whatever the target does."""
    (step,) = plan.make(reading.load("chat-sessions", {}, []), "r", 1).plan.steps
    assert (step.arrivals, step.turns, step.planned_arrivals) == ("poisson", 7, 120)
    assert step.workload.session.think.mean_s == 3


def test_the_mix_has_three_workloads():
    """A chat, a completion and a summary, told apart by name and by tag."""
    (step,) = plan.make(reading.load("mixed-workloads", {}, []), "r", 1).plan.steps
    assert [(w.name, w.weight, w.tags, w.session is not None) for w in step.mix] == [
        ("chat", 6, "kind=interactive", True),
        ("autocomplete", 3, "kind=interactive", False),
        ("summary", 1, "kind=batch", False),
    ]
