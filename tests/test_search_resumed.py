"""A search that was killed: what the run that was under way cost counts as spent, and `--resume` goes on after the finished ones."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_search_tool import PROGRAM, SCENARIO, asks, opened
from whole_runs import ENVIRONMENT, until

from analysis.searching.course import Ending, next_move
from console import exits, prepare
from console.searching import asked, driving, opening, state
from generator import run_dir
from generator.counters import INDEX, Counters
from generator.planning import plan
from generator.recording import manifest
from generator.schema import TABLES
from tests import fabricate


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "limited.yaml"
    path.write_text(SCENARIO)
    return path


def test_a_run_that_was_cut_is_spent_with_requests_time_and_money(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL takes a run away, not what it cost: what its folder says of requests, time and money counts towards the limits, lost requests
    at what the others cost, and a limit that it used up ends the search."""
    prices = ("target.price_in=1000", "target.price_out=2000")
    base, folder, known = opening.anew(
        str(file), {"seed": "5"}, list(prices), asks(probe_duration="600s", budget="$10"), tmp_path / "runs", "s"
    )
    known = dataclasses.replace(known.begin("s-000"), begun_at="2026-11-22T10:00:00.000Z")
    state.write(folder, known)
    step = {"concurrency": 4, "requests": 60, "input_tokens": 16, "output_tokens": 4}
    prepared = prepare.planned(asked.scenario_of(base, "s-000", 5, step, 10.0))
    run = run_dir.create(folder, "s-000")
    planned = dataclasses.replace(prepared.planned, plan=dataclasses.replace(prepared.planned.plan, run_id="s-000"))
    plan.write(planned.with_urls(dict.fromkeys(prepared.simulators, "http://127.0.0.1:9")), run)
    begun_ns = int(datetime.fromisoformat("2026-11-22T10:00:02Z").timestamp()) * 10**9
    facts = manifest.begin(planned.plan, run)
    run.write_manifest(facts | {"clock": {"monotonic_ns": 7 * 10**9, "utc_ns": begun_ns, "width_ns": 1}})
    counters = Counters(run.counters_path, planned.plan.workers, create=True).row(0)
    counters[INDEX["heartbeat_ns"]] = 47 * 10**9
    counters[INDEX["spent_nano_usd"]] = 6 * 10**9
    counters[INDEX["guessed_nano_usd"]] = 10**9
    rows = [fabricate.request(n, run_id="s-000", outcome="lost" if n < 10 else "ok") for n in range(80)]
    table = pa.Table.from_pylist(rows, schema=TABLES["requests"])
    pq.write_table(table, run.segments / "requests-0-000001.parquet")

    _, _, again = opening.again("s", None, {}, [], asks(), tmp_path / "runs")
    (cut,) = again.runs
    assert (cut.run_id, cut.cut, cut.sent) == ("s-000", True, 80)
    assert cut.elapsed_s == pytest.approx(2 + 40)
    assert cut.usd == pytest.approx(7 * 80 / 70)
    assert run.sealed
    spent = driving.found(folder, again)["spent"]
    assert spent == {"requests": 80, "seconds": pytest.approx(42), "usd": pytest.approx(8)}
    for name, value in (("max_requests", "120"), ("max_time", "42s"), ("budget", "$8")):
        _, _, limited = opening.again("s", None, {}, [], asks(**{name: value}), tmp_path / "runs")
        assert isinstance(next_move(limited.goal, limited.limits, limited.runs, limited.forgiven), Ending), name


def test_a_run_that_had_not_begun_costs_nothing(file: Path, tmp_path: Path) -> None:
    """Killed in the pause before it, or before its plan was written: there is nothing to count, and the search goes on."""
    _, folder, known = opened(file, tmp_path)
    state.write(folder, known.begin("s-000"))
    assert opening.again("s", None, {}, [], asks(), tmp_path / "runs")[2].runs == ()
    (folder / "s-000").mkdir()
    (cut,) = opening.again("s", None, {}, [], asks(), tmp_path / "runs")[2].runs
    assert (cut.sent, cut.elapsed_s, cut.usd, cut.cut) == (0, 0.0, None, True)


def test_the_whole_tool_is_killed_and_resumed(file: Path, tmp_path: Path) -> None:
    """SIGKILL in the middle of a run: the state names it, `--resume` goes on after the finished ones and comes to an end. On a busy machine
    that end may be that our own generator could not; never is it a fault of ours.
    """
    folder = tmp_path / "runs"
    words = ["search", str(file), "--runs-dir", str(folder), "--search-id", "s", "--seed", "3", "--no-live", "--json"]
    words += [
        "--from",
        "4/s",
        "--to",
        "40/s",
        "--precision",
        "50%",
        "--probe-duration",
        "8s",
        "--pause",
        "0s",
        "--set",
        "workers=1",
    ]
    words += ["--confidence", "90%", "--retries", "3", "--max-requests", "400"]
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, *words], env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    try:
        until(
            lambda: state.path_of(folder / "s").exists() and len(state.read(folder / "s").runs) >= 1, "a finished run"
        )
        begun = until(lambda: state.read(folder / "s").begun, "the next one")
        counters = folder / "s" / begun / "counters.bin"
        until(lambda: counters.exists() and Counters(counters, 1).total("sent") > 5, "its requests")
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    before = state.read(folder / "s")
    again = subprocess.run(
        [sys.executable, "-c", PROGRAM, "search", "--resume", "s", "--runs-dir", str(folder), "--no-live", "--json"],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert again.returncode in (exits.GOOD, exits.THRESHOLD, exits.INVALID), again.stderr
    found = json.loads(again.stdout)
    after = state.read(folder / "s")
    assert after.runs[: len(before.runs)] == before.runs
    assert found["end"] in ("found", "all", "none", "invalid", "requests")
    assert (folder / "s" / driving.REPORT).read_text().startswith("<!doctype html>")
    assert len({d.run_id for d in after.runs}) == len(after.runs)
    cut = after.runs[len(before.runs)]
    assert (cut.run_id, cut.cut) == (begun, True)
    assert cut.sent == pq.read_metadata(folder / "s" / begun / "requests.parquet").num_rows > 5
    assert cut.elapsed_s > 0
    for done in after.runs[len(before.runs) + 1 :]:
        assert orjson.loads((folder / "s" / done.run_id / "manifest.json").read_bytes())["run_id"] == done.run_id
        assert done.sample.requests > 0
