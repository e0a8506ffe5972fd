"""Repeated runs as they are made: against the built-in endpoint, and killed in the middle."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from console import exits
from console.cli import main
from generator.run_dir import RunDir
from tests.whole_runs import ENVIRONMENT, ROOT, rows, until

SCENARIO = [
    "--target",
    "simulator",
    "--rate",
    "20/s",
    "--duration",
    "2s",
    "--output-tokens",
    "4",
    "--input-tokens",
    "32",
    "--workers",
    "1",
]


def test_repeated_runs_against_the_built_in_endpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole way: two runs of one schedule whose prompts have no word in common at their beginning, and a merged report.

    Whether the generator was punctual on a busy machine does not matter here.
    """
    record = ["--set", "record.texts=all"]
    code = main(
        [
            "run",
            *SCENARIO,
            *record,
            "--repeat",
            "2",
            "--run-id",
            "e2e",
            "--no-live",
            "--json",
            "--runs-dir",
            str(tmp_path),
        ]
    )
    assert code in (exits.GOOD, exits.INVALID)
    report = json.loads(capsys.readouterr().out)
    assert [r["run_id"] for r in report["repetitions"]] == ["e2e-r1", "e2e-r2"]
    runs = [RunDir(tmp_path / f"e2e-r{n}") for n in (1, 2)]
    prompts = [{r["request_id"]: r["prompt"] for r in rows(run, "texts") if r["request_id"] >= 0} for run in runs]
    assert prompts[0].keys() == prompts[1].keys()
    assert not {p[:20] for p in prompts[0].values()} & {p[:20] for p in prompts[1].values()}
    steps = [rows(run, "steps")[0] for run in runs]
    due = [
        [
            r["scheduled_ns"] - step["start_ns"]
            for r in sorted(rows(run), key=lambda r: r["request_id"])
            if r["request_id"] >= 0
        ]
        for run, step in zip(runs, steps, strict=True)
    ]
    assert due[0] == due[1]


def test_killed_in_the_middle_a_group_is_still_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """SIGKILL in the second run: the first is whole, the second can be sealed, and the report shows both and says what it lacks."""
    command = [
        sys.executable,
        "-c",
        "import sys; from console.cli import main; sys.exit(main())",
        "run",
        *SCENARIO[:-2],
        "--workers",
        "1",
    ]
    command += [
        "--set",
        "steps.0.duration=8s",
        "--repeat",
        "3",
        "--run-id",
        "k",
        "--no-live",
        "--runs-dir",
        str(tmp_path),
    ]
    process = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: list((tmp_path / "k-r2" / "segments").glob("requests-*")), "the second run's first segment")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    runs = ["--runs-dir", str(tmp_path)]
    assert main(["report", "k", *runs]) == exits.GOOD
    out = capsys.readouterr().out
    assert "cut off before it could say" in out
    assert "k-r2 is not merged: not judged" in out
    assert main(["seal", "k-r2", *runs]) == exits.GOOD
    capsys.readouterr()
    assert main(["report", "k", *runs]) == exits.GOOD
    assert "k-r2 is not merged: " in capsys.readouterr().out
