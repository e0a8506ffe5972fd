"""The REST API over real runs against the simulator: what goes in, what becomes of it, what comes out."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from services import QUICK, client, one, over, settings, submitted
from whole_runs import until

from console.web.settings import Settings

BOMB = "target:\n  url: simulator\n  body:\n" + "".join(
    f"    k{n}: &k{n} [{', '.join([f'*k{n - 1}'] * 8) if n else 'a long word of no importance'}]\n" for n in range(6)
) + "steps: [{concurrency: 1, requests: 1}]\n"  # fmt: skip
"""A few hundred bytes that are megabytes once every alias is what it stands for."""

Asked = tuple[Any, dict[str, str]]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    """(client, ids by name): two runs of one scenario, and the smallest thing that can be submitted, all over."""
    with client(settings(tmp_path_factory.mktemp("api"))) as c:
        ids = {
            "first": submitted(c, scenario=QUICK | {"slo": {"ttft": "1s"}}, name="twice", tags=["nightly", "gpu a"]),
            "second": submitted(c, scenario=QUICK, name="twice", overrides={"steps.0.requests": 8}, tags=["nightly"]),
            "small": submitted(
                c, name="hello", model="tiny", prompts=["Of the sea.", "Of <b>fog</b>."], output_tokens=4
            ),
        }
        for benchmark_id in ids.values():
            found = over(c, benchmark_id)
            assert found["state"] == "completed", found["error"]
        yield c, ids


def test_as_little_as_name_model_and_prompts(asked: Asked) -> None:
    """Each prompt is asked once, of the service's own target, and its text and answer are kept."""
    c, ids = asked
    found = one(c, ids["small"], size=10)
    assert (found["name"], found["model"], found["target"]) == ("hello", "tiny", "simulator")
    results = found["results"]
    assert results["total"] == 2
    assert [row["prompt"] for row in results["items"]] == ["Of the sea.", "Of <b>fog</b>."]
    for row in results["items"]:
        assert row["outcome"] == "ok"
        assert row["response"]
        assert 0 < row["ttft_ms"] <= row["latency_ms"]
        assert (row["output_tokens"], row["error"], row["cost_usd"]) == (4, None, None)
    assert found["submission"] == {
        "name": "hello", "model": "tiny", "prompts": ["Of the sea.", "Of <b>fog</b>."], "output_tokens": 4,
    }  # fmt: skip


def test_texts_are_only_there_where_they_were_kept(asked: Asked) -> None:
    """A run that kept none has none: prompt and response are null."""
    c, ids = asked
    rows = one(c, ids["first"], size=10)["results"]["items"]
    assert len(rows) == 6
    assert {(row["prompt"], row["response"]) for row in rows} == {(None, None)}


def test_results_come_in_pages(asked: Asked) -> None:
    """Pages are disjoint, in order, and together all there is; a page behind the last is empty."""
    c, ids = asked
    pages = [c.get(f"/benchmarks/{ids['first']}/results", params={"page": n, "size": 4}).json() for n in (1, 2, 3)]
    assert [len(p["items"]) for p in pages] == [4, 2, 0]
    assert {p["total"] for p in pages} == {6}
    assert [r["request_id"] for p in pages for r in p["items"]] == list(range(6))


def test_the_summary_is_the_report_s(asked: Asked) -> None:
    """What the list shows is what the report says."""
    c, ids = asked
    summary = one(c, ids["first"])["summary"]
    report = c.get(f"/benchmarks/{ids['first']}/report").json()
    (step,) = report["steps"]
    assert summary["requests"] == report["totals"]["requests"] == 6
    assert summary["ttft_p50_ms"] == step["ttft_ms"]["p50"]
    assert summary["output_tokens_per_s"] == step["output_tokens_per_s"]
    assert summary["goodput_rps"] == step["goodput_rps"]
    assert one(c, ids["first"])["verdict"] == report["verdict"]["verdict"]


def test_the_report_comes_in_every_form(asked: Asked) -> None:
    """Each form has its type and is what it says it is."""
    c, ids = asked

    def form(name: str) -> Any:
        answer = c.get(f"/benchmarks/{ids['first']}/report", params={"format": name})
        assert answer.status_code == 200, (name, answer.text)
        return answer

    assert ids["first"] in form("text").text
    assert len(list(csv.DictReader(io.StringIO(form("csv").text)))) == 1
    assert ET.fromstring(form("junit").text).tag == "testsuites"
    page = form("html")
    assert page.text.lower().startswith("<!doctype html>")
    assert page.headers["content-security-policy"].startswith("sandbox allow-scripts")
    assert c.get(f"/benchmarks/{ids['first']}/report", params={"format": "docx"}).status_code == 422
    kept = c.get(f"/benchmarks/{ids['first']}/report", params={"format": "csv", "download": True})
    assert kept.headers["content-disposition"] == f'attachment; filename="{ids["first"]}.csv"'


def test_the_forms_are_those_of_the_command_line() -> None:
    """A form that `openloop report` learns is one that the API has."""
    from typing import get_args

    from console import judged
    from console.web.api.reports import TYPES, Form

    assert set(get_args(Form)) == set(judged.FORMS)
    assert set(judged.FORMS) <= set(TYPES)


def test_the_list_filters_sorts_and_pages(asked: Asked) -> None:
    """By state, part of a name, model and tags; by any column, either way; a page at a time with the total of all."""
    c, ids = asked

    def listed(**asked_for: Any) -> list[str]:
        answer = c.get("/benchmarks", params=asked_for)
        assert answer.status_code == 200, answer.text
        return [item["id"] for item in answer.json()["items"]]

    assert listed() == [ids["small"], ids["second"], ids["first"]]
    assert listed(sort="created") == [ids["first"], ids["second"], ids["small"]]
    assert listed(name="WIC", sort="-requests") == [ids["second"], ids["first"]]
    assert listed(model="tin") == [ids["small"]]
    assert listed(tag=["nightly", "gpu a"]) == [ids["first"]]
    assert listed(state=["failed", "queued"]) == []
    assert listed(name="100%") == []
    page = c.get("/benchmarks", params={"size": 2, "page": 2}).json()
    assert (page["total"], [i["id"] for i in page["items"]]) == (3, [ids["first"]])
    assert c.get("/benchmarks", params={"sort": "secret"}).status_code == 422


def test_named_queries_answer_with_parameters(asked: Asked) -> None:
    """A query of the catalog by its name, with parameters; one that does not exist is 404, a wrong parameter 400."""
    c, ids = asked
    where = f"/benchmarks/{ids['first']}/query"
    rows = c.get(f"{where}/outcomes").json()
    assert rows["columns"][:2] == ["run_id", "step_id"]
    assert c.get(f"{where}/timeline", params={"format": "csv"}).text.startswith("run_id,")
    first = c.get(f"{where}/request_results", params={"param": ["first=2", "many=3"]}).json()
    column = first["columns"].index("request_id")
    assert [row[column] for row in first["rows"]] == [2, 3, 4]
    assert c.get(f"{where}/nothing_like_it").status_code == 404
    assert c.get(f"{where}/outcomes", params={"param": "nope=1"}).status_code == 400
    assert c.get(f"{where}/outcomes", params={"param": "nope"}).status_code == 400


def test_the_queries_tell_their_columns(asked: Asked) -> None:
    """The catalogue has the question, the columns with units and the SQL of each."""
    c, _ = asked
    found = {q["name"]: q for q in c.get("/queries").json()}
    assert found["ttft_percentiles"]["question"].endswith("?")
    assert {"p50_ms": "ms", "n": "requests"}.items() <= {
        column["name"]: column["unit"] for column in found["ttft_percentiles"]["columns"]
    }.items()


def test_two_runs_are_compared(asked: Asked) -> None:
    """The comparison of the command line, and what it cannot exclude; one run or a foreign one is refused."""
    c, ids = asked
    found = c.get("/compare", params={"runs": [ids["first"], ids["second"]]})
    assert found.status_code == 200, found.text
    assert {row["metric"] for row in found.json()["figures"]} >= {"ttft_ms", "e2e_ms"}
    assert any("scenario" in line for line in found.json()["cannot_exclude"])
    assert c.get("/compare", params={"runs": [ids["first"]]}).status_code == 422
    assert c.get("/compare", params={"runs": [ids["first"], "nobody"]}).status_code == 404
    assert c.get("/compare", params={"runs": [ids["first"], ids["first"]]}).status_code == 409


def test_several_runs_are_compared_with_the_first(asked: Asked) -> None:
    """Questions asked at once are adjusted at once: over all runs, so no figure is called shown sooner than in a comparison of two.

    A run without a step in common is in no figure, and its steps are told.
    """
    c, ids = asked
    two = c.get("/compare", params={"runs": [ids["first"], ids["second"]]}).json()
    answer = c.get("/compare", params={"runs": list(ids.values())})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found.keys() == two.keys()
    assert (found["baseline"], found["arms"]) == (ids["first"], [ids["second"], ids["small"]])
    assert {row["arm"] for row in found["figures"]} == {ids["second"]}
    assert found["left_out"][ids["small"]]
    assert any(line.startswith(f"{ids['small']}: ") for line in found["cannot_exclude"])
    assert not any(line.startswith(f"{ids['second']}: ") for line in two["cannot_exclude"])
    assert c.get("/compare", params={"runs": [ids["first"]] * 9}).status_code == 422
    page = c.get("/ui/compare", params={"run": list(ids.values())})
    assert page.status_code == 200
    assert f"{ids['small']} has no step in common with {ids['first']}" in page.text


def test_a_scenario_has_a_history(asked: Asked) -> None:
    """Figures of each run by its scenario's name, oldest first; intervals enclose their value where there are any."""
    c, ids = asked
    points = c.get("/history", params={"scenario": "twice", "metric": ["ttft_p50_ms", "requests_per_s"]}).json()[
        "points"
    ]
    assert [p["benchmark_id"] for p in points if p["metric"] == "ttft_p50_ms"] == [ids["first"], ids["second"]]
    for point in points:
        assert point["low"] is None or point["low"] <= point["value"]
        assert point["high"] is None or point["value"] <= point["high"]
    goodput = c.get("/history", params={"scenario": "twice"}).json()["points"]
    assert [p["benchmark_id"] for p in goodput if p["metric"] == "goodput_rps"] == [ids["first"]]
    assert c.get("/names").json()[0] == {"name": "twice", "runs": 2}


def test_a_plan_is_made_without_running_it(asked: Asked) -> None:
    """The resolved scenario, the steps and what they need; or each fault with its place. Nothing is queued."""
    c, _ = asked
    before = c.get("/benchmarks").json()["total"]
    plan = c.post("/plan", json={"scenario": "quick", "overrides": {"target.url": "simulator"}})
    assert plan.status_code == 200, plan.text
    assert plan.json()["plan"]["plan"]["steps"]
    assert "url: simulator" in plan.json()["scenario"]
    wrong = c.post("/plan", json={"scenario": "target: {url: simulator}\nsteps:\n- {rat: 5/s, duration: 10s}\n"})
    assert wrong.status_code == 422
    assert wrong.json()["errors"][0].startswith("scenario:3: steps.0.rat: unknown key; nearest: 'rate'")
    assert c.get("/benchmarks").json()["total"] == before


@pytest.mark.parametrize(
    ("form", "word"),
    [
        ({}, "nothing to run"),
        ({"scenario": ""}, "empty"),
        ({"scenario": "[1, 2]"}, "mapping"),
        ({"scenario": "a: " + "[" * 3000}, "too deep"),
        ({"scenario": 'target: {url: simulator, body: {a: "\\uD800"}}\nsteps: [{concurrency: 1, requests: 1}]'}, "cannot be written"),
        ({"scenario": BOMB}, "once it is resolved"),
        ({"scenario": {"a": "b" * 200_000}}, "longer than 200,000 bytes"),
        ({"scenario": {"a": [json.loads("[" * 60 + "1" + ", 1" * 30 + "]" * 60)] * 300}}, "as YAML"),
        ({"model": "m", "prompts": ["a"], "rate": "\ud800"}, "no character"),
        ({"model": "m", "prompts": ["a"], "input_tokens": "\ud800"}, "no character"),
        ({"model": "m", "prompts": ["a"], "rate": ["\ud800"]}, "no character"),
        ({"scenario": {"a": "\ud800"}}, "no character"),
        ({"scenario": QUICK, "overrides": {"name": "\ud800"}}, "no character"),
        ({"scenario": {"steps": [{"rate": "5/s", "duration": "1s"}]}}, "no target"),
        ({"scenario": QUICK, "concurrency": 1, "rate": "5/s"}, "closed or open"),
        ({"scenario": QUICK, "overrides": {"steps.7.rate": "5/s"}}, "numbered from 0"),
        ({"model": "m", "prompts": []}, "prompts"),
        ({"model": "m", "prompts": [""]}, "prompts"),
        ({"model": "m", "unknown": 1}, "unknown"),
        ({"provider": "nobody", "model": "m"}, "unknown provider"),
        ({"model": "m", "prompts": ["a"], "requests": 0}, "requests"),
        ({"model": "m", "prompts": ["a"], "tags": ["a,b"]}, "tags"),
        ({"model": "m", "prompts": ["a"], "target": "ftp://x"}, "http"),
        ({"scenario": {"target": {"url": "simulator", "simulator": {"itll": "1ms"}}, "steps": [{"concurrency": 1, "requests": 1}]}}, "itl"),
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_refused_at_once(asked: Asked, form: dict[str, Any], word: str) -> None:
    """422 before anything is queued, with words that name the fault."""
    c, _ = asked
    # Escaped, because half of a surrogate pair has no UTF-8.
    said = {"content": json.dumps(form), "headers": {"content-type": "application/json"}}
    for path in ("/plan", "/benchmarks"):
        answer = c.post(path, **said)
        assert answer.status_code == 422, answer.text
    assert word in " ".join(answer.json()["errors"])


def test_unknown_benchmarks_are_404(asked: Asked) -> None:
    """Whatever is asked of one."""
    c, _ = asked
    for path in ("", "/results", "/report", "/events", "/deliveries", "/query/outcomes"):
        assert c.get(f"/benchmarks/nobody{path}").status_code == 404, path
    assert c.post("/benchmarks/nobody/stop").status_code == 404
    assert c.delete("/benchmarks/nobody").status_code == 404


def test_equal_submissions_have_equal_digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what is asked, prompts by their content, a seed only where one was said; and a benchmark's scenario can be submitted again.

    Its prompts lie there as long as a benchmark names them. The runs folder may be named relative to where the service was started.
    """
    monkeypatch.chdir(tmp_path)
    with client(Settings(runs_dir=Path("runs"))) as c:
        store = c.app.state.service.store

        def digest(**form: Any) -> tuple[str, str]:
            benchmark_id = submitted(c, **form)
            return benchmark_id, str(store.get(benchmark_id)[0].scenario_digest)

        asked = {"model": "m", "prompts": ["Of the sea."], "output_tokens": 4}
        (first, same), (again, as_well) = digest(**asked), digest(**asked)
        other = digest(**asked | {"prompts": ["Of fog."]})
        seeded = digest(**asked, overrides={"seed": 7})
        assert same == as_well
        assert len({same, other[1], seeded[1]}) == 3
        assert seeded[1] == digest(**asked, overrides={"seed": 7})[1]
        resolved = submitted(c, scenario=one(c, first)["scenario"])
        for benchmark_id in (first, again, resolved):
            assert over(c, benchmark_id)["state"] == "completed"
        page = one(c, resolved, size=5)["results"]
        assert [row["prompt"] for row in page["items"]] == ["Of the sea."]
        files = tmp_path / "runs" / ".service" / "prompts"
        assert len(list(files.iterdir())) == 2
        for benchmark_id in (first, again):
            assert c.delete(f"/benchmarks/{benchmark_id}").status_code == 204
        assert len(list(files.iterdir())) == 2, "others still name them"
        over(c, other[0])
        assert c.delete(f"/benchmarks/{other[0]}").status_code == 204
        assert len(list(files.iterdir())) == 1
        assert c.post("/plan", json=asked | {"prompts": ["Of nothing."]}).status_code == 200
        assert len(list(files.iterdir())) == 1, "what is only planned is not kept"


def test_shipped_scenarios_and_providers(asked: Asked) -> None:
    """Every shipped scenario with its text; every provider with the name of its key and never the key."""
    c, _ = asked
    shipped = {s["name"]: s for s in c.get("/scenarios").json()}
    assert "steps:" in shipped["quick"]["scenario"]
    assert c.get("/scenarios/quick").json() == shipped["quick"]
    assert c.get("/scenarios/slow").status_code == 404
    providers = {p["name"]: p for p in c.get("/providers").json()}
    assert providers["openai"]["key"] == "OPENAI_API_KEY"


def test_health_and_metrics(asked: Asked) -> None:
    """Prometheus reads how many benchmarks are in which state."""
    c, _ = asked
    assert c.get("/health").json()["status"] == "ok"
    text = c.get("/metrics").text
    assert 'openloop_service_benchmarks{state="completed"} 3.0' in text


def test_the_manual_works_offline(asked: Asked) -> None:
    """Swagger UI comes from here, with no script in the page and none from elsewhere."""
    c, _ = asked
    page = c.get("/docs").text
    assert "https://" not in page
    assert "<script>" not in page
    for path in ("/docs/assets/swagger-ui-bundle.js", "/docs/assets/swagger-ui.css", "/docs/start.js"):
        assert c.get(path).status_code == 200
    assert c.get("/openapi.json").json()["info"]["title"] == "openloop"


def test_what_is_deleted_is_gone(tmp_path: Path) -> None:
    """The row, the run folder and the submitted prompts; what runs cannot be deleted."""
    of = settings(tmp_path)
    with client(of) as c:
        going = submitted(c, scenario=QUICK | {"steps": [{"concurrency": 1, "duration": "60s"}]}, name="gone")
        until((of.runs_dir / going / "manifest.json").exists, "the start")
        assert c.delete(f"/benchmarks/{going}").status_code == 409
        assert c.post(f"/benchmarks/{going}/stop").status_code == 202
        assert over(c, going)["state"] == "stopped"
        assert (of.runs_dir / going).is_dir()
        assert c.delete(f"/benchmarks/{going}").status_code == 204
        assert c.get(f"/benchmarks/{going}").status_code == 404
        assert not (of.runs_dir / going).exists()
        assert not (of.own_dir / "benchmarks" / going).exists()
        assert c.post(f"/benchmarks/{going}/stop").status_code == 404


def test_runs_of_the_command_line_are_listed(tmp_path: Path) -> None:
    """A run folder that was made elsewhere appears with its figures, and goes from the list when it is removed."""
    from console.cli import main

    of = settings(tmp_path)
    command = [
        "run",
        "--target",
        "simulator",
        "--concurrency",
        "1",
        "--requests",
        "3",
        "--output-tokens",
        "4",
        "--no-live",
    ]
    assert main([*command, "--set", "probe=1", "--runs-dir", str(of.runs_dir), "--run-id", "by-hand", "--json"]) in (
        0,
        3,
    )
    with client(of) as c:
        found = one(c, "by-hand", size=5)
        assert (found["origin"], found["state"], found["results"]["total"]) == ("cli", "completed", 3)
        until(lambda: one(c, "by-hand")["summary"]["requests"] == 3, "its figures")
        assert c.get("/history", params={"scenario": "flags", "metric": "ttft_p50_ms"}).json()["points"]
        made = json.loads(c.get("/benchmarks/by-hand/report").text)
        assert made["run"]["run_id"] == "by-hand"
        assert c.delete("/benchmarks/by-hand").status_code == 204
        assert not (of.runs_dir / "by-hand").exists()
