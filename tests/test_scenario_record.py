"""A scenario's keys for texts and for the target's own figures: what a person may write, what it becomes, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from generator import job
from generator.errors import ScenarioError
from generator.planning import plan
from generator.scenario import reading

URL = "http://127.0.0.1:9/v1"


def read(tmp_path: Path, target: dict[str, Any] | None = None, **keys: Any) -> reading.Scenario:
    data = {"target": {"url": URL, "model": "m"} | (target or {}), "steps": [{"rate": "5/s", "duration": "1s"}]} | keys
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(data))
    return reading.load(str(tmp_path / "s.yaml"), {}, [])


def metrics(tmp_path: Path, said: Any) -> job.Metrics | None:
    made = plan.make(read(tmp_path, {"metrics": said}), "r").plan
    assert job.load(job.Plan, job.dump(made)) == made, "a plan comes back from its file as it was"
    return made.targets["target"].metrics


def test_nothing_is_kept_unless_said(tmp_path: Path) -> None:
    """Neither texts nor figures."""
    made = plan.make(read(tmp_path), "r").plan
    assert made.texts == job.Texts("none")
    assert made.targets["target"].metrics is None


def test_what_is_kept_of_texts(tmp_path: Path) -> None:
    """Every key, with its unit."""
    said = {"texts": "sample", "first": 3, "share": "5%", "max_chars": 100, "max_size": "2MiB"}
    made = plan.make(read(tmp_path, record=said), "r").plan
    assert made.texts == job.Texts("sample", 3, 0.05, 100, 2 * 2**20)
    assert job.load(job.Plan, job.dump(made)).texts == made.texts


@pytest.mark.parametrize(
    ("said", "becomes"),
    [
        (True, job.Metrics(scrape=True)),
        ("http://h:1/m?x=1", job.Metrics(scrape=True, url="http://h:1/m?x=1")),
        ({"pid": 7}, job.Metrics(scrape=False, pids=(7,))),
        ({"pid": [7, 8], "url": "http://h/m"}, job.Metrics(scrape=True, url="http://h/m", pids=(7, 8))),
        (
            {"names": ["vllm:"], "series": 9, "headers": {"x-a": "b"}},
            job.Metrics(scrape=True, names=("vllm:",), series=9, headers={"x-a": "b"}),
        ),
    ],
)
def test_ways_to_ask_for_figures(tmp_path: Path, said: Any, becomes: job.Metrics) -> None:
    """Without url and pid the target's own host is read; a pid alone reads no endpoint."""
    assert metrics(tmp_path, said) == becomes


@pytest.mark.parametrize(
    ("target", "keys", "told"),
    [
        ({"metrics": 5}, {}, "target.metrics: true, a URL or a mapping such as {pid: 1234} is wanted, not 5"),
        ({"metrics": False}, {}, "target.metrics: true, a URL or a mapping"),
        ({"metrics": "nope"}, {}, "target.metrics: 'nope': a whole URL is wanted"),
        ({"metrics": "http://u:p@h/m"}, {}, "the URL carries a user name; put credentials into headers"),
        ({"metrics": {"pid": 0}}, {}, "target.metrics.pid: a process id is 1 or more"),
        ({"metrics": {"nams": []}}, {}, "target.metrics.nams: unknown key; nearest: 'names'"),
        ({"metrics": {"pid": 1, "headers": {"a": "b"}}}, {}, "headers go with a url"),
        ({"metrics": {"headers": {"a b": "c"}}}, {}, "'a b' is no name of a header"),
        ({}, {"record": {"texts": "some"}}, "record.texts: 'some' is not one of 'none', 'sample' or 'all'"),
        ({}, {"record": {"texts": "sample", "first": 0, "share": 0}}, "a sample of none"),
        ({}, {"record": {"max_size": 5}}, "a size with its unit is wanted, such as 256MB, not 5; write 5B"),
    ],
)
def test_faults_are_named(tmp_path: Path, target: dict[str, Any], keys: dict[str, Any], told: str) -> None:
    """With file, line and key."""
    with pytest.raises(ScenarioError) as caught:
        read(tmp_path, target, **keys)
    assert told in str(caught.value)
    assert str(caught.value).startswith(f"{tmp_path}/s.yaml:")


def test_secrets_of_a_scrape_stay_out_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``${NAME}`` is kept as it is; what was written out in a header that carries secrets is replaced by one."""
    monkeypatch.setenv("SCRAPE_TOKEN", "hush-hush")
    said = {
        "url": "http://h/m?t=${SCRAPE_TOKEN}",
        "headers": {"Authorization": "Bearer spoken-aloud", "x-plain": "seen"},
    }
    found = read(tmp_path, {"metrics": said})
    made = plan.make(found, "r")
    assert sorted(found.secrets.values()) == ["Bearer spoken-aloud", "hush-hush"]
    for text in (found.text(), job.dump(made.plan).decode()):
        assert "hush-hush" not in text
        assert "spoken-aloud" not in text
        assert "seen" in text
