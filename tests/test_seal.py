"""Sealing: whatever a crash left becomes one sorted file a table, once, and nothing is taken from a run that goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from crashes import crash_while_sealing
from plans import OFFSETS, START, S, counters, folder, plan, request, step, token

from generator.errors import RunFolderError
from generator.recording import claim
from generator.recording import seal as seal_module
from generator.recording.journal import Journal
from generator.recording.recorder import DTYPE, row_table, token_table, write_segment
from generator.recording.seal import seal
from generator.rows import UNKNOWN
from generator.run_dir import RunDir
from generator.schema import HEALTH, REQUESTS, TABLES


def recorded(path: Path, *, done: bool = True, lost: bool = False) -> RunDir:
    """A run of one open step on two workers: ten requests of two tokens each, in segments out of order."""
    made = plan(step(), workers=2)
    run = folder(path, made, {0: OFFSETS[:10]})
    counters(run, made, heartbeat_ns=START + S, step_id=0)
    counters_of_other = range(10) if not lost else range(0, 10, 2)
    for part, numbers in enumerate((list(counters_of_other)[::-2], list(counters_of_other)[-2::-2])):
        rows = [request(n, step_id=0, worker_id=n % 2, scheduled_ns=START + OFFSETS[n]) for n in numbers]
        write_segment(run.segments / f"requests-{part}-000001.parquet", row_table(REQUESTS, rows))
        tokens = b"".join(token(n, i) for n in numbers for i in (1, 0))
        write_segment(run.segments / f"tokens-{part}-000001.parquet", token_table("r", tokens))
    health = [
        tuple({"run_id": "r", "worker_id": w, "t_ns": t}.get(n) for n in HEALTH.names)
        for w, t in ((1, 5), (0, 9), (0, 3))
    ]
    write_segment(run.segments / "health-0-000001.parquet", row_table(HEALTH, health))
    journal = Journal(run.journal_path)
    journal.write("start", step_id=0, start_ns=START)
    if lost:
        journal.write("lost", worker=1, t_ns=START, why="signal 9")
    journal.write("end", step_id=0, end_ns=START + S, offered={"0": 5} if lost else {"0": 5, "1": 5})
    if done:
        journal.write("done")
    journal.close()
    return run


def table(run: RunDir, name: str) -> list[dict[str, Any]]:
    return pq.read_table(run.table_path(name)).to_pylist()


def content(run: RunDir) -> dict[str, bytes]:
    return {str(p.relative_to(run.path)): p.read_bytes() for p in run.path.rglob("*") if p.is_file()}


def test_a_run_is_sealed(tmp_path: Path) -> None:
    """One file a table, sorted, under the contract's schema; segments are gone; nothing to tell."""
    run = recorded(tmp_path)
    assert seal(run) == []
    assert run.sealed
    assert not run.segments.exists()
    assert [row["request_id"] for row in table(run, "requests")] == list(range(10))
    assert [(row["request_id"], row["chunk_index"]) for row in table(run, "tokens")] == [
        (n, i) for n in range(10) for i in (0, 1)
    ]
    assert [(row["worker_id"], row["t_ns"]) for row in table(run, "health")] == [(0, 3), (0, 9), (1, 5)]
    (row,) = table(run, "steps")
    assert (row["offered"], row["start_ns"], row["end_ns"], row["planned_arrivals"]) == (10, START, START + S, None)
    for name, schema in TABLES.items():
        assert pq.read_schema(run.table_path(name)).remove_metadata().equals(schema), name


def test_sealing_twice_changes_nothing(tmp_path: Path) -> None:
    """Not a byte."""
    run = recorded(tmp_path)
    seal(run)
    before = content(run)
    assert seal(run) == []
    assert content(run) == before


@pytest.mark.parametrize("after", range(1, 9))
def test_a_crash_at_any_moment(tmp_path: Path, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after any rename or removal: sealing again gives the same tables, every row once."""
    run = recorded(tmp_path / "a", lost=True)
    whole = recorded(tmp_path / "b", lost=True)
    seal(whole)
    crash_while_sealing(run, after, monkeypatch)
    seal(run)
    assert run.sealed
    assert not run.segments.exists()
    for name in TABLES:
        assert table(run, name) == table(whole, name), name


def test_segments_that_a_crash_left_behind_the_last_file(tmp_path: Path) -> None:
    """All tables were sealed, one segment was not removed yet: it is, and the files stay as they are."""
    run = recorded(tmp_path)
    left = run.segments / "health-0-000001.parquet"
    data = left.read_bytes()
    seal(run)
    before = content(run)
    run.segments.mkdir()
    left.write_bytes(data)
    seal(run)
    assert content(run) == before


def test_a_dead_workers_arrivals_become_rows(tmp_path: Path) -> None:
    """They are told, sorted in with the others, and the step counts them as offered."""
    run = recorded(tmp_path, lost=True)
    assert seal(run) == ["5 arrivals were lost with their worker"]
    assert [row["outcome"] for row in table(run, "requests")] == ["ok", "lost"] * 5
    assert table(run, "steps")[0]["offered"] == 10


def test_a_killed_coordinator(tmp_path: Path) -> None:
    """No ``done``: the manifest is made, says interrupted, and what is known of the step stands."""
    run = recorded(tmp_path, done=False)
    assert not run.manifest_path.exists()
    notes = seal(run)
    assert any("did not finish" in note for note in notes)
    manifest = run.read_manifest()
    assert manifest["interrupted"]
    assert set(notes) <= set(manifest["notes"])
    assert len(table(run, "requests")) == 10


def test_a_step_that_was_cut_ends_with_the_last_arrival_on_record(tmp_path: Path) -> None:
    """Nobody wrote down when issuing ended."""
    run = recorded(tmp_path, done=False)
    journal = Journal(run.journal_path)
    journal.write("start", step_id=0, start_ns=START)  # a later line replaces what was known
    journal.close()
    seal(run)
    (row,) = table(run, "steps")
    assert row["end_ns"] == START + OFFSETS[9] + 1
    assert row["offered"] == 10


@pytest.mark.parametrize("damage", ["empty", "cut", "zeros in the middle"])
def test_a_damaged_segment_is_set_aside_and_told(tmp_path: Path, damage: str) -> None:
    """It costs its own rows only; the bytes are kept for whoever wants to look."""
    run = recorded(tmp_path)
    path = run.segments / "tokens-0-000001.parquet"
    data = path.read_bytes()
    middle = len(data) // 4
    path.write_bytes(
        {"empty": b"", "cut": data[: len(data) // 2]}.get(damage, data[:4] + bytes(middle) + data[4 + middle :])
    )
    notes = seal(run)
    assert notes == ["segment tokens-0-000001.parquet is damaged and set aside as tokens-0-000001.damaged"]
    assert (run.segments / "tokens-0-000001.damaged").exists()
    assert len(table(run, "tokens")) == 10
    assert run.read_manifest()["notes"][-1:] == notes
    assert run.sealed


@pytest.mark.parametrize("sealed", [False, True])
def test_a_damaged_manifest_is_made_anew(tmp_path: Path, sealed: bool) -> None:
    """As its error says: sealing sets it aside, a sealed run's too, and the run reads again."""
    run = recorded(tmp_path)
    if sealed:
        seal(run)
    run.manifest_path.write_bytes(b'{"run_id": ')
    with pytest.raises(RunFolderError, match="openloop seal"):
        run.read_manifest()
    (note,) = seal(run)
    assert "manifest.damaged" in note
    assert (run.path / "manifest.damaged").read_bytes() == b'{"run_id": '
    assert note in run.read_manifest()["notes"]
    assert len(table(run, "requests")) == 10
    assert seal(run) == []


def test_a_run_in_which_nothing_happened(tmp_path: Path) -> None:
    """Stopped before the first request: four empty tables of the contract."""
    run = folder(tmp_path, plan(step()))
    seal(run)
    for name, schema in TABLES.items():
        found = pq.read_table(run.table_path(name))
        assert (found.num_rows, found.schema.remove_metadata()) == (0, schema)


def test_no_room_keeps_the_segments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is told with the folder and the way on; the run reads as before, and seals when there is room."""
    run = recorded(tmp_path)
    before = {p.name for p in run.segments.iterdir()}

    def full(*_: Any) -> None:
        raise duckdb.IOException("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(seal_module, "_sort", full)
        with pytest.raises(RunFolderError, match=f"No space left.*openloop seal {run.path}"):
            seal(run)
    assert before <= {p.name for p in run.segments.iterdir()}
    seal(run)
    assert len(table(run, "tokens")) == 20


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [("none", None, "not a run folder"), ("bad", b"{", "damaged"), ("old", b'{"x":1}', "damaged")],
)
def test_no_run_folder(tmp_path: Path, name: str, data: bytes | None, words: str) -> None:
    """Whatever else it is, it is told in words."""
    run = RunDir(tmp_path / name)
    if data is not None:
        run.plan_path.parent.mkdir(parents=True)
        run.plan_path.write_bytes(data)
    with pytest.raises(RunFolderError, match=words):
        seal(run)


# -- a run that goes on ---------------------------------------------------------------------------------------------------

HOLDER = """
import sys
from pathlib import Path
from generator.recording import claim
from generator.rows import UNKNOWN
from generator.run_dir import RunDir
claim.share(RunDir(Path(sys.argv[1])))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_run_that_goes_on_is_left_alone(tmp_path: Path) -> None:
    """While a worker lives its segments are its own; once it is gone, killed or not, the run can be sealed."""
    run = recorded(tmp_path)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    holders = [
        subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(run.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        for _ in range(2)
    ]
    try:
        for holder in holders:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"held\n"
        before = content(run)
        with pytest.raises(RunFolderError, match="goes on"), claim.alone(run, patience_s=0.3):
            pass
        assert content(run) == before
    finally:
        for holder in holders:
            holder.kill()
            holder.communicate()
    assert seal(run) == []


# -- size -------------------------------------------------------------------------------------------------------------------


def realistic_tokens(rng: np.random.Generator, requests: int, chunks: int) -> Any:
    """Streams of one token a chunk, 10 ms ± 10 % apart as a busy target sends them, stamped to the nanosecond."""
    rows = np.zeros(requests * chunks, dtype=DTYPE)
    gaps = rng.gamma(100, 100_000, (requests, chunks)).astype(np.int64)
    rows["request_id"] = np.repeat(np.arange(requests), chunks)
    rows["t_ns"] = (START + np.arange(requests)[:, None] * 7_000_000 + np.cumsum(gaps, axis=1)).ravel()
    rows["chunk_index"] = np.tile(np.arange(chunks), requests)
    rows["read_index"] = rows["chunk_index"] + 2
    rows["n_chars"] = rng.integers(1, 9, len(rows))
    rows["n_tokens"] = UNKNOWN
    rows["exact"] = rng.random(len(rows)) < 0.99
    return rows[np.argsort(rows["t_ns"], kind="stable")]


def test_a_token_row_takes_five_bytes(tmp_path: Path) -> None:
    """200,000 rows as a run makes them, in order of arrival over several segments: at most 5 bytes a row once sealed."""
    run = folder(tmp_path, plan(step()))
    rows = realistic_tokens(np.random.default_rng(1), 400, 500)
    for i, part in enumerate(np.array_split(rows, 8)):
        write_segment(run.segments / f"tokens-0-{i:06d}.parquet", token_table("20261121-220000-run", part.tobytes()))
    seal(run)
    assert pq.read_metadata(run.table_path("tokens")).num_rows == 200_000
    assert run.table_path("tokens").stat().st_size / 200_000 <= 5.0
