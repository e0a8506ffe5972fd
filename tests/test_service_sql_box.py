"""SQL from a visitor: whatever it tries, it reads the run's own tables, or is refused, and the service lives."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from services import QUICK, client, over, settings, submitted

from console.web import box
from console.web.settings import Limits

SECRET = "not for visitors"


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str, Path]]:
    """(client, id of a finished benchmark, a folder with a file that no query may read)."""
    path = tmp_path_factory.mktemp("box")
    (path / "secret.csv").write_text(f"a\n{SECRET}\n")
    limits = Limits(query_s=6, memory_bytes=300_000_000, rows=1000, answer_bytes=1_000_000)
    with client(settings(path, limits=limits)) as c:
        benchmark_id = submitted(c, scenario=QUICK, name="boxed")
        assert over(c, benchmark_id)["state"] == "completed"
        yield c, benchmark_id, path


def sql(asked: tuple[Any, str, Path], text: str, form: str = "json") -> Any:
    c, benchmark_id, path = asked
    there = text.replace("SECRET", str(path / "secret.csv")).replace("OUT", str(path / "out"))
    there = there.replace("RUN", str(path / "runs" / benchmark_id))
    return c.post(f"/benchmarks/{benchmark_id}/query", json={"sql": there, "format": form})


WRITES = [
    "COPY requests TO 'OUT.csv'",
    "COPY (SELECT 1) TO 'RUN/requests.parquet' (FORMAT parquet)",
    "EXPORT DATABASE 'OUT'",
    "CREATE TABLE mine AS SELECT 1",
    "CREATE OR REPLACE VIEW requests AS SELECT 1",
    "DROP VIEW requests",
    "DELETE FROM runs",
    "INSERT INTO runs SELECT * FROM runs",
    "UPDATE runs SET verdict = 'VALID'",
    "ATTACH 'OUT.duckdb' AS other",
    "ATTACH 'OUT.sqlite' (TYPE sqlite)",
    "CHECKPOINT",
    "VACUUM",
    "SELECT 1; COPY requests TO 'OUT.csv'",
    "EXPLAIN ANALYZE COPY requests TO 'OUT.csv'",
    "PREPARE p AS COPY requests TO 'OUT.csv'",
    "BEGIN TRANSACTION",
]
READS = [
    "SELECT * FROM read_csv('SECRET')",
    "SELECT * FROM read_text('SECRET')",
    "SELECT * FROM read_blob('SECRET')",
    "SELECT * FROM 'SECRET'",
    "FROM sniff_csv('SECRET')",
    "SELECT * FROM read_json_auto('SECRET')",
    "SELECT * FROM read_parquet('/etc/passwd')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM glob('RUN/*')",
    "SELECT * FROM read_text('RUN/manifest.json')",
    "SELECT * FROM read_text('RUN/../../runs/.service/catalogue.sqlite')",
    "SELECT * FROM read_csv('/proc/self/environ')",
    "SELECT * FROM read_text('https://example.com/')",
    "SELECT * FROM 'https://example.com/x.parquet'",
    "SELECT * FROM read_parquet('s3://bucket/x.parquet')",
    "SELECT * FROM query('SELECT * FROM read_text(''SECRET'')')",
    "WITH x AS (SELECT * FROM read_text('SECRET')) SELECT * FROM x",
    "SELECT (SELECT content FROM read_text('SECRET'))",
    "SELECT * FROM df",
    "SELECT getenv('PATH')",
]
SETTINGS = [
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "RESET allowed_paths",
    "PRAGMA enable_external_access",
    "SELECT set_config('enable_external_access', 'true')",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD 'OUT.duckdb_extension'",
    "FORCE INSTALL sqlite_scanner FROM 'http://127.0.0.1:1'",
    "CALL pragma_version()",
    "CREATE SECRET s (TYPE s3)",
    "CREATE MACRO f() AS TABLE SELECT * FROM read_text('SECRET')",
]
TOO_MUCH = [
    "SELECT count(*) FROM range(1000000000000) a, range(1000000000000) b",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t",
    "SELECT sum(sin(a.range) * cos(b.range)) FROM range(100000000) a, range(100000000) b",
    "SELECT list(range) FROM range(10000000000)",
    "SELECT repeat('x', 4000000000)",
    "SELECT string_agg(repeat('x', 1000000), '') FROM range(100000)",
    "SELECT repeat('x', 100000000) FROM range(10)",
    "SELECT regexp_matches(repeat('a', 40), '(a+)+$') FROM range(100000000000) WHERE range < 0",
    "SELECT * FROM range(100000000) ORDER BY hash(range)",
    "SELECT a.range FROM range(100000) a, range(100000) b ORDER BY random()",
]


@pytest.mark.parametrize("text", [*WRITES, *READS, *SETTINGS, *TOO_MUCH])
def test_what_is_no_question_about_the_run_is_refused(asked: tuple[Any, str, Path], text: str) -> None:
    """Writing, other files, the network, settings, extensions, endless work and endless answers: 400 with a reason, and nothing was made."""
    answer = sql(asked, text)
    assert answer.status_code == 400, answer.text
    assert answer.json()["detail"]
    assert SECRET not in answer.text
    c, _, path = asked
    assert sorted(p.name for p in path.iterdir()) == ["runs", "secret.csv"]
    assert c.get("/health").status_code == 200


@pytest.mark.parametrize(
    ("text", "form"),
    [("SELECT DATE '294247-01-10' AS d", "json"), ("SELECT TIMESTAMP 'infinity' AS t", "csv"), ("SELECT MAP {'a': 1} AS m", "parquet")],
)  # fmt: skip
def test_what_a_form_cannot_hold_is_the_query_s_fault(asked: tuple[Any, str, Path], text: str, form: str) -> None:
    """400 with a way out, not a fault of the service."""
    answer = sql(asked, text, form)
    assert answer.status_code == 400, answer.text
    assert "::VARCHAR" in answer.json()["detail"]


@pytest.mark.parametrize("name", ["con", "name", "self"])
def test_no_parameter_is_mistaken_for_our_own(asked: tuple[Any, str, Path], name: str) -> None:
    """Whatever a parameter is called, it is looked for among the query's."""
    c, benchmark_id, _ = asked
    answer = c.get(f"/benchmarks/{benchmark_id}/query/timeline", params={"param": f"{name}=1"})
    assert answer.status_code == 400, answer.text
    assert "has no parameter" in answer.json()["detail"]


def test_the_run_is_as_it_was(asked: tuple[Any, str, Path]) -> None:
    """After all those attempts the service answers and every row is there."""
    assert sql(asked, "SELECT count(*) FROM requests WHERE step_id >= 0").json()["rows"] == [[6]]


def test_the_box_has_no_keys(asked: tuple[Any, str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the server's environment reaches the process of a query but what Python needs, whatever a variable is called."""
    for name in ("OPENAI_API_KEY", "OPENLOOP_TOKEN", "HIDDEN"):
        monkeypatch.setenv(name, SECRET)
    start, seen = subprocess.Popen, []

    def watched(*words: Any, **given: Any) -> Any:
        process = start(*words, **given)
        seen.append(Path(f"/proc/{process.pid}/environ").read_bytes())
        return process

    monkeypatch.setattr(box.subprocess, "Popen", watched)
    answer = sql(asked, "SELECT 1")
    assert answer.status_code == 200
    (environment,) = seen
    names = {entry.partition(b"=")[0].decode() for entry in environment.split(b"\0") if entry}
    assert {"PATH", "PYTHONPATH"} <= names <= {*box._KEPT, "PYTHONPATH", "MALLOC_ARENA_MAX"}
    assert SECRET.encode() not in environment


@pytest.mark.parametrize("form", ["json", "csv", "parquet"])
def test_questions_are_answered(asked: tuple[Any, str, Path], form: str) -> None:
    """Tables, named queries and expressions work; rows come in the form that was asked for."""
    answer = sql(
        asked, "SELECT outcome, count(*) AS n FROM request_metrics WHERE phase = 'main' GROUP BY outcome", form
    )
    assert answer.status_code == 200, answer.text
    if form == "json":
        assert answer.json() == {"columns": ["outcome", "n"], "rows": [["ok", 6]], "cut": False}
    elif form == "csv":
        assert answer.text == "outcome,n\nok,6\n"
    else:
        assert answer.content[:4] == answer.content[-4:] == b"PAR1"


def test_rows_are_counted_out(asked: tuple[Any, str, Path]) -> None:
    """As many rows as the service gives, and a word that there are more."""
    found = sql(asked, "SELECT range FROM range(1001)").json()
    assert (len(found["rows"]), found["cut"]) == (1000, True)
    assert sql(asked, "SELECT range FROM range(1000)").json()["cut"] is False
