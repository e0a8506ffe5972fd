"""Conversations that died with their worker: the one turn of each that was due, and no turn that would have followed it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from plans import MS, START, WORDS, S, counters, folder, plan, request, step

from generator import job
from generator.job import Length, Pause, SessionSpec
from generator.recording.journal import History, StepFacts
from generator.recording.lost import lost_rows
from generator.recording.recorder import row_table, write_segment
from generator.run_dir import RunDir
from generator.schema import REQUESTS

TALK = replace(WORDS, session=SessionSpec(Length("fixed", value=3), 3, Pause("fixed", 0.1)), tags="tenant=a")
OFFSETS = [0, 10 * MS, 20 * MS, 900 * MS]
Rows = dict[int, tuple[int, str]]


def record(run: RunDir, worker: int, rows: Rows) -> None:
    """Request number → done_ns after the start in ms, and outcome."""
    made = [request(n, done_ns=START + ms * MS, worker_id=worker, outcome=how) for n, (ms, how) in rows.items()]
    write_segment(run.segments / f"requests-{worker}-000001.parquet", row_table(REQUESTS, made))


def lost(run: RunDir, made: job.Plan, history: History) -> list[dict[str, Any]]:
    return [dict(zip(REQUESTS.names, row, strict=True)) for row in lost_rows(run, made, history)]


def brief(rows: list[dict[str, Any]]) -> list[tuple[int, int, int]]:
    """(request_id, turn, ms due after the start)."""
    return [(row["request_id"], row["turn"], (row["scheduled_ns"] - START) // MS) for row in rows]


def test_one_turn_of_each_session_is_lost(tmp_path: Path) -> None:
    """The one after the last that was recorded, due its think time after that; of a session without a row the first; none of one that
    was over, whether it came to its end or failed."""
    made = plan(step(workload=TALK), workers=1)
    run = folder(tmp_path, made, {0: [*OFFSETS, 930 * MS]})
    counters(run, made, heartbeat_ns=START + 500 * MS, step_id=0)
    done = {0: (50, "ok"), 1: (200, "ok"), 3: (60, "timeout"), 6: (70, "ok"), 7: (170, "ok"), 8: (280, "ok")}
    record(run, 0, done)
    history = History({0: StepFacts(START, START + S)}, {0: START + 500 * MS}, done=True)
    rows = lost(run, made, history)
    assert brief(rows) == [(2, 3, 300), (9, 1, 900), (12, 1, 930)]
    assert [row["session_id"] for row in rows] == [0, 9, 12]
    assert {(row["turns"], row["workload"], row["tags"], row["outcome"]) for row in rows} == {
        (3, "words", "tenant=a", "lost")
    }


def test_a_turn_that_was_not_yet_due_is_not_lost(tmp_path: Path) -> None:
    """Its user was thinking when the run was stopped."""
    made = plan(step(workload=TALK), workers=1)
    run = folder(tmp_path, made, {0: [0]})
    counters(run, made, heartbeat_ns=START + 120 * MS, step_id=0)
    record(run, 0, {0: (50, "ok")})
    history = History(
        {0: StepFacts(START, START + 140 * MS)}, {0: START + 120 * MS}, stop_ns=START + 140 * MS, done=True
    )
    assert lost(run, made, history) == []


def test_sessions_of_others_are_none_of_it(tmp_path: Path) -> None:
    """A session belongs to one worker, with all its turns."""
    made = plan(step(workload=TALK), workers=2)
    run = folder(tmp_path, made, {0: OFFSETS})
    counters(run, made, heartbeat_ns=START + 500 * MS, step_id=0)
    record(run, 1, {3: (50, "ok")})
    history = History({0: StepFacts(START, START + S)}, {0: START + 500 * MS}, done=True)
    assert brief(lost(run, made, history)) == [(0, 1, 0), (6, 1, 20)]


def test_a_closed_loop_loses_what_it_had_issued(tmp_path: Path) -> None:
    """Slot 0's session was in its third turn, slot 1 between two sessions: what was issued and has no row, earliest first, no more."""
    made = plan(step(workload=TALK, concurrency=2, duration_ns=10 * S), workers=1)
    run = folder(tmp_path, made)
    counters(run, made, heartbeat_ns=START + S, step_id=0, step_issued=6)
    record(run, 0, {0: (50, "ok"), 1: (200, "ok"), 3: (60, "ok"), 4: (300, "ok"), 5: (900, "ok")})
    history = History({0: StepFacts(START)}, {0: START + S}, done=True)
    assert brief(lost(run, made, history)) == [(2, 3, 300)]
    counters(run, made, heartbeat_ns=START + S, step_id=0, step_issued=7)
    assert brief(lost(run, made, history)) == [(2, 3, 300), (9, 1, 900)]


def test_a_mix_says_whose_arrival_was_lost(tmp_path: Path) -> None:
    """Workload, tags and target of each lost arrival are those that it would have had."""
    mix = tuple(replace(WORDS, name=name, target=name, tags=f"k={name}") for name in ("a", "b"))
    made = plan(step(workload=mix[0], mix=mix, target="a"), workers=1)
    known = made.targets["t"]
    made = replace(made, targets={name: replace(known, name=name, model=f"model {name}") for name in ("a", "b")})
    run = folder(tmp_path, made, {0: [n * MS for n in range(40)]})
    counters(run, made, heartbeat_ns=START + 500 * MS, step_id=0)
    rows = lost(run, made, History({0: StepFacts(START, START + S)}, {0: START + 500 * MS}, done=True))
    assert len(rows) == 40
    assert {(r["workload"], r["target"], r["model"], r["tags"]) for r in rows} == {
        ("a", "a", "model a", "k=a"),
        ("b", "b", "model b", "k=b"),
    }
