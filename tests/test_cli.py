"""The command line without a run: exit codes, messages, and what is written where."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from console import exits
from console.cli import main
from tests import fabricate

ROOT = Path(__file__).parents[1]
GOOD = """
target: {url: simulator}
workload: {input_tokens: 20, output_tokens: 5}
steps:
  - {concurrency: 1, requests: 2}
"""
HUGE_MATRIX = f"""
target: {{url: simulator}}
steps: [{{requests: 2}}]
matrix: {{concurrency: {list(range(1, 2001))}, input_tokens: {list(range(1, 5001))}}}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with one good scenario, ``good.yaml``."""
    (tmp_path / "good.yaml").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def scenario(here: Path, text: str) -> str:
    (here / "bad.yaml").write_text(text)
    return "bad.yaml"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD + "sloo: {ttft: 1s}\n", ["bad.yaml:6", "sloo", "nearest: 'slo'"]),
        (GOOD.replace("requests: 2", "duration: 2parsecs"), ["bad.yaml:5", "duration", "2parsecs"]),
        (GOOD.replace("concurrency: 1, requests: 2", "rate: 0/s, duration: 1s"), ["bad.yaml:5", "rate", "zero"]),
        (GOOD.replace("simulator}", "'http://127.0.0.1:1/v1'}"), ["bad.yaml:2", "no model", "--model"]),
        (
            GOOD.replace("simulator}", "'http://127.0.0.1:1', model: m, api_key: '${OPENLOOP_NO_SUCH_KEY}'}"),
            ["bad.yaml:2", "OPENLOOP_NO_SUCH_KEY"],
        ),
        (
            GOOD.replace("simulator}", "simulator, simulator: {tft: 5ms}}"),
            ["bad.yaml:2", "target.simulator", "tft", "nearest: ttft"],
        ),
        (
            GOOD.replace("simulator}", "simulator, simulator: {ttft: 5}}"),
            ["bad.yaml:2", "target.simulator: ttft", "units"],
        ),
        (HUGE_MATRIX, ["10,000,000 cells", "at most"]),
        ("- not: a mapping\n", ["bad.yaml:1"]),
        ("target: {url: simulator\n", ["bad.yaml", "not YAML"]),
    ],
    ids=[
        "unknown key",
        "unit",
        "zero rate",
        "no model",
        "variable",
        "simulator key",
        "simulator unit",
        "matrix",
        "list",
        "yaml",
    ],
)
@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_wrong_scenario_names_place_key_and_remedy(
    here: Path, capsys: pytest.CaptureFixture[str], command: str, text: str, words: list[str]
) -> None:
    """Whatever is wrong in a scenario ends with 2 and a message that leads to it, before a run folder exists."""
    assert main([command, scenario(here, text)]) == exits.WRONG
    out, err = capsys.readouterr()
    assert out == ""
    for word in words:
        assert word in err
    assert "Traceback" not in err
    assert not (here / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["runn"], ["No such command", "runn"]),
        (["run", "--concurency", "3"], ["No such option", "--concurrency"]),
        (["run", "quck"], ["quck", "quick"]),
        (["run", "good.yaml", "good.yaml", "--run-id", "x"], ["--run-id"]),
        (["run", "good.yaml", "--rate", "5/s", "--concurrency", "3"], ["--rate", "--concurrency"]),
        (["run", "good.yaml", "--set", "steps.7.duration=1s"], ["steps", "7"]),
        (["run", "good.yaml", "--set", "steps.0.durasion=1s"], ["durasion", "duration"]),
        (["run", "--target", "simulator", "--rate", "5"], ["--rate", "5/s"]),
        (["run", "--rate", "5/s"], ["no target", "--target"]),
        (["run", "good.yaml", "--run-id", "../x"], ["run id", "../x"]),
        (["report", "latest"], ["no runs", "openloop run quick"]),
        (["sql", "nothing", "SELECT 1"], ["nothing", "no such run"]),
        (["sql", "nothing"], ["nothing", "no such run"]),
        (["seal", "nothing"], ["nothing", "no such run"]),
        (["report"], ["Missing argument", "RUN"]),
        (["report", "latest", "--format", "pdf"], ["pdf", "html"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_says_what_is_right(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: list[str]
) -> None:
    """Unknown commands, options, scenarios and runs end with 2 and name what there is."""
    assert main(arguments) == exits.WRONG
    out, err = capsys.readouterr()
    assert out == ""
    for word in words:
        assert word in err
    assert not (here / "runs").exists()


def test_a_mistake_in_the_last_scenario_shows_before_the_first_runs(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of several scenarios none is run when one of them is wrong."""
    assert main(["run", "good.yaml", scenario(here, "steps: []\n")]) == exits.WRONG
    assert "bad.yaml" in capsys.readouterr().err
    assert not (here / "runs").exists()


def test_a_run_id_that_exists_is_kept(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run is never overwritten: nothing in its folder changes, and nothing is sent."""
    there = here / "runs" / "mine"
    there.mkdir(parents=True)
    (there / "manifest.json").write_text("{}")
    assert main(["run", "good.yaml", "--run-id", "mine"]) == exits.WRONG
    assert "--run-id" in capsys.readouterr().err
    assert [p.name for p in there.iterdir()] == ["manifest.json"]


def test_a_runs_folder_that_cannot_be_written_is_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file in the place of the folder, which not even root can write into, ends with 2 and names --runs-dir."""
    (here / "file").write_text("")
    assert main(["run", "good.yaml", "--runs-dir", "file/runs"]) == exits.WRONG
    err = capsys.readouterr().err
    assert "file/runs" in err
    assert "--runs-dir" in err


@pytest.mark.parametrize("file", ["requests.parquet", "tokens.parquet", "manifest.json"])
@pytest.mark.parametrize("command", [["report", "broken"], ["sql", "broken", "FROM requests"]], ids=["report", "sql"])
def test_a_damaged_run_names_the_file(
    here: Path, capsys: pytest.CaptureFixture[str], command: list[str], file: str
) -> None:
    """Parquet that is no Parquet, or a manifest that is no JSON: 2, the file, and no traceback."""
    run = fabricate.write(here / "runs" / "broken", steps=[fabricate.step()])
    (run.path / file).write_bytes(b"PAR1 { torn")
    assert main(command) == exits.WRONG
    out, err = capsys.readouterr()
    assert out == ""
    assert file in err
    assert "Traceback" not in err


@pytest.fixture
def measured(here: Path) -> Path:
    """A fabricated run ``runs/good`` with three answers in one step."""
    rows = [fabricate.answer(n, at_ms=100.0 * n, ttft_ms=50.0, gaps_ms=[10.0, 10.0]) for n in range(3)]
    fabricate.write(
        here / "runs" / "good",
        steps=[fabricate.step()],
        requests=[request for request, _ in rows],
        tokens=[token for _, tokens in rows for token in tokens],
        health=[fabricate.beat(second=s) for s in range(10)],
    )
    return here


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELEC 1", ["SELEC"]),
        ("SELECT nope FROM requests", ["nope"]),
        ("SELECT * FROM requets", ["requests"]),
        ("ttft_percentile", ["ttft_percentiles"]),
        ("DROP VIEW requests", ["SELECT"]),
        ("COPY (SELECT 1) TO 'x.parquet'", ["SELECT"]),
        ("SELECT * FROM read_text('/etc/hostname')", ["hostname"]),
    ],
)
def test_bad_sql_is_refused(measured: Path, capsys: pytest.CaptureFixture[str], query: str, words: list[str]) -> None:
    """SQL that DuckDB cannot run, names that do not exist, and whatever is no SELECT over the run: 2, with the place or the name."""
    assert main(["sql", "good", query]) == exits.WRONG
    out, err = capsys.readouterr()
    assert out == ""
    for word in words:
        assert word in err


def test_sql_answers_in_every_form(measured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same rows come as a table, CSV, JSON and Parquet."""
    import pyarrow.parquet as pq

    query = "SELECT request_id, outcome, NULL AS nothing FROM requests ORDER BY request_id"
    assert main(["sql", "latest", query]) == exits.GOOD
    assert capsys.readouterr().out.splitlines()[1].split() == ["0", "ok"]
    assert main(["sql", "good", query, "--format", "csv"]) == exits.GOOD
    assert capsys.readouterr().out == "request_id,outcome,nothing\n0,ok,\n1,ok,\n2,ok,\n"
    assert main(["sql", str(measured / "runs" / "good"), query, "--format", "json"]) == exits.GOOD
    rows = json.loads(capsys.readouterr().out)
    assert rows == [{"request_id": n, "outcome": "ok", "nothing": None} for n in range(3)]
    assert main(["sql", "good", query, "--format", "parquet", "-o", "x.parquet"]) == exits.GOOD
    assert [{**row, "nothing": None} for row in pq.read_table("x.parquet").to_pylist()] == rows


def test_a_long_table_is_cut_and_says_so(measured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table stops after a thousand rows and names the forms that give all; CSV has every row."""
    query = "SELECT a.request_id FROM requests a, range(1000)"
    assert main(["sql", "good", query]) == exits.GOOD
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1001
    assert "--format csv" in err
    assert main(["sql", "good", query, "--format", "csv"]) == exits.GOOD
    out, err = capsys.readouterr()
    assert (len(out.splitlines()), err) == (3001, "")


def test_sql_without_a_query_lists_the_questions(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``openloop sql`` names every query of the catalog with its question."""
    from analysis import catalog

    assert main(["sql"]) == exits.GOOD
    out = capsys.readouterr().out
    for query in catalog.load().values():
        assert query.name in out
        assert query.question in out


@pytest.mark.parametrize(
    ("arguments", "word"),
    [(["--format", "parquet"], "-o"), (["--param", "width"], "name=value")],
)
def test_sql_options_are_checked(
    measured: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], word: str
) -> None:
    """Parquet wants a file, a parameter a value."""
    assert main(["sql", "good", "SELECT 1", *arguments]) == exits.WRONG
    assert word in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_named(measured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """-o into a folder that does not exist ends with 2 and the path."""
    for form in ("csv", "parquet"):
        assert main(["sql", "good", "SELECT 1", "--format", form, "-o", "no/such/x"]) == exits.WRONG
        assert "no/such/x" in capsys.readouterr().err


def test_runs_lists_the_newest_first(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A row a run, newest first, also of one that cannot be read; --json gives the same."""
    for name, created in (("old", "2026-01-01T00:00:00Z"), ("new", "2026-02-01T00:00:00Z")):
        fabricate.write(here / "runs" / name, steps=[fabricate.step()], created=created, run_id=name, verdict="VALID")
    (here / "runs" / "torn").mkdir()
    (here / "runs" / "torn" / "manifest.json").write_text("{")
    assert main(["runs"]) == exits.GOOD
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["run_id", "new", "old", "torn"]
    assert main(["runs", "--json"]) == exits.GOOD
    rows = json.loads(capsys.readouterr().out)
    assert [(row["run_id"], row["verdict"], row["state"]) for row in rows] == [
        ("new", "VALID", "sealed"),
        ("old", "VALID", "sealed"),
        ("torn", None, "damaged"),
    ]


def test_plan_shows_steps_needs_and_warnings(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The plan of flags alone: a step a value, totals, descriptors and ports; as JSON, with null for what has no end."""
    arguments = ["plan", "--target", "simulator", "--rate", "5/s,10/s", "--duration", "20s", "--seed", "7"]
    assert main(arguments) == exits.GOOD
    out = capsys.readouterr().out
    for word in ("poisson 5/s", "poisson 10/s", "2 steps", "seed 7", "descriptors", "ports", "40 s"):
        assert word in out
    assert main([*arguments, "--json"]) == exits.GOOD
    plan = json.loads(capsys.readouterr().out)
    assert [step["rate_rps"] for step in plan["plan"]["steps"]] == [5.0, 10.0]
    assert plan["plan"]["steps"][0]["requests"] is None
    assert plan["needs"]["duration_s"] == 40.0
    assert not (here / "runs").exists()


def test_schema_is_a_json_schema(capsys: pytest.CaptureFixture[str]) -> None:
    """``openloop schema`` prints what editors check a scenario against, and nothing else."""
    assert main(["schema"]) == exits.GOOD
    schema = json.loads(capsys.readouterr().out)
    assert "steps" in schema["properties"]
    assert schema["additionalProperties"] is False


def test_a_fault_of_ours_is_short_and_keeps_its_traceback(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unforeseen exception ends with 1, one line, and the traceback in a file; with --debug, on stderr."""
    from generator.scenario import reading as scenarios

    def broken() -> dict[str, object]:
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(scenarios, "json_schema", broken)
    monkeypatch.setenv("TMPDIR", str(here))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert main(["schema"]) == exits.FAULT
    err = capsys.readouterr().err
    assert "ZeroDivisionError: a fault of ours" in err
    assert "Traceback" not in err
    (log,) = here.glob("openloop-*.log")
    assert log.name in err
    assert "in broken" in log.read_text()
    assert main(["--debug", "schema"]) == exits.FAULT
    assert "in broken" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("codes", "counts"),
    [
        ([], 0),
        ([99, 0], 99),
        ([99, 3], 3),
        ([3, 4, 99], 4),
        ([4, 130], 130),
        ([130, 1], 1),
        ([1, 2], 2),
    ],
)
def test_the_first_code_that_applies_counts(codes: list[int], counts: int) -> None:
    """2 before 1 before 130 before 4 before 3 before 99 before 0."""
    assert exits.first(codes) == counts


def test_a_reader_that_goes_away_is_no_fault(measured: Path) -> None:
    """``openloop sql ... | head`` ends quietly when head has seen enough."""
    program = "import sys; from console.cli import main; sys.exit(main(sys.argv[1:]))"
    query = "SELECT a.request_id FROM requests a, range(100000)"
    with subprocess.Popen(
        [sys.executable, "-c", program, "sql", "good", query, "--format", "csv"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "request_id\n"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == exits.GOOD
