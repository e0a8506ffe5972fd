"""Runs spoilt on purpose, from the command line to the verdict: each gets the word that fits, whatever else a busy machine adds to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from console import exits

ROOT = Path(__file__).parents[1]
PROGRAM = "import sys; from console.cli import main; sys.exit(main())"
LENGTHS = ["--input-tokens", "20", "--output-tokens", "4"]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def report_of(simulator: str, end: tuple[str, str] = ("--duration", "5s")) -> dict[str, Any]:
    """The JSON report of 40 requests a second against an endpoint with these options."""
    target = ["--target", "simulator", "--set", f"target.simulator={simulator}"]
    words = ["run", *target, "--rate", "40/s", *end, *LENGTHS, "--json", "--no-live"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode in (exits.GOOD, exits.INVALID), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def rule(report: dict[str, Any], name: str) -> dict[str, Any]:
    return next(r for r in report["verdict"]["rules"] if r["name"] == name)


def test_a_target_far_from_its_limit_is_steady() -> None:
    """Two hundred answers of 30 ms with 10 % jitter: nothing rises."""
    report = report_of("{ttft: 30ms, itl: 5ms}")
    assert rule(report, "steady")["broken"] is False, rule(report, "steady")


def test_a_queue_that_grows_is_called_so() -> None:
    """40 requests a second where one at a time is served, about 14: not steady, p99 withheld with that reason, and the advice says why."""
    report = report_of("{timing: batch, max_batch: 1, prefill_base: 40ms, decode_base: 10ms}")
    assert rule(report, "steady")["broken"] is True
    assert "cannot keep up" in rule(report, "steady")["advice"]
    (step,) = report["steps"]
    assert step["ttft_ms"]["p50"] is not None
    assert step["ttft_ms"]["p99"] is None


def test_a_target_that_slows_down_is_called_so() -> None:
    """First tokens take three times as long after a few seconds: not steady, though nothing queues."""
    report = report_of("{ttft: 30ms, itl: 5ms, drift: 2000%}")
    assert rule(report, "steady")["broken"] is True
    assert "TTFT +" in rule(report, "steady")["figure"]


def test_too_few_requests_are_called_so() -> None:
    """Twelve requests bound no p99, and their step is too short to be called steady or not."""
    report = report_of("{ttft: 10ms, itl: 2ms}", ("--requests", "12"))
    enough = rule(report, "enough_data")
    assert (enough["level"], enough["broken"]) == ("WITHHELD", True)
    assert "12 of 299" in enough["figure"]
    assert rule(report, "steady")["figure"].startswith("not judged: 12 requests")
    (step,) = report["steps"]
    assert step["ttft_ms"]["intervals"]["p99"]["withheld"] == "n too small: 12 of 299"
