"""What is written comes out whatever the locale, whoever reads it, and however full the disk is."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from console import exits, rows, streams
from console.cli import main
from generator.errors import RunFolderError
from generator.run_dir import check_id, create, find

SAY = "from console import streams; streams.make_ready(); print('p50 – p99 \\ud800')"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_pipe_gets_utf_8_in_any_locale(encoding: str) -> None:
    """JSON and HTML have to be UTF-8, and half a character in a model's answer ends no report."""
    done = subprocess.run(
        [sys.executable, "-c", SAY], env=os.environ | {"PYTHONIOENCODING": encoding}, capture_output=True, check=True
    )
    assert done.stdout == "p50 – p99 \\ud800\n".encode()


def test_a_closed_standard_output_is_no_fault() -> None:
    """As where a shell says `>&-`."""
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-c", SAY], capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no /dev/full here")
@pytest.mark.parametrize("command", [["slos"], ["schema"], ["prompts", "-n", "3"], ["prompts", "-o", "/dev/full"]])
def test_a_full_disk_is_told_and_no_fault_of_ours(command: list[str]) -> None:
    """Exit code 2 and one line; a device that was named as output is still one."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", "import sys; from console.cli import main; sys.exit(main())", *command],
            stdout=full, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
    assert done.returncode == exits.WRONG
    assert b"No space left on device" in done.stderr
    assert b"internal error" not in done.stderr
    assert Path("/dev/full").is_char_device()


def test_an_interrupted_question_is_no_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """DuckDB hands on a Ctrl-C as a RuntimeError of these words."""
    import duckdb

    with duckdb.connect() as connection:
        timer = subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -INT {os.getpid()}"])
        with pytest.raises(RuntimeError, match=r"^Query interrupted$"):
            connection.execute("SELECT count(*) FROM range(10000000000) a, range(100) b").fetchall()
        timer.wait()

    def cut(*_: object) -> None:
        fault = RuntimeError("Query interrupted")
        fault.add_note("where the data is")
        raise fault

    monkeypatch.setattr("console.queries.listing", cut)
    assert main(["sql"]) == exits.INTERRUPTED
    assert capsys.readouterr().err == "interrupted\nwhere the data is\n"


def test_the_word_for_the_newest_run_is_no_run_s_name(tmp_path: Path) -> None:
    """A run of that name could never be asked for."""
    with pytest.raises(RunFolderError, match="stands for the newest run"):
        check_id("latest")
    (tmp_path / "notes").mkdir()
    with pytest.raises(RunFolderError, match=r"no run folder: it has no manifest\.json"):
        find(str(tmp_path / "notes"), tmp_path / "runs")


@pytest.mark.parametrize(("term", "screen"), [("xterm", True), ("dumb", False), ("unknown", False), ("", True)])
def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch, term: str, screen: bool) -> None:
    """No colours, no panel, and above all no table that is cut to 80 columns."""
    monkeypatch.setenv("TERM", term)
    out = io.StringIO()
    monkeypatch.setattr(out, "isatty", lambda: True)
    assert streams.is_screen(out) is screen
    wide = "x" * 200
    rows.write_table(("column", "other"), iter([(wide, "last")]), out)
    assert wide in out.getvalue()
    assert "last" in out.getvalue()
    assert ("\x1b" in out.getvalue()) is screen


def test_a_runs_folder_of_no_encoding(tmp_path: Path) -> None:
    """A path that is no UTF-8 cannot go into a manifest: refused before anything is sent."""
    with pytest.raises(RunFolderError, match="a path that is UTF-8 is wanted"):
        create(tmp_path / "r\udcff", "x")
