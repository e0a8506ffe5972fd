"""Commands as members of pipes, as real processes: readers that leave, files, and rows for programs where nobody watches."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import fabricate

OPENLOOP = (sys.executable, "-c", "import sys; from console.cli import main; sys.exit(main())")


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose rows fill any pipe many times over."""
    return fabricate.realistic(tmp_path_factory.mktemp("runs") / "long", [fabricate.Load(400, rate_rps=50)]).path


def ask(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*OPENLOOP, *map(str, words)], capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("form", ["csv", "json", "table"])
def test_a_reader_may_leave(long: Path, form: str) -> None:
    """`openloop sql ... | head -n 1`: the first line comes, the command ends without a traceback or a word."""
    words = [*OPENLOOP, "sql", str(long), "SELECT * FROM tokens", "--format", form]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait(timeout=60) == 0
    assert "Traceback" not in said
    assert "Error" not in said


@pytest.mark.parametrize("form", ["text", "json", "csv", "html", "junit", "hdr", "prometheus", "influx", "otlp"])
def test_every_report_goes_to_a_pipe_and_to_a_file(long: Path, form: str, tmp_path: Path) -> None:
    """The same bytes either way, and nothing else on standard output. Charts number their parts anew each time: HTML is as long."""
    piped = ask("report", long, "--format", form)
    path = tmp_path / "report"
    filed = ask("report", long, "--format", form, "-o", path)
    assert (piped.returncode, filed.returncode, filed.stdout) == (0, 0, "")
    if form == "html":
        assert piped.stdout.startswith("<!doctype html>")
        assert abs(len(piped.stdout) - len(path.read_text())) < 1000
    else:
        assert piped.stdout == path.read_text()
    assert "\x1b" not in piped.stdout, "colours are for terminals"


def test_rows_are_whole_in_every_form(long: Path) -> None:
    """CSV and JSON give all rows, whoever reads; a table for eyes says where it stops."""
    query = "SELECT request_id, outcome FROM requests"
    as_csv = list(csv.DictReader(io.StringIO(ask("sql", long, query, "--format", "csv").stdout)))
    as_json = json.loads(ask("sql", long, query, "--format", "json").stdout)
    assert len(as_csv) == len(as_json) == 400
    assert {r["request_id"] for r in as_csv} == {str(r["request_id"]) for r in as_json}


def test_a_file_that_cannot_be_written_is_an_error(long: Path, tmp_path: Path) -> None:
    """The file, the reason, exit code 2; for rows and reports alike."""
    for words in (("sql", long, "step_summary", "--format", "csv"), ("report", long, "--format", "influx")):
        done = ask(*words, "-o", tmp_path / "no" / "such" / "folder")
        assert done.returncode == 2
        assert "No such file or directory" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_full_pipe_s_end_is_told(long: Path) -> None:
    """/dev/full takes nothing: that is an error and not a success."""
    with Path("/dev/full").open("w") as full:
        words = [*OPENLOOP, "sql", str(long), "SELECT * FROM tokens", "--format", "csv"]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
    assert done.returncode != 0
    assert "No space left on device" in done.stderr
