"""``openloop export``, ``run --export`` and ``runs --store`` as people meet them: words, exit codes, and never a password."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import fabricate
import psycopg
import pytest
import store_servers
import stores_kept
from whole_runs import ROOT, nobody

from console import exporting, judged
from console.cli import main
from console.commands import export as commands
from console.stores import tables
from generator.errors import QueryError, StoreError
from generator.run_dir import RunDir

PASSWORD = "hunter2-%s"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return stores_kept.odd_run(tmp_path_factory.mktemp("runs") / "odd-1")


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with store_servers.postgresql() as url:
        yield url


Said = Callable[..., tuple[int, str, str]]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """Run one command line: its exit code, what it printed, and what it said on standard error."""

    def do(*words: str) -> tuple[int, str, str]:
        code = main(list(words))
        out, err = capsys.readouterr()
        return code, out, err

    return do


def test_several_runs_go_and_are_read_back(said: Said, tmp_path: Path) -> None:
    """Runs with tags and an organisation; listed, the newest with its report, a query in three forms."""
    runs, url = tmp_path / "runs", f"sqlite:///{tmp_path / 'kept.db'}"
    for day in (1, 2):
        stores_kept.odd_run(runs / f"r{day}", created=f"2026-01-0{day}T00:00:00.000Z")
    options = ("--runs-dir", str(runs), "--organisation", "acme", "--tag", "commit=1a2b", "--table", "health")
    code, out, err = said("export", "r1", "latest", url, *options)
    assert (code, err) == (0, "")
    assert out.splitlines()[1] == f"r2: in {url} as acme/r2: steps 1, requests 5, health 2"

    code, out, _ = said("runs", "--store", url, "--format", "json")
    listed = json.loads(out)
    assert [(r["run_id"], r["organisation"], r["tags"]) for r in listed] == [
        (i, "acme", {"commit": "1a2b"}) for i in ("r2", "r1")
    ]
    assert "report" not in listed[0]
    code, out, _ = said("runs", "latest", "--store", url, "--json")
    (newest,) = json.loads(out)
    assert newest["run_id"] == newest["report"]["run"]["run_id"] == newest["manifest"]["run_id"] == "r2"
    assert newest["created"] == "2026-01-02T00:00:00.000Z"

    question = "SELECT run_id, outcome, count(*) AS n FROM requests GROUP BY 1, 2 ORDER BY 1, 2"
    want = [("r1", "lost", 1), ("r1", "ok", 4), ("r2", "lost", 1), ("r2", "ok", 4)]
    code, out, _ = said("runs", "--store", url, "--query", question, "--format", "csv")
    assert list(csv.reader(io.StringIO(out))) == [["run_id", "outcome", "n"], *([a, b, str(n)] for a, b, n in want)]
    code, out, _ = said("runs", "--store", url, "--query", question, "--format", "json")
    assert [tuple(row.values()) for row in json.loads(out)] == want
    code, out, _ = said("runs", "--store", url, "--query", question)
    assert [line.split() for line in out.splitlines()[1:]] == [[a, b, str(n)] for a, b, n in want]


def test_a_filter_of_mongodb_finds_runs_and_rows(said: Said, run: RunDir, tmp_path: Path) -> None:
    """Over runs unless a table is named; only what counts is found, whatever a broken export left."""
    with store_servers.mongodb(tmp_path / "server") as url:
        stores_kept.killed_half_way(
            fabricate.realistic(tmp_path / "half", [fabricate.Load(300, rate_rps=50, tokens=2)]), url
        )
        assert said("export", str(run.path), url)[0] == 0
        code, out, _ = said("runs", "--store", url, "--query", '{"run_id": "odd-1"}', "--json")
        (found,) = json.loads(out)
        assert (found["tags"], found["verdict"] in ("VALID", "INVALID")) == ({}, True)
        for operator, runs in (("$eq", ["odd-1"]), ("$ne", [])):
            text = json.dumps({"verdict": {operator: found["verdict"]}})
            assert [r["run_id"] for r in json.loads(said("runs", "--store", url, "--query", text, "--json")[1])] == runs
        code, out, _ = said(
            "runs", "--store", url, "--query", '{"outcome": {"$in": ["ok", "lost"]}}', "--table", "requests", "--json"
        )
        assert {(r["run_id"], r["outcome"]) for r in json.loads(out)} == {("odd-1", "ok"), ("odd-1", "lost")}
        assert (
            json.loads(said("runs", "--store", url, "--query", '{"outcome": null}', "--table", "requests", "--json")[1])
            == []
        )
        for text, words in (("{", "not JSON"), ("[1]", "a JSON object"), ('{"$nope": 1}', "store mongodb://")):
            code, out, err = said("runs", "--store", url, "--query", text)
            assert (code, out) == (2, "")
            assert words in err


def test_columns_in_postgresql_say_what_they_mean(said: Said, run: RunDir, postgres: str) -> None:
    """Types and comments are the contract's; a text that holds U+0000 has U+FFFD there, which PostgreSQL can store."""
    assert said("export", str(run.path), f"{postgres}?schema=meant")[0] == 0
    with psycopg.connect(postgres) as connection:
        found = connection.execute(
            "SELECT a.attname, format_type(a.atttypid, NULL), col_description(a.attrelid, a.attnum) FROM pg_attribute a "
            "WHERE attrelid = 'meant.requests'::regclass AND attnum > 0 ORDER BY attnum"
        ).fetchall()
        kept = connection.execute(
            "SELECT name, report -> 'steps' -> 0 ->> 'name', jsonb_typeof(manifest) FROM meant.runs"
        ).fetchall()
    want = tables.tables()["requests"]
    assert [(name, meaning) for name, _, meaning in found] == [(c.name, c.meaning) for c in want.columns]
    kinds = {name: kind for name, kind, _ in found}
    assert (kinds["scheduled_ns"], kinds["http_status"], kinds["streamed"]) == ("bigint", "smallint", "boolean")
    assert kept == [("fabricated", "step 0", "object")]


def test_the_query_of_the_page_works(said: Said, run: RunDir, postgres: str) -> None:
    """What docs/stores.md asks PostgreSQL is a query, and gives the report's own figure."""
    (question,) = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "stores.md").read_text(), re.DOTALL)
    stores_kept.export(run, f"{postgres}?schema=page", tags={"commit": "1a2b"})
    code, out, _ = said("runs", "--store", f"{postgres}?schema=page", "--query", question, "--json")
    assert (code, json.loads(out)) == (
        0,
        [{"run_id": run.run_id, "commit": "1a2b", "step": "step 0", "ttft_p99_ms": 1.5}],
    )


def test_a_percent_sign_is_one(said: Said, run: RunDir, postgres: str) -> None:
    """A driver's own marks for values mean nothing in a person's SQL; a semicolon at its end does no harm."""
    stores_kept.export(run, f"{postgres}?schema=percent")
    question = "SELECT count(*) AS n FROM runs WHERE run_id LIKE 'odd%' AND 7 % 4 = 3;"
    assert said("runs", "--store", f"{postgres}?schema=percent", "--query", question, "--json")[1] == '[{"n":1}]\n'


def test_a_run_that_is_too_large_for_a_report_is_exported(
    said: Said, run: RunDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its facts go, with the verdict of the folder's manifest; the command says what is missing and why."""
    kept, url = run.read_manifest(), f"file://{tmp_path}/kept"

    def too_large(run: RunDir) -> None:
        raise QueryError("Out of Memory Error: failed\n\nhints")

    monkeypatch.setattr(judged, "judged", too_large)
    code, out, _ = said("export", str(run.path), url)
    assert code == 0
    assert out.endswith("requests 5; without a report: Out of Memory Error: failed\n")
    (found,) = stores_kept.listed(url, run_id=run.run_id)
    assert (found["report"], found["verdict"], found["manifest"]) == (None, kept["verdict"], kept)
    assert stores_kept.stored(url, "requests") == stores_kept.facts(run, "requests")


def test_a_table_that_the_run_lacks_is_named(said: Said, tmp_path: Path) -> None:
    """Who asked for texts learns that this run kept none."""
    fabricate.write(
        tmp_path / "r", steps=[fabricate.step(run_id="r")], requests=[fabricate.request(run_id="r")], run_id="r"
    )
    code, out, _ = said("export", str(tmp_path / "r"), f"file://{tmp_path}/kept", "--table", "texts")
    assert (code, out.strip().endswith("steps 1, requests 1, no texts")) == (0, True)


def test_zero_characters_do_not_stop_postgresql(said: Said, postgres: str, tmp_path: Path) -> None:
    """An answer may hold U+0000, PostgreSQL's text may not: U+FFFD stands in its place, in rows and in JSON."""
    row = fabricate.request(run_id="zero", error_message="a\0b")
    run = fabricate.write(
        tmp_path / "zero", steps=[fabricate.step(run_id="zero")], requests=[row], run_id="zero", name="n\0"
    )
    url = f"{postgres}?schema=zero"
    stores_kept.export(run, url)
    assert stores_kept.stored(url, "requests", ("error_message",)) == [("a\ufffdb",)]
    assert stores_kept.listed(url)[0]["name"] == "n\ufffd"


def test_a_connection_that_breaks_half_way_leaves_nothing(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends the session in the middle of a COPY: the error is told, the store is as it was; again, and one copy is there."""
    run = fabricate.realistic(tmp_path / "broken", [fabricate.Load(300, rate_rps=50, tokens=2)])
    url = f"{postgres}?schema=broken"

    def end_sessions() -> None:
        with psycopg.connect(store_servers.admin(postgres), autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'openloop'"
            )

    with stores_kept.interrupted(monkeypatch, end_sessions), pytest.raises(StoreError, match=r"lost|terminat"):
        stores_kept.export(run, url)
    assert (stores_kept.listed(url), stores_kept.stored(url, "requests")) == ([], [])
    stores_kept.export(run, url)
    assert stores_kept.stored(url, "requests") == stores_kept.facts(run, "requests")


def test_a_server_that_dies_half_way_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MongoDB's server is killed during the inserts: a StoreError; once it is back, exactly one copy and nothing left over."""
    run = fabricate.realistic(tmp_path / "died", [fabricate.Load(300, rate_rps=50, tokens=2)])
    port, quick = store_servers.free_port(), "&serverSelectionTimeoutMS=500"
    first = store_servers.mongodb(tmp_path / "server", port)
    url = first.__enter__()
    with (
        stores_kept.interrupted(monkeypatch, lambda: first.__exit__(None, None, None)),
        pytest.raises(StoreError),
    ):
        stores_kept.export(run, url + quick)
    with store_servers.mongodb(tmp_path / "server", port):
        assert stores_kept.listed(url) == []
        stores_kept.export(run, url)
        assert stores_kept.stored(url, "requests") == stores_kept.facts(run, "requests")
        assert stores_kept.pieces(url, "requests") == 300


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://u:{}@127.0.0.1:{port}/db", "refused"),
        ("postgresql://u:{}@127.0.0.1:{port}/db?nonsense=1", "nonsense"),
        ("mongodb://u:{}@127.0.0.1:{port}/db?serverSelectionTimeoutMS=300", "refused"),
        ("mongodb://u:{}@127.0.0.1:{port}/?serverSelectionTimeoutMS=300", "name a database"),
        ("s3://u:{}@bucket/prefix", "credentials come from the environment"),
        ("s3://bucket/prefix?secret_key={}", "unknown option secret_key"),
        ("sqlite://u:{}@host/x.db", "three slashes"),
        ("file://u:{}@host/x", "three slashes"),
        ("mysql://u:{}@h/db", "unknown scheme"),
    ],
)
def test_what_cannot_work_is_said_without_the_password(said: Said, run: RunDir, url: str, words: str) -> None:
    """Exit code 2, what is wrong, nothing on standard output, and the password nowhere."""
    secret = "hunter2-tops3cret"
    with nobody() as target:
        port = target.split(":")[2].partition("/")[0]
        code, out, err = said("export", str(run.path), url.replace("{port}", port).replace("{}", secret))
    assert (code, out) == (2, "")
    assert words in err
    assert secret not in err
    assert "Traceback" not in err


def test_a_wrong_password_is_not_repeated(
    said: Said, run: RunDir, postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not when it is wrong, not from the environment, not by asking for what is not there or not allowed."""
    monkeypatch.setenv("STORE_PASSWORD", "p@ss:w/rd")
    right = postgres.replace("p%40ss%3Aw%2Frd", "${STORE_PASSWORD}")
    for url, words in (
        (postgres.replace("p%40ss%3Aw%2Frd", "hunter2"), "password authentication failed"),
        (right.replace("/runs", "/nowhere"), 'database "nowhere" does not exist'),
        (right.replace("/runs", "/closed"), "permission denied"),
        (right.replace("/runs", "/postgres"), "permission denied"),
    ):
        code, out, err = said("export", str(run.path), url)
        assert (code, out) == (2, ""), url
        assert words in err
        assert "hunter2" not in err
        assert "p@ss" not in err
    assert said("export", str(run.path), right)[0] == 0
    with psycopg.connect(postgres) as connection:
        text = str(connection.execute("SELECT * FROM openloop.runs").fetchall())
    assert "p@ss" not in text


def test_tables_of_another_program_are_left_alone(said: Said, run: RunDir, postgres: str, tmp_path: Path) -> None:
    """A database that has a table of one of our names, but not ours, is refused, and nothing is added to it."""
    import sqlite3

    file = tmp_path / "other.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE requests (x INTEGER)")
    with psycopg.connect(postgres) as connection:
        connection.execute("CREATE SCHEMA other")
        connection.execute("CREATE TABLE other.runs (x INTEGER)")
    own = tmp_path / "here" / "runs"
    stores_kept.odd_run(own / "odd-1")
    for url in (f"sqlite:///{file}", f"{postgres}?schema=other", f"file://{own.parent}"):
        code, _, err = said("export", str(run.path), url)
        assert code == 2
        assert "belongs to another program" in err


def test_a_missing_bucket_is_said(said: Said, run: RunDir) -> None:
    """No bucket is made by an export."""
    with store_servers.s3() as url:
        code, _, err = said("export", str(run.path), url.replace("s3://runs/", "s3://nowhere/"))
    assert code == 2
    assert "nowhere" in err


def test_a_missing_package_is_named_with_its_remedy(run: RunDir) -> None:
    """Without the extra, a store that needs it says what to install; the others work."""
    program = (
        "import sys; sys.modules['sqlalchemy'] = None; sys.modules['pymongo'] = None\n"
        "from console.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    for url in ("postgresql://h/db", "sqlite:///x.db", "mongodb://h/db"):
        words = [sys.executable, "-c", program, "export", str(run.path), url]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert "pip install 'openloop[stores]'" in done.stderr


def test_one_run_that_fails_does_not_keep_the_others(said: Said, run: RunDir, tmp_path: Path) -> None:
    """Each run is tried; the exit code tells that one failed."""
    row = fabricate.request(run_id="going")
    going = fabricate.write(tmp_path / "going", requests=[row], run_id="going", sealed=False)
    code, out, err = said("export", str(going.path), str(run.path), f"file://{tmp_path}/kept")
    assert code == 2
    assert "going: run going: not sealed" in err
    assert "odd-1: in file://" in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--tag", "novalue"), "key=value is wanted"),
        (("--tag", "a=1", "--tag", "a=2"), "given twice"),
        (("--organisation", "../up"), "letters, digits"),
        (("--table", "requests"), "Invalid value"),
    ],
)
def test_bad_options_are_told(said: Said, run: RunDir, tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    """Before the store is touched."""
    code, _, err = said("export", str(run.path), f"file://{tmp_path}/kept", *words)
    assert code == 2
    assert told in err
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize(
    "words",
    [("latest",), ("--query", "SELECT 1"), ("--organisation", "a"), ("--store", "file:///x", "--table", "steps")],
)
def test_options_of_a_store_go_with_one(said: Said, words: tuple[str, ...]) -> None:
    """What `runs` cannot use is not silently ignored."""
    assert said("runs", *words)[0] == 2


def test_an_empty_store_has_no_runs(said: Said, tmp_path: Path) -> None:
    """A listing is empty; asking for one run is an error that says so."""
    url = f"file://{tmp_path}"
    assert said("runs", "--store", url, "--json") == (0, "[]\n", "")
    code, _, err = said("runs", "--store", url, "latest")
    assert code == 2
    assert "it holds no runs" in err


def test_a_run_is_exported_once_it_ended(tmp_path: Path) -> None:
    """`run --export`: two stores, one of them out of reach; the run's report and exit code are as without, and what failed is told."""
    load = ["--target", "simulator", "--concurrency", "2", "--requests", "6", "--output-tokens", "4", "--no-live"]
    place = ["--runs-dir", str(tmp_path), "--run-id", "r"]
    kept = f"sqlite:///{tmp_path / 'kept.db'}"
    with nobody() as target:
        away = target.replace("http://", "postgresql://u:hunter2@").replace("/v1", "/db")
        program = "import sys; from console.cli import main; sys.exit(main(sys.argv[1:]))"
        words = [sys.executable, "-c", program, "run", *load, *place, "--export", away, "--export", kept]
        environment = os.environ | {"OPENLOOP_ORGANISATION": "acme", "OPENLOOP_TAGS": "a=1 b=2"}
        done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    alone = RunDir(tmp_path / "r").read_manifest()["verdict"]
    assert done.returncode == (0 if alone == "VALID" else 3)
    assert f"exported: {kept}" in done.stderr
    assert "error: not exported: store postgresql://u:***@" in done.stderr
    assert "hunter2" not in done.stderr + done.stdout
    (found,) = stores_kept.listed(kept, run_id="r")
    assert (found["organisation"], found["tags"], found["verdict"]) == ("acme", {"a": "1", "b": "2"}, alone)
    assert found["rows"]["requests"] == len(stores_kept.stored(kept, "requests"))
    assert not any("hunter2" in p.read_text(errors="replace") for p in (tmp_path / "r").rglob("*") if p.is_file())


def test_a_store_that_cannot_be_is_told_before_the_run(said: Said, tmp_path: Path) -> None:
    """An hour of load is not the moment to learn of a typing error."""
    code, _, err = said("run", "quick", "--runs-dir", str(tmp_path / "runs"), "--export", "mysql://h/db")
    assert code == 2
    assert "unknown scheme" in err
    assert not (tmp_path / "runs").exists()


def test_names_written_out_are_those_of_the_schema() -> None:
    """The command line reads no schema for --help: its list of tables is checked here."""
    assert commands.TABLES == tables.ON_REQUEST
    assert exporting.table_names(("tokens",)) == ["steps", "requests", "tokens"]
