"""Signals to a run's processes: what was recorded stays, what was due and lost is told, nobody is left behind."""

from __future__ import annotations

import signal
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from plans import MS, WORDS, S, plan, step
from whole_runs import going, rows, silence, simulator, until

from generator.counters import INDEX, Counters
from generator.job import Length, Pause, SessionSpec
from generator.recording.seal import seal

QUICK = ("--ttft", "5ms", "--itl", "1ms")
MINUTE = 60 * S
STEADY = [n * 20 * MS for n in range(3_000)]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_of_a_closed_step_dies(tmp_path: Path, number: signal.Signals) -> None:
    """Its slots' unfinished requests are lost, the other's go on to the end; SIGTERM from outside is a loss, too."""
    made = plan(step(concurrency=4, duration_ns=4 * S), workers=2, probe=0, segment_s=0.2)
    with simulator(*QUICK) as url, going(tmp_path, made, url) as run:
        until(lambda: {0, 1} <= {row["worker_id"] for row in rows(run.run)}, "rows of both workers")
        victim = run.workers()[0]
        victim.send_signal(number)
        end = run.end()
    assert (end["lost_workers"], end["interrupted"], end["error"]) == ([0], False, None)
    found = rows(run.run)
    (facts,) = rows(run.run, "steps")
    assert run.run.sealed
    assert sorted(row["request_id"] for row in found) == sorted({row["request_id"] for row in found})
    assert facts["offered"] == len(found)
    mine = [row for row in found if row["worker_id"] == 0]
    other = [row for row in found if row["worker_id"] == 1]
    assert {row["outcome"] for row in other} == {"ok"}
    assert max(row["scheduled_ns"] for row in other) > facts["end_ns"] - S // 2
    assert {row["request_id"] % 4 for row in mine} == {0, 2}
    if number == signal.SIGKILL:
        assert {row["outcome"] for row in mine} == {"ok", "lost"}
        for slot in (0, 2):  # without a gap: nothing that was sent is unaccounted for
            numbers = sorted(row["request_id"] for row in mine if row["request_id"] % 4 == slot)
            assert numbers == list(range(slot, slot + 4 * len(numbers), 4))


def test_a_worker_that_sleeps(tmp_path: Path) -> None:
    """SIGSTOP for three seconds: it is late, and says so, but it loses nothing and re-anchors nothing."""
    made = plan(step(duration_ns=5 * S), workers=1, probe=0)
    arrivals = STEADY[:250]
    with simulator(*QUICK) as url, going(tmp_path, made, url, {0: arrivals}) as run:
        until(lambda: Counters(run.run.counters_path, 1).of(0, "done") > 10, "the first answers")
        (worker,) = run.workers()
        worker.suspend()
        time.sleep(3)
        worker.resume()
        end = run.end()
    assert (end["lost_workers"], end["error"]) == ([], None)
    found = rows(run.run)
    (facts,) = rows(run.run, "steps")
    assert [row["scheduled_ns"] - facts["start_ns"] for row in found] == arrivals
    assert {row["outcome"] for row in found} == {"ok"}
    assert max(row["issued_ns"] - row["scheduled_ns"] for row in found) > S
    assert rows(run.run, "health")[-1]["late_100ms"] > 50


def test_interrupted_twice(tmp_path: Path) -> None:
    """Once: no more arrivals, and the drain waits for answers. Twice: what is in flight is cut, and the run is sealed now."""
    made = plan(step(duration_ns=MINUTE), workers=2, probe=0)
    with silence() as url, going(tmp_path, made, url, {0: STEADY}) as run:
        until(lambda: Counters(run.run.counters_path, 2).total("sent") > 20, "some requests")
        run.process.send_signal(signal.SIGINT)
        until(lambda: b'"end"' in run.run.journal_path.read_bytes(), "the end of issuing")
        assert run.process.poll() is None
        run.process.send_signal(signal.SIGINT)
        end = run.end()
    assert (end["interrupted"], end["lost_workers"], end["succeeded"]) == (True, [], 0)
    found = rows(run.run)
    assert {(row["outcome"], row["error_type"]) for row in found} == {("cancelled", "interrupt")}
    assert len(found) == end["sent"] == rows(run.run, "steps")[0]["offered"]
    assert run.run.read_manifest()["interrupted"]


def test_interrupted_while_the_probe_waits(tmp_path: Path) -> None:
    """A target that never answers the probe keeps nobody: the worker leaves when told, and is not lost."""
    made = plan(step(duration_ns=MINUTE), workers=1, probe=3)
    with silence() as url, going(tmp_path, made, url, {0: STEADY}) as run:
        until(lambda: Counters(run.run.counters_path, 1).of(0, "sent"), "the first probe")
        run.process.send_signal(signal.SIGTERM)
        end = run.end()
    assert (end["interrupted"], end["lost_workers"], end["sent"]) == (True, [], 1)
    assert [(row["request_id"], row["outcome"]) for row in rows(run.run)] == [(-1, "cancelled")]


@pytest.mark.parametrize("probe", [0, 3])
def test_the_coordinator_is_killed(tmp_path: Path, probe: int) -> None:
    """Workers see the pipe end, in a step and in a probe alike: they write what they have and leave. `seal` does the rest, and waits
    for them; no arrival up to then is without a row."""
    made = plan(step(duration_ns=MINUTE), workers=2, probe=probe)
    with silence() as url, going(tmp_path, made, url, {0: STEADY}) as run:
        until(lambda: Counters(run.run.counters_path, 2).total("sent") > (0 if probe else 20), "requests")
        workers = run.workers()
        run.process.kill()
        notes = seal(run.run)
        gone, alive = psutil.wait_procs(workers, timeout=30)
        assert (len(gone), alive) == (2, [])
    assert any("did not finish" in note for note in notes)
    found = rows(run.run)
    assert {row["outcome"] for row in found} == {"cancelled"}
    if probe:
        assert [row["request_id"] for row in found] == [-1]
    else:
        assert [row["request_id"] for row in found] == list(range(len(found)))
        assert len(found) == sum(
            Counters(run.run.counters_path, 2).table[w * len(Counters(run.run.counters_path, 2).row(0)) + INDEX["sent"]]
            for w in (0, 1)
        )
    manifest = run.run.read_manifest()
    assert manifest["interrupted"]
    assert manifest["verdict"] is None


def test_the_only_worker_dies_at_the_start(tmp_path: Path) -> None:
    """Nobody is left to wait for: the run ends at once, sealed, and says why."""
    made = plan(step(duration_ns=MINUTE), workers=1, probe=0)
    with silence() as url, going(tmp_path, made, url, {0: STEADY}) as run:
        run.workers()[0].kill()
        end = run.end()
    assert end["lost_workers"] == [0]
    assert "worker" in end["error"]
    assert end["exit_code"] != 0
    assert rows(run.run) == []
    assert run.run.sealed


@pytest.mark.parametrize("closed", [True, False])
def test_a_worker_dies_amid_its_conversations(tmp_path: Path, closed: bool) -> None:
    """Each of its sessions loses at most the one turn that was due; the other's talk on; every number is there once, and the count of
    what was offered is the count of rows."""
    spec = replace(WORDS, session=SessionSpec(Length("fixed", value=20), 20, Pause("fixed", 0.02)))
    fields = {"concurrency": 6} if closed else {}
    made = plan(step(workload=spec, duration_ns=3 * S, **fields), workers=2, probe=0, segment_s=0.2)
    arrivals = None if closed else {0: STEADY[:100]}
    with simulator(*QUICK) as url, going(tmp_path, made, url, arrivals) as run:
        until(lambda: {0, 1} <= {row["worker_id"] for row in rows(run.run) if row["turn"] == 2}, "second turns of both")
        run.workers()[0].send_signal(signal.SIGKILL)
        end = run.end()
    assert (end["lost_workers"], end["interrupted"], end["error"]) == ([0], False, None)
    found = rows(run.run)
    (facts,) = rows(run.run, "steps")
    assert facts["offered"] == len(found)
    assert len({row["request_id"] for row in found}) == len(found)
    assert {row["outcome"] for row in found if row["worker_id"] == 1} == {"ok"}
    lost = [row for row in found if row["outcome"] == "lost"]
    assert lost
    assert {row["worker_id"] for row in lost} == {0}
    assert len({row["session_id"] for row in lost}) == len(lost)
    last = {row["session_id"]: row["turn"] for row in sorted(found, key=lambda row: row["request_id"])}
    assert all(row["turn"] == last[row["session_id"]] for row in lost)
    for session, turn in last.items():
        assert sum(row["session_id"] == session for row in found) == turn  # without a gap
