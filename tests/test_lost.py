"""Arrivals that died with their worker: each that was due and has no end on record gets a row, and no other does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from plans import MS, OFFSETS, START, S, counters, folder, plan, request, step

from generator import job
from generator.recording.journal import History, StepFacts
from generator.recording.lost import lost_rows
from generator.recording.recorder import row_table, write_segment
from generator.run_dir import RunDir
from generator.schema import REQUESTS, REQUESTS_A_STEP


def record(run: RunDir, worker: int, rows: dict[int, int | None]) -> None:
    """A segment of worker ``worker`` with request ids and their done_ns."""
    made = [request(n, done_ns=done, worker_id=worker) for n, done in rows.items()]
    write_segment(run.segments / f"requests-{worker}-000001.parquet", row_table(REQUESTS, made))


def found(run: RunDir, made: job.Plan, history: History) -> list[tuple[int, int, int]]:
    """(request_id, worker, scheduled − START) of the lost rows."""
    rows = [dict(zip(REQUESTS.names, row, strict=True)) for row in lost_rows(run, made, history)]
    assert {row["outcome"] for row in rows} <= {"lost"}
    return [(row["request_id"], row["worker_id"], row["scheduled_ns"] - START) for row in rows]


def opened(path: Path, **values: int) -> tuple[RunDir, job.Plan]:
    """Two workers, an open step of 100 arrivals at 100/s; worker 1 has recorded its own, worker 0 its first ten."""
    made = plan(step(), workers=2)
    run = folder(path, made, {0: OFFSETS})
    counters(run, made, step_id=0, **values)
    record(run, 0, {n: START + OFFSETS[n] + MS for n in range(0, 20, 2)})
    record(run, 1, {n: START + OFFSETS[n] + MS for n in range(1, 100, 2)})
    return run, made


def test_nobody_died(tmp_path: Path) -> None:
    """A run that ended has no lost row, whatever is missing: that would be a fault of ours and not a dead worker's."""
    run, made = opened(tmp_path, heartbeat_ns=START + S)
    assert found(run, made, History({0: StepFacts(START, START + S)}, done=True)) == []


def test_an_open_step_that_others_finished(tmp_path: Path) -> None:
    """All that was due of the dead worker's share until issuing ended; the others' arrivals are none of it."""
    run, made = opened(tmp_path, heartbeat_ns=START + 250 * MS)
    history = History({0: StepFacts(START, START + S)}, {0: START + 260 * MS}, done=True)
    assert found(run, made, history) == [(n, 0, OFFSETS[n]) for n in range(20, 100, 2)]


def test_a_step_that_was_stopped(tmp_path: Path) -> None:
    """Arrivals after a stop get no row: they were offered to nobody."""
    run, made = opened(tmp_path, heartbeat_ns=START + 250 * MS)
    history = History(
        {0: StepFacts(START, START + 400 * MS)}, {0: START + 260 * MS}, stop_ns=START + 400 * MS, done=True
    )
    assert found(run, made, history) == [(n, 0, OFFSETS[n]) for n in range(20, 40, 2)]


def test_a_worker_that_died_with_its_coordinator(tmp_path: Path) -> None:
    """Nobody saw it die: what was due when its heart last beat was its own; later arrivals were nobody's."""
    run, made = opened(tmp_path, heartbeat_ns=START + 301 * MS)
    assert found(run, made, History({0: StepFacts(START)})) == [(n, 0, OFFSETS[n]) for n in range(20, 31, 2)]


def test_a_worker_that_left_with_its_coordinator(tmp_path: Path) -> None:
    """It recorded all that was due before it went: nothing is lost."""
    run, made = opened(tmp_path, heartbeat_ns=START + 195 * MS)
    assert found(run, made, History({0: StepFacts(START)})) == []


def test_steps_after_the_death(tmp_path: Path) -> None:
    """Its share of every later step was due too, and nobody sent it."""
    made = plan(step(), step(1), workers=2)
    run = folder(tmp_path, made, {0: OFFSETS, 1: OFFSETS})
    counters(run, made, heartbeat_ns=START + S, step_id=0)
    record(run, 0, dict.fromkeys(range(0, 100, 2), START))
    record(run, 1, {base + n: START for base in (0, REQUESTS_A_STEP) for n in range(1, 100, 2)})
    steps = {0: StepFacts(START, START + S), 1: StepFacts(START + 2 * S, START + 3 * S)}
    lost = found(run, made, History(steps, {0: START + 1500 * MS}, done=True))
    assert [n for n, _, _ in lost] == [REQUESTS_A_STEP + n for n in range(0, 100, 2)]


CLOSED = {"concurrency": 4, "duration_ns": 10 * S}


@pytest.mark.parametrize(
    ("issued", "rows", "lost"),
    [
        (
            6,
            {0: 7, 2: 8, 4: 90, 6: 91},
            [(8, 90), (10, 91)],
        ),  # each slot's last answer frees it: its next was in flight
        (3, {0: 7, 2: 8}, [(4, 7)]),
        (4, {0: 7, 2: 8, 4: 9, 6: 9}, []),
        (2, {}, [(0, 0), (2, 500)]),  # nothing recorded: due when their slots opened
    ],
)
def test_a_closed_step(tmp_path: Path, issued: int, rows: dict[int, int], lost: list[tuple[int, int]]) -> None:
    """As many as the dead worker had sent and not recorded, in its own slots' numbers, due when their slots were free."""
    made = plan(step(**CLOSED), workers=2)
    run = folder(tmp_path, made)
    counters(run, made, heartbeat_ns=START + S, step_id=0, step_issued=issued)
    record(run, 0, {n: START + ms * MS for n, ms in rows.items()})
    record(run, 1, {1: START, 3: START})
    lost_rows = found(run, made, History({0: StepFacts(START, START + 10 * S)}, {0: START + S}, done=True))
    spread = {0: 0, 500: 250}  # slot 2 of 4 opens halfway through 5 % of 10 s
    assert lost_rows == [(n, 0, spread.get(ms, ms) * MS) for n, ms in lost]


def test_a_closed_step_that_it_had_finished(tmp_path: Path) -> None:
    """Its counters are of the next step by then; what it said when issuing ended tells what its last segment held."""
    made = plan(step(**CLOSED), step(1, **CLOSED), workers=1)
    run = folder(tmp_path, made)
    counters(run, made, heartbeat_ns=START + S, step_id=1, step_issued=0)
    record(run, 0, dict.fromkeys(range(4), START + MS))
    facts = StepFacts(START, START + 10 * S, offered={0: 6})
    lost = found(run, made, History({0: facts}, {0: START + 11 * S}, done=True))
    assert lost == [(4, 0, MS), (5, 0, MS)]


def test_a_closed_step_by_number_has_no_more_than_its_number(tmp_path: Path) -> None:
    """However the counters stand, no arrival beyond ``requests`` is made up."""
    made = plan(step(concurrency=2, requests=3))
    run = folder(tmp_path, made)
    counters(run, made, heartbeat_ns=START + S, step_id=0, step_issued=50)
    record(run, 0, {0: START + MS})
    lost = found(run, made, History({0: StepFacts(START)}, {0: START + S}, done=True))
    assert sorted(n for n, _, _ in lost) == [1, 2]


def test_the_row_says_what_is_known(tmp_path: Path) -> None:
    """Target, model, phase by its own schedule, and why; no instant that nobody saw."""
    made = plan(step(warmup_ns=250 * MS), workers=2)
    run = folder(tmp_path, made, {0: OFFSETS})
    counters(run, made, heartbeat_ns=START, step_id=0)
    history = History({0: StepFacts(START, START + S)}, {0: START}, done=True)
    rows: list[dict[str, Any]] = [dict(zip(REQUESTS.names, row, strict=True)) for row in lost_rows(run, made, history)]
    assert len(rows) == 50
    assert [row["phase"] for row in rows] == ["warmup"] * 13 + ["main"] * 37
    assert {row["model"] for row in rows} == {"m"}
    assert {row["error_type"] for row in rows} == {"worker_lost"}
    assert {row[name] for row in rows for name in ("issued_ns", "sent_ns", "done_ns", "http_status")} == {None}
    assert row_table(REQUESTS, [tuple(row.values()) for row in rows]).num_rows == 50
