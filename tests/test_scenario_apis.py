"""What a scenario's ``api`` changes in the plan: streaming, the length's name, what is wanted of an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from generator import job
from generator.apis import table
from generator.apis.api import Call
from generator.errors import ScenarioError
from generator.planning import plan
from generator.scenario import reading


def planned(tmp_path: Path, **target: Any) -> job.Plan:
    file = tmp_path / "s.yaml"
    data = {
        "seed": 1,
        "target": {"url": "http://127.0.0.1:9/v1", "model": "m", **target},
        "steps": [{"concurrency": 1, "requests": 1}],
    }
    file.write_text(yaml.safe_dump(data))
    return plan.make(reading.load(str(file), {}, []), "r", 1).plan


def body_of(made: job.Plan) -> dict[str, Any]:
    (there,) = made.targets.values()
    call = Call(there.model, "Hi", 16, there.stream, there.max_tokens_field, there.body)
    body: dict[str, Any] = orjson.loads(table.make(there).encode(call).body)
    return body


@pytest.mark.parametrize(
    ("api", "field"),
    [
        ("openai-chat", "max_tokens"),
        ("openai-completions", "max_tokens"),
        ("openai-responses", "max_output_tokens"),
        ("anthropic-messages", "max_tokens"),
    ],
)
def test_the_length_has_the_apis_name_unless_another_is_said(tmp_path: Path, api: str, field: str) -> None:
    """A scenario that names no field leaves it to the API, whatever the API is."""
    assert body_of(planned(tmp_path, api=api))[field] == 16
    assert body_of(planned(tmp_path, api=api, max_tokens_field="limit"))["limit"] == 16


def test_embeddings_want_no_tokens_and_no_stream(tmp_path: Path) -> None:
    """Nothing is asked for that the API does not have, so that nothing wanted is missed."""
    made = planned(tmp_path, api="openai-embeddings")
    assert body_of(made) == {"model": "m", "input": "Hi"}
    assert not made.targets["target"].stream
    assert made.steps[0].workload.output_tokens is None


def test_a_stream_of_embeddings_is_an_error(tmp_path: Path) -> None:
    """Said, and not quietly ignored."""
    with pytest.raises(
        ScenarioError, match=r"target\.stream: openai-embeddings answers in one piece; leave stream out"
    ):
        planned(tmp_path, api="openai-embeddings", stream=True)
