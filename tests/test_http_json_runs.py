"""The plain HTTP API in whole runs: a service of our own with records and JSONPaths, end to end through ``openloop run``."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from test_end_to_end import ENVIRONMENT, openloop

from generator.run_dir import RunDir

SERVICE = Path(__file__).parent / "plain_service.py"

RECORDS: list[dict[str, Any]] = [
    {"id": 1, "input": {"text": 'she said "no"\n\u0000\ttwice'}},
    {"id": 2, "text": "the whole record"},
    {"id": 3, "input": {"text": "{{prompt}} ünï 𝄞"}, "text": "not this"},
    {"id": 4, "nothing": "to send"},
    {"id": 5, "input": {"text": "silence"}},
]


@pytest.fixture
def service() -> Iterator[str]:
    command = [sys.executable, str(SERVICE)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()


def asked(service: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{service}/seen") as response:
        return list(json.load(response))


def went(tmp_path: Path, scenario: dict[str, Any], records: list[Any] | None = None) -> RunDir:
    """The folder of a run of ``scenario``, whatever its verdict: a busy machine may be late."""
    if records is not None:
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (tmp_path / "records.jsonl").write_text(lines)
        scenario = {**scenario, "workload": {"prompts": "records.jsonl", **scenario.get("workload", {})}}
    (tmp_path / "s.yaml").write_text(yaml.safe_dump({"name": "plain", "seed": 1, "probe": 0, **scenario}))
    result = openloop("run", str(tmp_path / "s.yaml"), "--runs-dir", str(tmp_path / "runs"), "--no-live")
    assert result.returncode in (0, 3, 4), result.stderr
    (path,) = (tmp_path / "runs").iterdir()
    return RunDir(path)


def rows(run: RunDir, table: str = "requests") -> list[dict[str, Any]]:
    return sorted(pq.read_table(run.table_path(table)).to_pylist(), key=lambda row: row["request_id"])


def test_records_and_paths(tmp_path: Path, service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The golden run: payloads picked out of records in order, whole records where there is none; usage, failures and required answers."""
    monkeypatch.setitem(ENVIRONMENT, "SESAME", "sesame")
    target = {
        "url": f"{service}/v2",
        "api": "http-json",
        "api_key": "${SESAME}",
        "auth_header": "X-Api-Key",
        "headers": {"x-tenant": "t1"},
        "http": {
            "path": "/predict",
            "payload": "$.input",
            "answer": "$.output.text",
            "answer_required": True,
            "input_tokens": "$.usage.in",
            "output_tokens": "$.usage.out",
        },
    }
    run = went(tmp_path, {"target": target, "steps": [{"concurrency": 1, "requests": 10}]}, RECORDS)
    got = rows(run)
    golden = [
        ("ok", 200, None, 5, 2, "usage"),
        ("ok", 200, None, 3, 2, "usage"),
        ("ok", 200, None, 3, 2, "usage"),
        ("client_error", 422, "http_422", None, None, None),
        ("stream_error", 200, "no_answer", 1, 0, "usage"),
    ]
    columns = ("outcome", "http_status", "error_type", "input_tokens", "output_tokens", "token_source")
    assert [tuple(row[name] for name in columns) for row in got] == golden * 2
    assert {(row["api"], row["model"], row["streamed"]) for row in got} == {("http-json", None, False)}
    assert got[3]["error_message"] == "body.text: field required"
    seen = asked(service)
    bodies = [RECORDS[0]["input"], RECORDS[1], RECORDS[2]["input"], RECORDS[3], RECORDS[4]["input"]]
    assert [request["body"] for request in seen] == bodies * 2
    for number, request in enumerate(seen):
        headers = {name.lower(): value for name, value in request["headers"].items()}
        assert (request["method"], request["path"]) == ("POST", "/v2/predict")
        assert (headers["x-api-key"], headers["x-tenant"], headers["content-type"]) == (
            "sesame",
            "t1",
            "application/json",
        )
        assert "authorization" not in headers
        assert headers["x-request-id"].endswith(f"-{number}")
    assert "sesame" not in "".join(p.read_text(errors="replace") for p in run.path.rglob("*") if p.is_file())


@pytest.mark.parametrize("transport", ["socket", "aiohttp"])
def test_a_query_without_a_body(tmp_path: Path, service: str, transport: str) -> None:
    """GET: the record's field goes into the query, percent-encoded, and nothing is said of a body."""
    target = {
        "url": service,
        "api": "http-json",
        "http": {"method": "GET", "path": "/v2/search?q={{record.q}}&n=3", "answer": "$.hits[*].title"},
    }
    records = [{"q": "a b&c=d/é"}, {"q": "x"}]
    scenario = {"target": target, "transport": transport, "steps": [{"concurrency": 1, "requests": 4}]}
    assert Counter(row["outcome"] for row in rows(went(tmp_path, scenario, records))) == {"ok": 4}
    seen = asked(service)
    assert [request["path"] for request in seen] == [
        "/v2/search?q=a%20b%26c%3Dd%2F%C3%A9&n=3",
        "/v2/search?q=x&n=3",
    ] * 2
    for request in seen:
        assert request["body"] is None
        assert not {"content-length", "content-type", "transfer-encoding"} & {
            name.lower() for name in request["headers"]
        }


@pytest.mark.parametrize("transport", ["socket", "aiohttp"])
@pytest.mark.parametrize("path", ["/lines", "/events"])
def test_streams(tmp_path: Path, service: str, path: str, transport: str) -> None:
    """Lines and events make token rows with their characters; counts come at the end."""
    target = {
        "url": service,
        "api": "http-json",
        "stream": True,
        "http": {
            "path": path,
            "body": {"word": "{{record.w}}", "count": "{{record.n}}"},
            "answer": "$.token",
            "output_tokens": "$.tokens",
        },
    }
    records = [{"w": "ab", "n": 5, "prompt": "p"}, {"w": "ü", "n": 12, "prompt": "p"}]
    scenario = {"target": target, "transport": transport, "steps": [{"rate": "100/s", "requests": 20}]}
    run = went(tmp_path, scenario, records)
    got = rows(run)
    assert Counter((row["outcome"], row["streamed"], row["token_source"]) for row in got) == {("ok", True, "usage"): 20}
    tokens: dict[int, list[int]] = {}
    for row in rows(run, "tokens"):
        tokens.setdefault(row["request_id"], []).append(row["n_chars"])
    for row in got:
        first = row["request_id"] % 2 == 0
        assert row["output_tokens"] == (5 if first else 12)
        assert tokens[row["request_id"]] == ([3] * 5 if first else [2] * 10 + [3] * 2)
    seen = asked(service)
    assert all(request["headers"]["Accept"].startswith("text/event-stream") for request in seen)


@pytest.mark.parametrize(("status", "outcome"), [(204, "ok"), (299, "ok"), (404, "client_error"), (429, "rate_limited"), (503, "overloaded"), (500, "server_error")])  # fmt: skip
def test_success_is_2xx(tmp_path: Path, service: str, status: int, outcome: str) -> None:
    """Any 2xx is one, a body or none; synthetic prompts make the record."""
    target = {"url": f"{service}/odd/{status}", "api": "http-json", "http": {"method": "PUT"}}
    workload = {"input_tokens": 20, "output_tokens": 7}
    run = went(tmp_path, {"target": target, "workload": workload, "steps": [{"concurrency": 1, "requests": 2}]})
    assert [(row["outcome"], row["http_status"]) for row in rows(run)] == [(outcome, status)] * 2
    for request in asked(service):
        assert (request["method"], request["path"]) == ("PUT", f"/odd/{status}")
        assert set(request["body"]) == {"prompt", "max_tokens"}
        assert request["body"]["max_tokens"] == 7
