"""Presets: one table, what a scenario makes of it, and what people are told."""

from __future__ import annotations

import json
import os
import string
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from answering import Answer, Asked, answering

from console import cli, presets
from generator import coordinator
from generator.apis import table
from generator.errors import ScenarioError
from generator.planning import plan
from generator.providers import PRESETS
from generator.scenario import reading
from generator.scenario.target import TargetForm
from tests import plans

TAIL = "steps: [{rate: 1/s, duration: 10s}]\n"


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, preset in PRESETS.items():
        monkeypatch.setenv(preset.key, f"secret-of-{name}") if preset.key_needed else monkeypatch.delenv(
            preset.key, False
        )


def read(path: Path, target: str, tail: str = TAIL, flags: dict[str, Any] | None = None) -> reading.Scenario:
    (path / "s.yaml").write_text(f"seed: 1\ntarget: {target}\n{tail}")
    return reading.load(str(path / "s.yaml"), flags or {}, [])


def target(path: Path, text: str, tail: str = TAIL, flags: dict[str, Any] | None = None) -> TargetForm:
    found = read(path, text, tail, flags).form.target
    assert found is not None
    return found


def refused(path: Path, text: str, tail: str = TAIL) -> str:
    with pytest.raises(ScenarioError) as caught:
        plan.make(read(path, text, tail), "r")
    return str(caught.value).replace(str(path) + os.sep, "")


@pytest.mark.parametrize("preset", PRESETS.values(), ids=list(PRESETS))
def test_each_preset_is_whole(preset: Any) -> None:
    """Its APIs exist, what it says of one is about one that it speaks, its URL has no other holes than its parts."""
    assert set(preset.apis) <= set(table.NAMES)
    assert set(preset.max_tokens) | set(preset.body) | set(preset.exact) <= set(preset.apis)
    assert {name for _, name, _, _ in string.Formatter().parse(preset.url) if name} == set(preset.parts)
    assert preset.usage
    assert preset.limits.headers != "none" or preset.limits.note


@pytest.mark.parametrize("name", PRESETS)
def test_a_name_and_a_model_are_enough(name: str, tmp_path: Path) -> None:
    """Every preset makes a plan for each API that it speaks; no secret is in the plan or the resolved scenario."""
    extra = ", azure: {resource: res}" if name == "azure" else ""
    for api in PRESETS[name].apis:
        read_ = read(tmp_path, f"{{provider: {name}, api: {api}, model: m{extra}}}")
        planned = plan.make(read_, "r")
        made = planned.plan.targets["target"]
        assert made.url.startswith("http")
        assert made.api == api
        assert "secret-of" not in planned.scenario_text
        assert bool(made.api_key) is PRESETS[name].key_needed


def test_openai(tmp_path: Path) -> None:
    """What its own chat API wants, and its other APIs do not."""
    found = target(tmp_path, "{provider: openai, model: m}")
    assert (found.url, found.api, found.api_key) == ("https://api.openai.com/v1", "openai-chat", "${OPENAI_API_KEY}")
    assert (found.max_tokens_field, found.request_id_header) == ("max_completion_tokens", "X-Client-Request-Id")
    assert found.body == {"stream_options": {"include_obfuscation": False}}
    assert (
        target(tmp_path, "{provider: openai, model: m, api: openai-responses}").max_tokens_field
        != found.max_tokens_field
    )
    whole = target(tmp_path, "{provider: openai, model: m, stream: false}")
    assert whole.body == {}  # stream_options without a stream is an error there


def test_azure(tmp_path: Path) -> None:
    """The URL is made of resource and deployment, the key goes into a header of its own, bare."""
    found = plan.make(read(tmp_path, "{provider: azure, model: gpt-4o, azure: {resource: res}}"), "r").plan.targets[
        "target"
    ]
    assert found.url == "https://res.openai.azure.com/openai/deployments/gpt-4o?api-version=2024-10-21"
    assert found.auth_header == "api-key"
    other = target(tmp_path, "{provider: azure, model: m, azure: {resource: r, deployment: d, api_version: v1}}")
    assert other.url == "https://r.openai.azure.com/openai/deployments/d?api-version=v1"


def test_what_is_written_out_counts(tmp_path: Path) -> None:
    """Every value of a preset can be overridden; a body is laid over it, mappings key by key."""
    found = target(
        tmp_path,
        "{provider: openai, model: m, url: 'http://127.0.0.1:1/v1', api_key: '${TOGETHER_API_KEY}', max_tokens_field: max_tokens, "
        "request_id_header: x-mine, auth_header: x-key, body: {temperature: 0, stream_options: {include_usage: false}}}",
    )
    assert (found.url, found.api_key) == ("http://127.0.0.1:1/v1", "${TOGETHER_API_KEY}")
    assert (found.max_tokens_field, found.request_id_header, found.auth_header) == ("max_tokens", "x-mine", "x-key")
    assert found.body == {"temperature": 0, "stream_options": {"include_obfuscation": False, "include_usage": False}}


def test_the_resolved_scenario_reads_the_same(tmp_path: Path) -> None:
    """scenario.yaml of the run folder has what was filled, keeps the key's name, and gives the same form again."""
    first = read(tmp_path, "{provider: openai, model: m}")
    (tmp_path / "again.yaml").write_text(first.text())
    again = reading.load(str(tmp_path / "again.yaml"), {}, [])
    assert again.form.target == first.form.target
    assert yaml.safe_load(first.text())["target"]["api_key"] == "${OPENAI_API_KEY}"


def test_a_key_that_may_be_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A local server is sent a key where its variable is set; a target whose headers carry one needs none."""
    assert target(tmp_path, "{provider: vllm, model: m}").api_key is None
    monkeypatch.setenv("VLLM_API_KEY", "k")
    assert target(tmp_path, "{provider: vllm, model: m}").api_key == "${VLLM_API_KEY}"
    monkeypatch.delenv("OPENAI_API_KEY")
    own = "{provider: openai, model: m, headers: {Authorization: 'Bearer ${TOGETHER_API_KEY}'}}"
    assert target(tmp_path, own).api_key is None
    assert target(tmp_path, "{provider: openai, url: simulator}").api_key is None


def test_errors_name_place_and_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown provider, an API that it does not speak, a missing variable, an Azure target that does not say which."""
    known = ", ".join(PRESETS)
    assert refused(tmp_path, "{provider: togehter, model: m}") == (
        f"s.yaml:2: target.provider: unknown provider 'togehter'; nearest: 'together' (known: {known})"
    )
    assert "unknown provider 7" in refused(tmp_path, "{provider: 7, model: m}")
    assert refused(tmp_path, "{provider: groq, model: m, api: openai-embeddings}") == (
        "s.yaml:2: target.api: groq does not speak openai-embeddings, only openai-chat, openai-responses; to send it all the same, "
        "leave provider out and give url and api_key"
    )
    assert "unknown API 'chat'" in refused(tmp_path, "{provider: groq, model: m, api: chat}")
    assert "azure.resource is missing" in refused(tmp_path, "{provider: azure, model: m}")
    assert "azure.resource has letters" in refused(
        tmp_path, "{provider: azure, model: m, azure: {resource: 'evil.com/x?'}}"
    )
    assert "NAME of https://NAME.openai.azure.com" in refused(
        tmp_path, "{provider: azure, model: m, azure: {resource: res.openai.azure.com}}"
    )
    assert "azure.deployment has letters" in refused(
        tmp_path, "{provider: azure, model: m, azure: {resource: res, deployment: ..}}"
    )
    assert "azure is for provider: azure" in refused(tmp_path, "{provider: openai, model: m, azure: {resource: r}}")
    monkeypatch.delenv("GROQ_API_KEY")
    assert refused(tmp_path, "{provider: groq, model: m}") == (
        "s.yaml:2: target.api_key: the environment variable GROQ_API_KEY is not set: export GROQ_API_KEY=…"
    )


def test_each_of_several_targets_has_its_provider(tmp_path: Path) -> None:
    """A comparison fills each of its targets by itself."""
    (tmp_path / "s.yaml").write_text(
        "seed: 1\ntargets: {a: {provider: groq, model: m}, b: {provider: anthropic, model: m}, c: {url: 'http://h/v1', model: m}}\n"
        + TAIL
    )
    forms = reading.load(str(tmp_path / "s.yaml"), {}, []).form.target_forms()
    assert [f.api for f in forms.values()] == ["openai-chat", "anthropic-messages", "openai-chat"]
    assert [f.api_key for f in forms.values()] == ["${GROQ_API_KEY}", "${ANTHROPIC_API_KEY}", None]


def test_the_flag_takes_the_place_of_a_files_target(tmp_path: Path) -> None:
    """--provider drops the file's URL, API, key and quirks, and other flags go before what it fills."""
    file = "{url: simulator, api: openai-chat, max_tokens_field: n, simulator: {ttft: 1ms}, model: m}"
    found = target(tmp_path, file, flags={"provider": "anthropic"})
    assert (found.url, found.api, found.model) == ("https://api.anthropic.com/v1", "anthropic-messages", "m")
    assert found.max_tokens_field != "n"
    assert target(tmp_path, file, flags={"provider": "vllm", "target": "http://h:1/v1"}).url == "http://h:1/v1"
    assert target(tmp_path, file, flags={"provider": "openai", "api": "openai-embeddings"}).api == "openai-embeddings"


def test_exact_output(tmp_path: Path) -> None:
    """The preset's field goes into the bodies of workloads that ask for it; elsewhere it is an error that says what to do."""
    tail = "workload: {exact_output: true}\n" + TAIL
    made = plan.make(read(tmp_path, "{provider: vllm, model: m}", tail), "r").plan
    assert made.targets["target"].exact_body == {"ignore_eos": True}
    assert made.steps[0].workload.exact_output
    said = refused(tmp_path, "{provider: together, model: m}", tail)
    assert said.startswith("s.yaml:3: workload.exact_output: target 'target' (openai-chat) has no provider")
    assert "vllm, sglang" in said
    assert "exact_output" in refused(tmp_path, "{url: simulator}", tail)
    assert "exact_output" in refused(tmp_path, "{provider: vllm, model: m, api: openai-responses}", tail)


def test_the_command_lists_and_shows(capsys: pytest.CaptureFixture[str]) -> None:
    """A line a provider, all facts of one, JSON for programs, and an error that names those that there are."""
    assert cli.main(["providers"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in PRESETS)
    assert cli.main(["providers", "groq"]) == 0
    shown = capsys.readouterr().out
    assert "requests a day, tokens a minute" in shown
    assert "GROQ_API_KEY" in shown
    assert cli.main(["providers", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == set(PRESETS)
    assert cli.main(["providers", "azure", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["auth"] == "api-key"
    assert cli.main(["providers", "acme"]) == 2
    assert "there are: openai" in capsys.readouterr().err


def test_every_fact_is_in_the_documentation() -> None:
    """docs/providers.md has each preset's URL, key, APIs and limits; that its tables are current is another test's."""
    page = (Path(__file__).parents[1] / "docs" / "providers.md").read_text()
    for make in presets.TABLES.values():
        for row in make()[1]:
            assert all(cell in page for cell in row)


def test_listing_providers_starts_at_once() -> None:
    """The command needs neither scenarios nor numbers nor the network."""
    code = textwrap.dedent("""
        import sys
        from console import cli
        cli.main(["providers", "openai", "--json"])
        heavy = {"pydantic", "numpy", "uvloop", "duckdb", "aiohttp", "pyarrow", "genai_prices"} & set(sys.modules)
        assert not heavy, heavy
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@contextmanager
def keeping_bodies() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The URL of a target that answers chats whole, and what it was asked."""
    asked: list[dict[str, Any]] = []

    def answer(request: Asked) -> Answer:
        asked.append(json.loads(request.body))
        body = b'{"choices": [{"index": 0, "message": {"content": "a"}, "finish_reason": "length"}]}'
        return 200, {"Content-Type": "application/json"}, body

    with answering(answer) as url:
        yield f"{url}/v1", asked


def test_exact_output_is_the_workloads_own(tmp_path: Path) -> None:
    """Of a mix, only the requests of the workload that asks for it carry the field; the target's own body is in all."""
    exact = replace(plans.WORDS, name="exact", exact_output=True)
    mix = (exact, replace(plans.WORDS, name="plain"))
    step = plans.step(concurrency=2, requests=20, mix=mix, workload=exact)
    with keeping_bodies() as (url, asked):
        there = plans.target(url, stream=False, body={"temperature": 0}, exact_body={"ignore_eos": True})
        made = plans.plan(step, targets={"t": there}, probe=0)
        run = plans.folder(tmp_path, made)
        coordinator.run(made, run, {})
    workloads = [row["workload"] for row in pq.read_table(run.table_path("requests")).to_pylist()]
    assert len(asked) == 20
    assert all(body["temperature"] == 0 for body in asked)
    assert 0 < sum("ignore_eos" in body for body in asked) == workloads.count("exact") < 20
