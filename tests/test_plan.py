"""Scenario → plan: steps in order with their seeds, what they need, what is warned of; and the same plan from its files."""

import dataclasses
import itertools
import subprocess
import sys

import numpy as np
import pytest
import yaml

from generator import job, machine, run_dir, schedule
from generator.errors import MachineError, ScenarioError
from generator.job import MANY, Length
from generator.machine import Machine
from generator.planning import needs, plan
from generator.scenario import reading
from generator.thresholds import Rule

ROOMY = Machine(1_000_000, 1_000_000, 60_000, 0, 8.0, 2**34)


@pytest.fixture(autouse=True)
def _roomy(monkeypatch):
    monkeypatch.setattr(machine, "look", lambda: ROOMY)
    for name in (
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "http_proxy",
        "https_proxy",
        "NO_PROXY",
        "no_proxy",
        "all_proxy",
        "ALL_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def planned(tmp_path):
    """Plans a scenario given as keys; target is the simulator unless said."""

    def of(run_id="r", workers=None, **keys):
        data = {"target": {"url": "simulator"}, "seed": 42} | keys
        if "targets" in keys:
            del data["target"]
        file = tmp_path / "s.yaml"
        file.write_text(yaml.safe_dump(data, sort_keys=False))
        return plan.make(reading.load(str(file), {}, []), run_id, workers)

    return of


def test_a_step_has_what_the_scenario_says(planned):
    """Every field of a closed step, in ns and tokens."""
    made = planned(
        workload={"input_tokens": 100, "output_tokens": {"uniform": [5, 9]}, "shared_prefix_tokens": 10},
        steps=[
            {
                "concurrency": {"from": 2, "to": 8},
                "think": {"exponential": "2s"},
                "duration": "10s",
                "warmup": "1s",
                "pause": "3s",
                "drain": "none",
            }
        ],
    )
    (step,) = made.plan.steps
    assert (step.arrivals, step.concurrency, step.concurrency_end) == ("closed", 2, 8)
    assert step.think == job.Pause("exponential", 2.0)
    assert (step.duration_ns, step.requests, step.planned_arrivals) == (10_000_000_000, MANY, None)
    assert (step.warmup_ns, step.pause_ns, step.drain_ns) == (1_000_000_000, 3_000_000_000, None)
    assert step.workload == job.WorkloadSpec(
        "synthetic", Length("fixed", 100), Length("uniform", low=5, high=9), None, 10
    )
    assert (step.name, step.cell, step.arm, step.seed) == ("closed 2 to 8", None, None, (42, 0))
    assert made.plan.targets["target"].model == "simulated"


def test_top_level_keys_are_defaults_of_the_steps(planned):
    """warmup, pause, drain and max_in_flight of the scenario hold where a step has none; a closed loop has no cap."""
    made = planned(
        warmup="1s", pause="2s", drain="0s", max_in_flight=9,
        steps=[{"rate": "5/s", "duration": "9s"}, {"rate": "5/s", "duration": "9s", "warmup": "0s", "max_in_flight": 3}, {"concurrency": 2, "duration": "9s"}],
    ).plan.steps  # fmt: skip
    assert [(s.warmup_ns, s.pause_ns, s.drain_ns, s.max_in_flight) for s in made] == [
        (10**9, 2 * 10**9, 0, 9), (0, 2 * 10**9, 0, 3), (10**9, 2 * 10**9, 0, None)]  # fmt: skip


def test_lengths_default_where_nobody_says(planned):
    """512 in and 128 out; a dataset's prompts have no length of their own to want."""
    (step,) = planned(steps=[{"concurrency": 1, "requests": 1}]).plan.steps
    assert (step.workload.input_tokens, step.workload.output_tokens) == (Length("fixed", 512), Length("fixed", 128))


def test_cells_are_the_outer_loop(planned):
    """Cells in list order, the last key running fastest, all steps within each."""
    made = planned(
        matrix={"output_tokens": [1, 2], "input_tokens": [30, 40]},
        steps=[{"rate": "5/s", "duration": "2s"}, {"concurrency": 3, "requests": 4}],
    ).plan.steps
    cells = [f"output_tokens={o},input_tokens={i}" for o, i in itertools.product((1, 2), (30, 40))]
    assert [(s.cell, s.arrivals) for s in made] == [(c, a) for c in cells for a in ("poisson", "closed")]
    assert [s.step_id for s in made] == list(range(8))
    assert len({s.seed for s in made}) == 8
    assert [s.workload.input_tokens.value for s in made] == [30, 30, 40, 40] * 2


def test_a_matrix_of_loads_fills_each_kind_of_step(planned):
    """``rate`` goes to the open step alone, ``concurrency`` to the closed one alone."""
    made = planned(
        matrix={"rate": ["1/s", "2/s"], "concurrency": [7]},
        steps=[{"arrivals": "constant", "duration": "2s"}, {"arrivals": "closed", "requests": 4}],
    ).plan.steps
    assert [(s.rate_rps, s.concurrency) for s in made] == [(1, None), (None, 7), (2, None), (None, 7)]


def test_targets_get_the_same_arrivals_and_prompts(planned):
    """In a comparison each step runs on every target with one seed; arm is the target's name."""
    made = planned(
        targets={"a": {"url": "simulator"}, "b": {"url": "simulator"}}, steps=[{"rate": "50/s", "duration": "2s"}] * 2
    )
    assert [(s.target, s.arm, s.seed[1]) for s in made.plan.steps] == [
        ("a", "a", 0),
        ("b", "b", 0),
        ("a", "a", 1),
        ("b", "b", 1),
    ]
    assert np.array_equal(made.arrivals[0], made.arrivals[1])
    assert not np.array_equal(made.arrivals[0], made.arrivals[2])


def test_the_schedule_does_not_know_the_workers(planned):
    """1, 2 or 64 workers: equal arrivals, equal steps."""
    steps = [
        {"rate": {"from": "5/s", "to": "80/s"}, "duration": "4s"},
        {"arrivals": "gamma", "burstiness": 0.25, "rate": "40/s", "requests": 99},
    ]
    one, two, many = (planned(workers=w, steps=steps) for w in (1, 2, 64))
    assert [p.plan.workers for p in (one, two, many)] == [1, 2, 64]
    for other in (two, many):
        assert other.plan.steps == one.plan.steps
        assert all(np.array_equal(other.arrivals[k], one.arrivals[k]) for k in one.arrivals)
    assert [len(one.arrivals[k]) for k in (0, 1)] == [s.planned_arrivals for s in one.plan.steps]
    assert one.plan.steps[1].name == "gamma 40/s, CV 2"


def test_a_plan_survives_its_files(planned, tmp_path):
    """plan.json loads to an equal Plan, the arrays to equal arrays, scenario.yaml to the same digest; no secret is in any file."""
    trace = tmp_path / "t.csv"
    trace.write_text("time,input_tokens,output_tokens\n0,10,1\n1,20,2\n2.5,30,3\n")
    made = planned(
        target={"url": "simulator", "api_key": "sk-hush", "headers": {"x-token": "sk-hush-too"}},
        steps=[{"rate": "50/s", "duration": "1s"}, {"trace": {"file": str(trace), "speed": 2}}],
        slo={"ttft": "1s", "attainment": "99%"}, thresholds=["p99(ttft) < 2s"],
    )  # fmt: skip
    run = run_dir.create(tmp_path / "runs", "r")
    plan.write(made, run)
    back = job.load(job.Plan, run.plan_path.read_bytes())
    assert back == made.plan
    assert (back.slo, back.thresholds) == ({"ttft_ms": 1000.0, "attainment": 0.99}, (Rule("p99(ttft) < 2s"),))
    assert np.array_equal(np.load(run.arrivals_path(0)), made.arrivals[0])
    assert np.load(run.arrivals_path(1)).tolist() == [0, 500_000_000, 1_250_000_000]
    assert np.load(run.lengths_path(1)).tolist() == [[10, 1], [20, 2], [30, 3]]
    assert b"sk-hush" not in b"".join(p.read_bytes() for p in run.path.rglob("*") if p.is_file())
    assert set(made.secrets.values()) == {"sk-hush", "sk-hush-too"}
    assert "sk-hush" not in repr(made)


def test_a_trace_step_ends_by_number_or_duration_and_takes_said_lengths(planned, tmp_path):
    """``requests`` and ``duration`` cut a trace; a workload's own lengths replace the trace's, each by itself."""
    trace = tmp_path / "t.csv"
    trace.write_text("time,input_tokens,output_tokens\n" + "".join(f"{n},{n + 1},{n + 2}\n" for n in range(10)))
    replay = {"trace": {"file": str(trace)}}
    made = planned(
        workload={"output_tokens": 7},
        steps=[replay, replay | {"requests": 3}, replay | {"duration": "4s"}, replay | {"input_tokens": 5}],
    )
    assert [s.planned_arrivals for s in made.plan.steps] == [10, 3, 4, 10]
    assert [(s.workload.input_tokens.law, s.workload.output_tokens.value) for s in made.plan.steps] == [
        ("trace", 7)
    ] * 3 + [("fixed", 7)]
    assert sorted(made.lengths) == [0, 1, 2]
    assert made.needs.steps[1].input_tokens == 1 + 2 + 3


def test_needs_are_counted(planned):
    """Requests, tokens, time, descriptors and ports of a plan, None where the target decides."""
    made = planned(
        workers=3, workload={"input_tokens": 100, "output_tokens": {"uniform": [1, 3]}}, pause="1s",
        steps=[{"arrivals": "constant", "rate": "10/s", "duration": "5s"}, {"concurrency": 64, "requests": 1000}, {"concurrency": 8, "duration": "3s"}],
    )  # fmt: skip
    first, second, third = made.needs.steps
    assert (first.requests, first.duration_s, first.input_tokens, first.output_tokens) == (50, 6.0, 5000, 100)
    assert (second.requests, second.duration_s, second.in_flight, second.assumed) == (1000, None, 64, False)
    assert (third.requests, third.duration_s, third.input_tokens) == (None, 4.0, None)
    assert (made.needs.requests, made.needs.duration_s) == (None, None)
    assert made.needs.descriptors == 22 + needs.SPARE_DESCRIPTORS
    assert made.needs.ports == 64


@pytest.mark.parametrize(
    ("step", "ports"),
    [
        ({"concurrency": 10, "requests": 500}, 10 + 500),  # each may be in TIME_WAIT when the last is sent
        ({"concurrency": 10, "duration": "2s"}, 10 + 200),  # 10 slots, answers of 0.1 s at the shortest
        (
            {"arrivals": "constant", "rate": "100/s", "duration": "120s", "max_in_flight": 50},
            50 + 6000,
        ),  # 60 s of them wait
    ],
)
def test_a_connection_a_request_needs_a_port_a_minute(planned, step, ports):
    """Without reuse the ports of the last minute's connections are in TIME_WAIT."""
    assert planned(connections="per-request", steps=[step]).needs.ports == ports


def test_a_machine_that_lacks_descriptors_is_an_error(planned, monkeypatch):
    """A closed loop above the hard limit stops before anything runs; more workers share it out."""
    monkeypatch.setattr(machine, "look", lambda: Machine(256, 1024, 60_000, 0, 8.0, None))
    steps = [{"concurrency": 2000, "requests": 3000}]
    with pytest.raises(
        MachineError,
        match=r"step 'closed 2000' needs 2,064 descriptors in each of 1 workers; the hard limit is 1,024; raise it",
    ):
        planned(workers=1, steps=steps)
    assert planned(workers=4, steps=steps).needs.descriptors == 564


def test_a_machine_that_lacks_memory_for_its_workers(planned, monkeypatch):
    """A thousand workers on a small machine would be killed before they send anything; where nobody knows the memory nobody minds."""
    steps = [{"concurrency": 1000, "requests": 3000}]
    monkeypatch.setattr(machine, "look", lambda: Machine(10**6, 10**6, 60_000, 0, 2.0, 24 * 2**30))
    with pytest.raises(
        MachineError, match=r"1000 workers need about 139\.7 GiB of memory .*; 24\.0 GiB can be had; use fewer"
    ):
        planned(workers=1000, steps=steps)
    monkeypatch.setattr(machine, "look", lambda: Machine(10**6, 10**6, 60_000, 0, 2.0, None))
    assert planned(workers=1000, steps=steps).plan.workers == 1000


def test_an_open_loop_only_may_lack_descriptors(planned, monkeypatch):
    """What is assumed of answers' times is a warning."""
    monkeypatch.setattr(machine, "look", lambda: Machine(256, 1024, 60_000, 0, 8.0, None))
    made = planned(workers=1, steps=[{"arrivals": "constant", "rate": "500/s", "duration": "20s"}])
    assert any("5,064 descriptors a worker may be needed" in w for w in made.warnings)
    with pytest.raises(MachineError, match="needs 2,064 descriptors"):
        planned(workers=1, steps=[{"rate": "500/s", "duration": "20s", "max_in_flight": 2000}])


def test_a_machine_that_lacks_ports(planned, monkeypatch):
    """More slots than ports towards one address cannot be; towards a name that may have many addresses it is a warning."""
    monkeypatch.setattr(machine, "look", lambda: Machine(10**6, 10**6, 1000, 200, 8.0, None))
    with pytest.raises(MachineError, match="needs 1,500 ports towards one address; the range has 1,000"):
        planned(steps=[{"concurrency": 1500, "requests": 3000}])
    named = {"url": "http://many.example/v1", "model": "m"}
    assert any(
        "1,500 local ports" in w and "800 are free" in w
        for w in planned(target=named, steps=[{"concurrency": 1500, "requests": 3000}]).warnings
    )


@pytest.mark.parametrize(
    ("keys", "warning"),
    [
        ({"steps": [{"concurrency": 1, "requests": 298}]}, "too few requests for a p99"),
        (
            {
                "steps": [{"concurrency": 1, "requests": 298}, {"concurrency": 1, "requests": 400, "name": "long"}],
                "thresholds": ["p99(ttft) < 1s", {"rule": "p99(ttft) < 2s", "step": "long"}, "p99(icl) < 1s"],
            },
            "threshold p99(ttft) < 1s takes 299 answers to be judged; step 'closed 1' sends about 298: make",
        ),
        ({"steps": [{"rate": "1/h", "duration": "1s"}]}, "no arrival falls into poisson 0.000277778/s"),
        (
            {"workload": {"input_tokens": 5}, "steps": [{"concurrency": 1, "requests": 999}]},
            "too short to be unlike each other",
        ),
        (
            {
                "workload": {"input_tokens": 50, "shared_prefix_tokens": 45},
                "steps": [{"concurrency": 1, "requests": 999}],
            },
            "too short to be",
        ),
        ({"workers": 64, "steps": [{"concurrency": 1, "requests": 999}]}, "64 workers share 8 processors"),
        (
            {"steps": [{"concurrency": 400, "requests": 300}]},
            "fewer requests than slots, so some slots send nothing: closed 400",
        ),
        ({"probe": 0, "steps": [{"concurrency": 1, "requests": 999}]}, "probe: 0"),
        (
            {
                "target": {"url": "http://127.0.0.1:1/v1/chat/completions/", "model": "m"},
                "steps": [{"concurrency": 1, "requests": 999}],
            },
            "its url ends with /chat/completions, and openai-chat adds its own path to a url",
        ),
    ],
)
def test_warnings(planned, keys, warning):
    """Each doubt is told before the run and kept in the plan."""
    made = planned(**keys)
    assert any(warning in w for w in made.warnings)
    assert made.plan.warnings == tuple(made.warnings)
    assert planned(steps=[{"concurrency": 1, "requests": 299}]).warnings == []


def test_a_proxy_of_the_environment_is_told(planned, monkeypatch):
    """HTTPS_PROXY set and ignored is a warning, unless NO_PROXY names the host or the target names a proxy."""
    monkeypatch.setenv("HTTPS_PROXY", "http://user:hush@proxy:3128")
    target = {"url": "https://api.example.com/v1", "model": "m"}
    steps = [{"concurrency": 1, "requests": 999}]
    (warning,) = planned(target=target, steps=steps).warnings
    assert warning.startswith("HTTPS_PROXY is set and ignored: requests to api.example.com go straight there")
    assert "hush" not in warning
    assert planned(target=target | {"proxy": "http://p:1"}, transport="aiohttp", steps=steps).warnings == []
    assert planned(target=target | {"url": "http://api.example.com/v1"}, steps=steps).warnings == []
    monkeypatch.setenv("NO_PROXY", "localhost, .example.com")
    assert planned(target=target, steps=steps).warnings == []


def test_more_arrivals_than_memory_holds(planned, monkeypatch):
    """The sum over all steps is bounded, before any is drawn."""
    monkeypatch.setattr(schedule, "offsets", lambda step: pytest.fail("drawn"))
    with pytest.raises(
        ScenarioError, match=r"s.yaml:\d+: steps: about 86,400,000,000 arrivals; a run holds at most 50,000,000"
    ):
        planned(steps=[{"rate": "1000000/s", "duration": "1d"}])


def test_prompts_are_checked_before_the_run(planned, tmp_path):
    """A dataset with a bad line never reaches a worker."""
    (tmp_path / "p.jsonl").write_text('{"prompt": "a"}\n{"text": "b"}\n')
    with pytest.raises(ScenarioError, match=r"p\.jsonl:2"):
        planned(workload={"prompts": "p.jsonl"}, steps=[{"concurrency": 1, "requests": 1}])


def test_a_started_simulators_url_takes_its_place(planned):
    """``with_urls`` changes what it names and nothing else."""
    made = planned(
        targets={"a": {"url": "simulator"}, "b": {"url": "http://b/v1", "model": "m"}},
        steps=[{"concurrency": 1, "requests": 1}],
    )
    moved = made.with_urls({"a": "http://127.0.0.1:9/v1"})
    assert [t.url for t in moved.plan.targets.values()] == ["http://127.0.0.1:9/v1", "http://b/v1"]
    assert dataclasses.replace(moved.plan, targets=made.plan.targets) == made.plan


def test_planning_loads_no_heavy_library():
    """``openloop plan`` waits for no HTTP client, database or Arrow."""
    code = "import sys, generator.planning.plan; print([m for m in ('aiohttp', 'duckdb', 'pyarrow', 'uvloop') if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


@pytest.mark.parametrize(
    "target",
    [{"tls": {"ca": "nothing.pem"}}, {"tls": {"ca": "folder"}}, {"tokenizer": "nothing.json"}, {"tokenizer": "folder"}],
)
def test_a_file_of_a_target_that_is_not_there(tmp_path, target):
    """Told by the plan, with place and key, not by the workers of a run."""
    (tmp_path / "folder").mkdir()
    keys = {"url": "https://127.0.0.1:1/v1", "model": "m"} | target
    (tmp_path / "s.yaml").write_text(yaml.safe_dump({"target": keys, "steps": [{"concurrency": 1, "requests": 1}]}))
    with pytest.raises(ScenarioError, match=r"s\.yaml:\d: target\.(tls\.ca|tokenizer): .*(no such|not a) file"):
        plan.make(reading.load(str(tmp_path / "s.yaml"), {}, []), "r", 1)
