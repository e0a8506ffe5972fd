"""What a scenario says of a plain HTTP API and of requests given up on purpose: what it becomes, and what is refused with which words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator import job
from generator.errors import ScenarioError
from generator.planning import plan
from generator.scenario import reading

ROOT = Path(__file__).parents[1]
STEPS = [{"rate": "10/s", "duration": "1s"}]


def planned(tmp_path: Path, target: dict[str, Any], **keys: Any) -> job.Plan:
    file = tmp_path / "s.yaml"
    data = {"target": {"url": "http://127.0.0.1:9", **target}, "steps": STEPS, "seed": 1, **keys}
    file.write_text(yaml.safe_dump(data, sort_keys=False))
    return plan.make(reading.load(str(file), {}, []), "r").plan


def refused(tmp_path: Path, target: dict[str, Any], **keys: Any) -> str:
    with pytest.raises(ScenarioError) as told:
        planned(tmp_path, target, **keys)
    return str(told.value).replace(str(tmp_path / "s.yaml"), "s.yaml")


def test_all_keys_reach_the_workers(tmp_path: Path) -> None:
    """The plan holds them, nulls of a body included, through its JSON and back."""
    http = {
        "method": "PUT",
        "path": "/a?q={{record.q}}",
        "body": {"p": "{{prompt}}", "none": None, "list": [1, 2.5, True, None]},
        "payload": "$.input",
        "answer": "$.text",
        "answer_required": True,
        "error": "$.error",
        "input_tokens": "$.in",
        "output_tokens": "$.out",
    }
    made = planned(tmp_path, {"api": "http-json", "http": http})
    again = job.load(job.Plan, job.dump(made))
    assert again == made
    assert again.targets["target"].http == job.Http(**http)


def test_the_model_is_optional_and_streaming_is_asked_for(tmp_path: Path) -> None:
    """A plain service has no model, and answers whole unless the scenario says otherwise."""
    target = planned(tmp_path, {"api": "http-json"}).targets["target"]
    assert (target.model, target.stream, target.http) == ("", False, None)
    target = planned(tmp_path, {"api": "http-json", "stream": True, "model": "m"}).targets["target"]
    assert (target.model, target.stream) == ("m", True)
    assert "no model" in refused(tmp_path, {"api": "openai-chat"})


@pytest.mark.parametrize("api", ["openai-chat", "openai-completions", "openai-responses", "anthropic-messages"])
def test_streaming_off(tmp_path: Path, api: str) -> None:
    """``stream: false`` is a key of every API that streams unless told otherwise."""
    assert planned(tmp_path, {"api": api, "model": "m"}).targets["target"].stream
    assert not planned(tmp_path, {"api": api, "model": "m", "stream": False}).targets["target"].stream


@pytest.mark.parametrize(
    ("http", "said"),
    [
        ({"answer": "output.text"}, "s.yaml:5: target.http.answer: 'output.text' is no JSONPath (RFC 9535): expected"),
        ({"payload": ""}, "s.yaml:5: target.http.payload: '' is no JSONPath"),
        ({"output_tokens": "$.a["}, "s.yaml:5: target.http.output_tokens: '$.a[' is no JSONPath"),
        ({"method": "FETCH"}, "s.yaml:5: target.http.method: 'FETCH' is not one of"),
        ({"path": "predict"}, "s.yaml:5: target.http.path: 'predict': a path begins with /"),
        ({"path": "/{{recrod.x}}"}, "s.yaml:5: target.http.path: {{recrod.x}}: unknown placeholder; nearest: record"),
        ({"body": "{{record[*]}}"}, "s.yaml:5: target.http.body: {{record[*]}}: a placeholder names one value"),
        ({"body": {"a": {1: 2}}}, "target.http.body.a: 1 is no name of a JSON object; quote it"),
        ({"body": {"a": float("nan")}}, "target.http.body.a: JSON has no infinities"),
        ({"answer_required": True}, "s.yaml:5: target.http.answer_required: answer_required needs answer"),
        ({"anwser": "$.a"}, "s.yaml:5: target.http.anwser: unknown key; nearest: 'answer'"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_place_and_fix(tmp_path: Path, http: dict[str, Any], said: str) -> None:
    """Long before a worker would fail over it."""
    assert said in refused(tmp_path, {"api": "http-json", "http": http})


def test_http_is_for_http_json(tmp_path: Path) -> None:
    """Other APIs know their own bodies."""
    assert "target.http: http is for api: http-json, not openai-chat" in refused(tmp_path, {"model": "m", "http": {}})


def test_secrets_in_paths_and_bodies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``${NAME}`` is read in ``http``, and its value stays out of the plan."""
    monkeypatch.setenv("WORD", "open-sesame")
    file = tmp_path / "s.yaml"
    http = {"path": "/x?key=${WORD}", "body": {"k": "${WORD}"}}
    file.write_text(yaml.safe_dump({"target": {"url": "http://h", "api": "http-json", "http": http}, "steps": STEPS}))
    made = plan.make(reading.load(str(file), {}, []), "r")
    assert b"open-sesame" not in job.dump(made.plan)
    assert "open-sesame" not in made.scenario_text
    assert made.secrets == {"${WORD}": "open-sesame"}


@pytest.mark.parametrize(
    ("cancel", "wanted"),
    [
        ({"share": "10%", "after": "500ms"}, job.Cancel(0.1, after_ns=500_000_000)),
        ({"share": 1, "after": 0}, job.Cancel(1.0, after_ns=0)),
        ({"share": 0.25, "after_tokens": 5}, job.Cancel(0.25, after_tokens=5)),
    ],
)
def test_cancel(tmp_path: Path, cancel: dict[str, Any], wanted: job.Cancel) -> None:
    """A share and a moment, in the plan of each step."""
    made = planned(tmp_path, {"model": "m"}, workload={"cancel": cancel})
    assert made.steps[0].workload.cancel == wanted
    assert job.load(job.Plan, job.dump(made)) == made


@pytest.mark.parametrize(
    ("cancel", "said"),
    [
        ({"share": "10%"}, "workload.cancel: after or after_tokens is wanted, one of them"),
        ({"share": "10%", "after": "1s", "after_tokens": 3}, "after or after_tokens is wanted, one of them"),
        ({"share": "0%", "after": "1s"}, "workload.cancel.share: a share of zero gives nothing up"),
        ({"share": "110%", "after": "1s"}, "workload.cancel.share:"),
        ({"after": "1s"}, "share is missing"),
        ({"share": "10%", "after_tokens": 0}, "workload.cancel.after_tokens:"),
    ],
)
def test_cancels_that_cannot_be(tmp_path: Path, cancel: dict[str, Any], said: str) -> None:
    """They are refused with their place."""
    assert said in refused(tmp_path, {"model": "m"}, workload={"cancel": cancel})


def test_tokens_are_counted_only_in_streams(tmp_path: Path) -> None:
    """Without a stream no token comes before the end, so nothing would ever be given up."""
    for target in ({"model": "m", "stream": False}, {"api": "http-json"}):
        said = refused(tmp_path, target, workload={"cancel": {"share": 0.5, "after_tokens": 1}})
        assert "workload.cancel.after_tokens: target 'target' does not stream" in said
    made = planned(tmp_path, {"model": "m", "stream": False}, workload={"cancel": {"share": 0.5, "after": "1s"}})
    assert made.steps[0].workload.cancel is not None


def test_each_of_several_workloads_has_its_own(tmp_path: Path) -> None:
    """A mix may hold patient and impatient users."""
    patient, hasty = {"name": "patient"}, {"name": "hasty", "cancel": {"share": "50%", "after": "1s"}}
    made = planned(tmp_path, {"model": "m"}, workloads=[patient, hasty])
    assert [w.cancel for w in made.steps[0].mix] == [None, job.Cancel(0.5, 1_000_000_000)]


def test_only_who_asks_pays_for_jsonpath() -> None:
    """Neither the command line nor a worker of another API loads the library."""
    code = (
        "import sys; from generator import worker; from generator.planning import plan; from generator.scenario import reading; from generator.apis import table; from generator.job import Target\n"
        "table.make(Target('t', 'http://h', 'openai-chat', 'm')); assert 'jsonpath' not in sys.modules\n"
        "table.make(Target('t', 'http://h', 'http-json', '')); assert 'jsonpath' in sys.modules"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


@pytest.mark.parametrize(
    ("http", "from_file", "asked"),
    [
        ({"body": {"n": "{{max_tokens}}"}}, True, True),
        ({"path": "/x?n={{ max_tokens }}"}, True, True),
        ({"body": ["{{prompt}}"]}, False, False),
        ({}, False, True),
        ({}, True, False),
        ({"method": "GET"}, False, False),
    ],
)
def test_a_length_that_is_not_sent_is_not_recorded_as_wanted(
    tmp_path: Path, http: dict[str, Any], from_file: bool, asked: bool
) -> None:
    """Only what reaches the service was asked for; a length that the scenario states itself is taken at its word."""
    (tmp_path / "r.jsonl").write_text('{"prompt": "p"}\n')
    workload = {"prompts": "r.jsonl"} if from_file else {}
    target = {"api": "http-json", "http": http}
    assert (planned(tmp_path, target, workload=workload).steps[0].workload.output_tokens is not None) is asked
    said = planned(tmp_path, target, workload={**workload, "output_tokens": 5}).steps[0].workload.output_tokens
    assert said == job.Length("fixed", 5)


def told(tmp_path: Path, target: dict[str, Any], records: list[dict[str, Any]] | None = None) -> list[str]:
    """The plan's warnings about templates."""
    workload = {}
    if records is not None:
        (tmp_path / "r.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
        workload = {"prompts": "r.jsonl"}
    found = planned(tmp_path, {"api": "http-json", **target}, workload=workload).warnings
    return [warning for warning in found if warning.startswith("target")]


def test_a_template_that_finds_nothing_is_warned_of(tmp_path: Path) -> None:
    """Before it is sent a thousand times: fields that no record or only some have, a payload without a match, a model that is not named."""
    records = [{"q": "a", "n": 1}, {"q": "b"}, {"q": None, "n": 2}]
    http = {"body": {"q": "{{record.q}}", "n": "{{record.n}}", "m": ["{{model}}"]}, "path": "/x?z={{record.z}}"}
    assert sorted(told(tmp_path, {"http": http}, records)) == [
        "target 'target': {{model}} has no value, for the first 3 records of r.jsonl; what it stands for is left out",
        "target 'target': {{record.n}} has no value in 1 of them, for the first 3 records of r.jsonl; what it stands for is left out",
        "target 'target': {{record.z}} has no value, for the first 3 records of r.jsonl; what it stands for is left out",
    ]
    (warned,) = told(tmp_path, {"http": {"payload": "$.inptu"}}, [{"input": 1}])
    assert warned == (
        "target 'target': payload $.inptu matches nothing, for the first record of r.jsonl; what is sent is the whole record"
    )
    assert told(tmp_path, {"http": {"payload": "$.input"}}, [{"input": 1}, {"other": 2}]) == []
    (warned,) = told(tmp_path, {"http": {"body": "{{record.question}}"}})
    assert "{{record.question}} has no value, for a synthetic prompt" in warned
    assert told(tmp_path, {"http": {"body": ["{{prompt}}", "{{max_tokens}}", "{{record.prompt}}"]}}) == []
