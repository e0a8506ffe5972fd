"""What a visitor's scenario may reach: targets, variables of the server's environment, files, processes, sizes."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from console.web import admission, jobs
from console.web.admission import Rules
from console.web.settings import Limits, Settings, Sizes
from generator.errors import ScenarioError

KEY = "sk-0123456789abcdefghij"

STEP: dict[str, Any] = {"concurrency": 1, "requests": 1}


def planned(scenario: dict[str, Any], rules: Rules, base: Path = Path("/nonexistent")) -> dict[str, Any]:
    """What a box answers to a plan; raises as the box would."""
    from dataclasses import asdict

    told = asdict(rules) | {"targets": rules.targets, "folders": list(rules.folders)}
    job = {
        "op": "plan",
        "text": yaml.safe_dump(scenario),
        "base": str(base),
        "flags": {},
        "sets": [],
        "rules": told,
        "most_bytes": 800_000,
    }
    return jobs.do(job)[0]


def target(**keys: Any) -> dict[str, Any]:
    return {"target": {"url": "http://ours.example:8000/v1", "model": "m"} | keys, "steps": [STEP]}


def theirs(**keys: Any) -> dict[str, Any]:
    """Their host with its key, past a proxy of the visitor's choice."""
    passed = {"url": "https://api.theirs.example/v1", "api_key": "${THEIRS}", "proxy": "http://evil.example:3128"}
    return target(**passed | keys) | {"transport": "aiohttp"}


OPEN = Rules(
    env={"OURS": None, "THEIRS": ("api.theirs.example",), "AZURE": (".openai.azure.com",), "HERE": ("127.0.0.1",)}
)
CLOSED = Rules(targets=("ours.example:8000", "other.example"), env=OPEN.env)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OURS", "THEIRS", "AZURE", "HERE", "HIDDEN"):
        monkeypatch.setenv(name, f"value-of-{name}")


@pytest.mark.parametrize(
    ("scenario", "rules", "word"),
    [
        (target(url="http://127.0.0.1:22/"), CLOSED, "--allow-target"),
        (target(url="http://ours.example:8001/v1"), CLOSED, "--allow-target"),
        (target(url="http://ours.example.evil.example:8000/v1"), CLOSED, "--allow-target"),
        (target(url="http://ours.example@evil.example/v1"), CLOSED, "user name"),
        (target(metrics="http://169.254.169.254/latest"), CLOSED, "--allow-target"),
        (target(proxy="http://evil.example:3128") | {"transport": "aiohttp"}, CLOSED, "--allow-target"),
        (target(proxy="http://${OURS}:3128") | {"transport": "aiohttp"}, OPEN, "written out"),
        (target(api_key="sk-1234567890"), OPEN, "never pass through here"),
        (target(headers={"Authorization": "Bearer sk-1234567890"}), OPEN, "never pass through here"),
        (target(metrics={"headers": {"X-Api-Key": "abc"}}), OPEN, "never pass through here"),
        (target(proxy="http://me:word@ours.example:3128") | {"transport": "aiohttp"}, OPEN, "never pass through here"),
        (target(body={"api_key": "0123456789"}), OPEN, "target.body.api_key: what stands there looks like a key"),
        (target(body={"deep": [{"x": f"of {KEY}"}]}), OPEN, "target.body.deep.0.x: what"),
        (target(body={KEY: 1}), OPEN, "target.body.[redacted]: what"),
        (target(headers={"x-goog": KEY}), OPEN, "target.headers.x-goog: what"),
        (target(headers={"x-goog": "0123456789abcdef0123456789abcdef0123456789abcdef"}), OPEN, "target.headers.x-goog: what"),
        (target(metrics={"headers": {"x-mine": "Bearer 0123456789"}}), OPEN, "target.metrics.headers.x-mine: what"),
        (target(metrics=f"http://ours.example/m?a={KEY}"), OPEN, "target.metrics: what"),
        (target(metrics="http://ours.example/m?token=abc"), OPEN, "target.metrics.url: what"),
        (target(url=f"http://ours.example/{KEY}/v1"), OPEN, "target.url: what"),
        (target(api_key="${HIDDEN}"), OPEN, "--allow-env HIDDEN"),
        (target(headers={"x-mine": "a ${HIDDEN} b"}), OPEN, "--allow-env HIDDEN"),
        (target(body={"metadata": {"deep": ["${HIDDEN}"]}}), OPEN, "--allow-env HIDDEN"),
        (target(api_key="${THEIRS}"), OPEN, "--allow-env THEIRS@HOST"),
        (target(api_key="${AZURE}", url="https://evil-openai.azure.com.evil.example"), OPEN, "--allow-env AZURE@HOST"),
        (target(url="https://api.theirs.example/v1", metrics={"url": "http://ours.example/m", "headers": {"k": "${THEIRS}"}}), OPEN, "THEIRS@HOST"),
        (theirs(url="http://api.theirs.example/v1"), OPEN, "name an https URL"),
        (theirs(url="http://api.theirs.example/v1", proxy=None), OPEN, "name an https URL"),
        (theirs(proxy=None, metrics={"url": "http://api.theirs.example/m", "headers": {"k": "${THEIRS}"}}), OPEN, "name an https URL"),
        (theirs(url="http://127.0.0.1:8000/v1", api_key="${HERE}"), OPEN, "name an https URL"),
        (theirs(tls={"ca": "/etc/passwd"}), OPEN, "take out tls.ca"),
        (theirs(tls={"verify": False}), OPEN, "take out tls.verify"),
        (theirs(tls={"verify": False}, proxy=None), OPEN, "take out tls.verify"),
        (theirs(tls={"server_name": "evil.example"}), OPEN, "tls.server_name"),
        (theirs(tls={"server_name": "evil.example"}, proxy=None), OPEN, "tls.server_name"),
        (target() | {"workload": {"prompts": "/etc/passwd"}}, OPEN, "--data-dir"),
        (target() | {"workload": {"prompts": {"file": "../../etc/passwd", "format": "text"}}}, OPEN, "--data-dir"),
        (target() | {"prices": "/etc/passwd"}, OPEN, "--data-dir"),
        (target(tls={"ca": "/etc/passwd"}), OPEN, "--data-dir"),
        (target(tokenizer="/etc/passwd"), OPEN, "--data-dir"),
        (target() | {"steps": [{"trace": {"file": "/etc/passwd"}}]}, OPEN, "--data-dir"),
        (target(metrics={"pid": 1}), OPEN, "processes of the server"),
        (target(url="simulator", simulator={"truth": "/tmp/x"}), OPEN, "truth"),
        (target(url="simulator", simulator={"host": "0.0.0.0"}), OPEN, "host"),
        (target(url="simulator", simulator={"tls-key": "/etc/shadow"}), OPEN, "tls-key"),
        (target(url="simulator") | {"steps": [{"rate": "20000/s", "duration": "1s"}]}, OPEN, "requests a second"),
        (target(url="simulator") | {"steps": [{"rate": "200/s", "duration": "3h"}]}, OPEN, "requests are more"),
        (target(url="simulator") | {"steps": [{"concurrency": 1, "duration": "7h"}]}, OPEN, "seconds are more"),
        (target(url="simulator") | {"steps": [{"concurrency": 9000, "requests": 9000}]}, OPEN, "in flight"),
        (target(url="simulator") | {"repeat": 3}, OPEN, "is one run"),
        (target(url="simulator") | {"workers": 17}, OPEN, "workers"),
        (target(url="simulator") | {"steps": [STEP] * 501}, OPEN, "steps are more"),
    ],
)  # fmt: skip
def test_what_is_not_the_visitor_s_is_refused(scenario: dict[str, Any], rules: Rules, word: str) -> None:
    """One line for each fault, with its place and what whoever runs the service can do; no value of a variable in it."""
    with pytest.raises(ScenarioError, match=re.escape(word)) as refused:
        planned(scenario, rules)
    assert "value-of" not in str(refused.value)
    assert KEY not in str(refused.value)
    assert "root:" not in str(refused.value)


@pytest.mark.parametrize(
    ("scenario", "rules", "names"),
    [
        (target(api_key="${OURS}"), CLOSED, ["OURS"]),
        (target(url="https://api.theirs.example/v1", api_key="${THEIRS}"), OPEN, ["THEIRS"]),
        (target(url="http://127.0.0.1:8000/v1", api_key="${HERE}"), OPEN, ["HERE"]),
        (target(url="https://mine.openai.azure.com/x", headers={"api-key": "${AZURE}"}), OPEN, ["AZURE"]),
        (target(url="http://other.example/v1"), CLOSED, []),
        (target(url="simulator"), Rules(targets=()), []),
        (target(url="https://hf-llama-3-8b-instruct.example/v1/sky-t1-32b-preview-awq"), OPEN, []),
        (target(model="ft:hf_llama_3_8b_instruct:0123456789abcdef0123456789abcdef0123456789abcdef"), OPEN, []),
        (target(headers={"X-Password": "${OURS}"}), OPEN, ["OURS"]),
        (target(body={"max_tokens_to_sample": 5, "prompt_cache_key": "of basic understanding"}), OPEN, []),
        (target(body={"image": "iVBORw0KGgo0123456789abcdef0123456789abcdef0123456789abcdef"}), OPEN, []),
    ],
)
def test_what_is_allowed_goes_through(scenario: dict[str, Any], rules: Rules, names: list[str]) -> None:
    """The resolved scenario has names and no values."""
    found = planned(scenario, rules)
    assert found["env_names"] == names
    assert "value-of" not in str(found)


def test_files_of_the_data_folder_and_no_links_out_of_it(tmp_path: Path) -> None:
    """A file in the folder is read, by its name relative to it; a link that leads out is not."""
    (tmp_path / "outside.jsonl").write_text('{"prompt": "secret"}\n')
    data = tmp_path / "data"
    data.mkdir()
    (data / "p.jsonl").write_text('{"prompt": "a"}\n')
    (data / "link.jsonl").symlink_to(tmp_path / "outside.jsonl")
    rules = Rules(folders=(str(data),))
    asked = target(url="simulator") | {"workload": {"prompts": "p.jsonl"}}
    assert str(data / "p.jsonl") in planned(asked, rules, data)["scenario"]
    with pytest.raises(ScenarioError, match="--data-dir"):
        planned(target(url="simulator") | {"workload": {"prompts": "link.jsonl"}}, rules, data)


def test_a_provider_s_key_is_for_its_own_host() -> None:
    """Presets' keys go to their hosts without a word; to any other host only when that was allowed by name."""
    known = admission.variables(("GATEWAY_KEY", "OPENAI_API_KEY@proxy.example"))
    assert known["OPENAI_API_KEY"] == ("api.openai.com", "proxy.example")
    assert known["GATEWAY_KEY"] is None
    assert "AWS_SECRET_ACCESS_KEY" not in known
    assert "AZURE_OPENAI_API_KEY" not in known, "any customer's resource would match"
    assert admission.variables(("AZURE_OPENAI_API_KEY@mine.openai.azure.com",))["AZURE_OPENAI_API_KEY"] == (
        "mine.openai.azure.com",
    )
    assert "PATH" not in known


def test_a_key_passes_a_proxy_inside_tls() -> None:
    """A tunnel whose other end is checked shows the proxy nothing."""
    assert planned(theirs(), OPEN)["env_names"] == ["THEIRS"]


def test_every_size_that_a_service_allows_is_kept_by_its_rules(tmp_path: Path) -> None:
    """Limits and rules have their sizes and defaults from one place, so that none that somebody sets is lost on the way."""
    sizes = {size.name: 1 + number for number, size in enumerate(fields(Sizes))}
    rules = admission.of_settings(Settings(tmp_path, limits=Limits(**sizes)))
    assert {name: getattr(rules, name) for name in sizes} == sizes
    assert {name: getattr(Rules(), name) for name in sizes} == {name: getattr(Limits(), name) for name in sizes}
