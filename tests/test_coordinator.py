"""Runs of the coordinator and real workers that end by themselves: good ones, hopeless ones, broken ones."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from plans import MS, S, folder, plan, step
from whole_runs import nobody, refusing, rows, simulator, with_url

from generator import coordinator, job
from generator.progress import Progress, RunEnd
from generator.run_dir import RunDir

ARRIVALS = [n * 20 * MS for n in range(20)]
SHORT = step(duration_ns=S // 2, rate_rps=50.0, planned_arrivals=20)


def ran(
    path: Path, url: str, *steps: job.Step, arrivals: dict[int, list[int]] | None = None, **fields: Any
) -> tuple[RunEnd, RunDir, list[Progress]]:
    made = with_url(plan(*steps, **fields), url)
    run = folder(path, made, {0: ARRIVALS} if arrivals is None else arrivals)
    seen: list[Progress] = []
    return coordinator.run(made, run, {}, seen.append), run, seen


def phases(run: RunDir) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in rows(run):
        found.setdefault(row["phase"], []).append(row["outcome"])
    return found


@pytest.mark.parametrize("workers", [1, 2])
def test_a_good_run(tmp_path: Path, workers: int) -> None:
    """An open step, then a closed one: every arrival has its row, tokens match, the manifest knows what the probe learned."""
    closed = step(1, concurrency=3, requests=9, warmup_ns=10 * MS)
    with simulator("--ttft", "5ms", "--itl", "1ms", "--jitter", "0") as url:
        end, run, seen = ran(tmp_path, url, SHORT, closed, workers=workers, probe=2)
    assert (end.error, end.exit_code, end.interrupted, end.lost_workers) == (None, 0, False, ())
    assert (end.succeeded, end.sent) == (29, 31)
    assert run.sealed
    found = rows(run)
    assert [row["request_id"] for row in found] == [-2, -1, *range(20), *range(10**9, 10**9 + 9)]
    assert {row["outcome"] for row in found} == {"ok"}
    assert {row["worker_id"] for row in found} == set(range(workers))
    steps = rows(run, "steps")
    assert [row["offered"] for row in steps] == [20, 9]
    assert [row["scheduled_ns"] for row in found[2:22]] == [steps[0]["start_ns"] + ns for ns in ARRIVALS]
    assert steps[0]["end_ns"] == steps[0]["start_ns"] + S // 2
    assert steps[0]["end_ns"] <= steps[0]["drained_ns"] <= steps[1]["start_ns"]
    tokens = rows(run, "tokens")
    assert len(tokens) == sum(row["output_tokens"] for row in found)
    assert {row["worker_id"] for row in rows(run, "health")} == set(range(workers))
    learned = run.read_manifest()["probe"]["t"]
    assert (learned["requests"], learned["ok"], learned["tokens_per_word"]) == (2, 2, 1.0)
    assert all(row["input_tokens"] == 16 for row in found[2:])
    assert seen[-1].phase == "done"
    assert seen[-1].sent == 31
    assert {p.phase for p in seen} >= {"step", "done"}


HOPELESS = [
    (nobody, "cannot be reached", "connect_error"),
    (lambda: refusing(401), "401", "client_error"),
    (lambda: refusing(404), "404", "client_error"),
]


@pytest.mark.parametrize(("server", "words", "outcome"), HOPELESS, ids=["unreachable", "401", "404"])
def test_the_probe_stops_a_hopeless_run(tmp_path: Path, server: Any, words: str, outcome: str) -> None:
    """Nothing but the probe is sent; the end names the target, the reason and the way past; the folder is sealed all the same."""
    with server() as there:
        end, run, _ = ran(tmp_path, there if isinstance(there, str) else there[0], SHORT, probe=3)
    assert end.exit_code == 4
    assert end.error is not None
    assert all(word in end.error for word in (words, "'t'", "probe: 0"))
    assert (end.succeeded, end.sent) == (0, 3)
    assert phases(run) == {"probe": [outcome] * 3}
    assert rows(run, "steps") == []
    assert run.sealed


@pytest.mark.parametrize(("server", "words", "outcome"), HOPELESS, ids=["unreachable", "401", "404"])
def test_without_a_probe_every_arrival_is_tried(tmp_path: Path, server: Any, words: str, outcome: str) -> None:
    """``probe: 0`` measures a target that refuses: each arrival has a row that says how."""
    with server() as there:
        end, run, _ = ran(tmp_path, there if isinstance(there, str) else there[0], SHORT, probe=0)
    assert (end.error, end.exit_code, end.succeeded, end.sent) == (None, 0, 0, 20)
    assert phases(run) == {"main": [outcome] * 20}
    assert (rows(run, "steps")[0]["offered"], words in str(rows(run)[0])) == (20, outcome == "client_error")


def test_a_name_that_nobody_knows(tmp_path: Path) -> None:
    """Told before the probe, once, with exit code 4, whatever the number of workers."""
    end, run, _ = ran(tmp_path, "http://no-such-host.invalid/v1", SHORT, probe=0, workers=2)
    assert end.exit_code == 4
    assert "no-such-host.invalid" in str(end.error)
    assert (end.lost_workers, rows(run)) == ((), [])


def test_a_fault_of_ours_ends_the_run(tmp_path: Path) -> None:
    """A worker that cannot do as it is told says so and the run ends with 1: nobody waits for it for ever."""
    end, run, _ = ran(tmp_path, "http://127.0.0.1:9/v1", SHORT, probe=0, arrivals={})
    assert end.exit_code == 1
    assert "worker 0 failed" in str(end.error)
    assert str(run.log_path) in str(end.error)
    assert "arrivals-0.npy" in run.log_path.read_text()


def test_a_drain_that_is_cut(tmp_path: Path) -> None:
    """What has not ended when the drain is over is cancelled, with its tokens kept."""
    with simulator("--ttft", "1ms", "--itl", "50ms", "--jitter", "0") as url:
        long = step(
            duration_ns=S // 2,
            drain_ns=S // 4,
            workload=job.WorkloadSpec("w", job.Length("fixed", value=8), job.Length("fixed", value=400)),
        )
        end, run, _ = ran(tmp_path, url, long, probe=0)
    assert end.error is None
    assert phases(run) == {"main": ["cancelled"] * 20}
    assert {row["error_type"] for row in rows(run)} == {"drain"}
    assert len(rows(run, "tokens")) > 20


def test_a_cap_on_what_is_in_flight(tmp_path: Path) -> None:
    """Over the cap an arrival is dropped, with a row; the cap is the run's, however many workers share it."""
    with simulator("--ttft", "20s") as url:
        end, run, _ = ran(tmp_path, url, step(duration_ns=S // 2, drain_ns=0, max_in_flight=3), probe=0, workers=2)
    assert end.error is None
    assert sorted(phases(run)["main"]) == ["cancelled"] * 3 + ["dropped"] * 17
    assert {row["sent_ns"] for row in rows(run) if row["outcome"] == "dropped"} == {None}


def test_the_cap_is_no_workers_own(tmp_path: Path) -> None:
    """One at a time, over two workers: each may take the place, and only a place that is taken drops an arrival."""
    apart = [n * 40 * MS for n in range(10)]
    with simulator("--ttft", "2ms", "--itl", "0ms", "--jitter", "0") as url:
        one = step(duration_ns=S // 2, max_in_flight=1)
        end, run, _ = ran(tmp_path, url, one, probe=0, workers=2, arrivals={0: apart})
    assert end.error is None
    assert {row["worker_id"] for row in rows(run) if row["outcome"] == "ok"} == {0, 1}


def test_probes_are_no_success_of_the_load(tmp_path: Path) -> None:
    """A target that answers the probe and then refuses all has served nothing."""
    with simulator("--rpm", "2", "--limit-law", "fixed") as url:
        end, run, _ = ran(tmp_path, url, SHORT, probe=2)
    assert phases(run) == {"probe": ["ok"] * 2, "main": ["rate_limited"] * 20}
    assert end.succeeded == 0


def test_a_watcher_that_fails_is_no_concern_of_the_run(tmp_path: Path) -> None:
    """A closed terminal ends the telling, neither the load nor what looks after it; the manifest says so once."""

    def gone(_: Progress) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    with simulator("--ttft", "1ms") as url:
        made = with_url(plan(SHORT, probe=0), url)
        run = folder(tmp_path, made, {0: ARRIVALS})
        end = coordinator.run(made, run, {}, gone)
    assert (end.error, end.exit_code, end.succeeded) == (None, 0, 20)
    assert len([n for n in run.read_manifest()["notes"] if "BrokenPipeError" in n]) == 1


def test_a_fault_of_the_coordinator_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where budget and rules are looked after no more, nothing goes on unseen."""

    def fails(_: object) -> None:
        raise RuntimeError("torn")

    monkeypatch.setattr(coordinator._Coordinator, "_keep_budget", fails)
    with simulator("--ttft", "1ms") as url:
        end, run, _ = ran(tmp_path, url, step(duration_ns=60 * S), probe=0)
    assert end.exit_code == 1
    assert "torn" in str(end.error)
    assert run.sealed


def test_steps_without_a_drain_follow_on_time(tmp_path: Path) -> None:
    """``drain: none``: the next step starts while answers of the one before are still coming, and those are kept."""
    words = job.WorkloadSpec("w", job.Length("fixed", value=8), job.Length("fixed", value=40))
    steps = [step(i, duration_ns=S // 2, drain_ns=None, workload=words) for i in range(2)]
    with simulator("--ttft", "500ms", "--itl", "20ms", "--jitter", "0") as url:
        end, run, _ = ran(tmp_path, url, *steps, probe=0, arrivals={0: ARRIVALS, 1: ARRIVALS})
    assert (end.error, end.succeeded) == (None, 40)
    first = [row for row in rows(run) if row["step_id"] == 0]
    one, two = rows(run, "steps")
    assert max(row["done_ns"] for row in first) > two["start_ns"]
    assert two["start_ns"] == one["end_ns"] == one["start_ns"] + S // 2
    assert [row["scheduled_ns"] - two["start_ns"] for row in rows(run) if row["step_id"] == 1] == ARRIVALS


@pytest.mark.parametrize("after_s", [0.1, 0.3, 0.45, 0.55])
def test_a_stop_near_the_next_step(tmp_path: Path, after_s: float) -> None:
    """Whether the next step was announced, begun or neither: no step ends before it began, and each arrival that was sent has its row."""
    steps = [step(i, duration_ns=S // 2, drain_ns=None) for i in range(3)]
    started: list[float] = []

    def stop(p: Progress) -> None:
        if p.phase == "step" and not started:
            started.append(p.step_elapsed_s)
            threading.Timer(max(0.0, after_s - p.step_elapsed_s), os.kill, (os.getpid(), signal.SIGINT)).start()

    with simulator("--ttft", "1ms", "--itl", "1ms") as url:
        made = with_url(plan(*steps, probe=0), url)
        run = folder(tmp_path, made, dict.fromkeys(range(3), ARRIVALS))
        end = coordinator.run(made, run, {}, stop)
    assert end.interrupted
    assert run.sealed
    assert all(row["start_ns"] <= row["end_ns"] for row in rows(run, "steps"))
    assert len(rows(run)) == end.sent == sum(row["offered"] for row in rows(run, "steps"))
