"""Segments → one sorted Parquet file a table. Also what mends a run whose coordinator was killed: it needs the folder alone.

The sort is DuckDB's, out of core under a memory limit; texts are strung together in the order of recording. A table's segments are removed only after its sealed file was synced
and renamed, so a crash at any moment leaves either the segments or the file. Sealing twice changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from generator import job
from generator.errors import RunFolderError
from generator.recording import claim, journal, manifest
from generator.recording.lost import lost_rows
from generator.recording.recorder import row_table, write_segment
from generator.run_dir import RunDir
from generator.schema import OPTIONAL_TABLES, REQUESTS, STEPS, TABLES, TEXTS

MEMORY_LIMIT = "512MB"
ROW_GROUP_ROWS = 245_760
TEXTS_A_ROW_GROUP_BYTES = 16_000_000

_ORDER = {
    "steps": "step_id",
    "requests": "request_id",
    "tokens": "request_id, chunk_index",
    "health": "worker_id, t_ns",
    "server_metrics": "target, name, labels, t_ns",
}


def seal(run: RunDir) -> list[str]:
    """Finish ``run``; returns notes on what had to be mended. Raises RunFolderError when the folder is not a run, when the run goes
    on, or when the disk has no room: the segments stay and the run stays readable."""
    if run.sealed and not run.segments.exists() and not _damaged(run):
        return []
    plan = _plan(run)
    with claim.alone(run):
        try:
            return _seal(run, plan)
        except (OSError, pa.ArrowException, duckdb.Error) as e:
            raise _no_room(run, e) from e


def _seal(run: RunDir, plan: job.Plan) -> list[str]:
    run.segments.mkdir(exist_ok=True)
    history = journal.read(run.journal_path)
    notes = _set_damaged_aside(run, pq.read_metadata)
    if _damaged(run):
        run.manifest_path.replace(run.manifest_path.with_suffix(".damaged"))
        notes.append("the manifest was damaged and is set aside as manifest.damaged")
    if not run.manifest_path.exists():
        run.write_manifest(manifest.begin(plan, run) | {"notes": ["the manifest was made anew by sealing"]})
    if not run.table_path("requests").exists():
        lost = lost_rows(run, plan, history)
        if lost:
            write_segment(run.segments / "requests-lost-000001.parquet", row_table(REQUESTS, lost))
            notes.append(f"{len(lost)} arrivals were lost with their worker")
    if not run.table_path("steps").exists():
        _write_steps(run, plan, history)
    asked_for = [table for table in OPTIONAL_TABLES if any(run.segments.glob(f"{table}-*.parquet"))]
    for table in (*asked_for, *TABLES):
        if not run.table_path(table).exists():
            notes += _sort_what_can_be_read(run, table)
        for segment in run.segments.glob(f"{table}-*.parquet"):
            segment.unlink()
    if not history.done:
        notes.append("the coordinator did not finish; sealed from what was recorded")
    if notes:
        _tell(run, history, notes)
    if not any(run.segments.iterdir()):
        run.segments.rmdir()
    return notes


def _damaged(run: RunDir) -> bool:
    """There is a manifest, and it cannot be read."""
    try:
        run.read_manifest()
    except RunFolderError:
        return run.manifest_path.exists()
    return False


def _tell(run: RunDir, history: journal.History, notes: list[str]) -> None:
    """Into the manifest, what its coordinator did not write there, or did not live to write."""
    found = run.read_manifest()
    known = {entry["worker"] for entry in found["lost_workers"]}
    found["lost_workers"] += [{"worker": w, "how": "unknown"} for w in history.lost_workers if w not in known]
    found["interrupted"] = found["interrupted"] or not history.done
    found["notes"] += [note for note in notes if note not in found["notes"]]
    run.write_manifest(found)


def _plan(run: RunDir) -> job.Plan:
    try:
        return job.load(job.Plan, run.plan_path.read_bytes())
    except FileNotFoundError:
        raise RunFolderError(f"{run.path}: not a run folder: plan/plan.json is missing") from None
    except (ValueError, TypeError) as e:
        raise RunFolderError(f"{run.plan_path}: damaged: {e}") from e


def _no_room(run: RunDir, error: Exception) -> RunFolderError:
    return RunFolderError(f"{run.path}: cannot be sealed: {error}; make room, then `openloop seal {run.path}`")


def _set_damaged_aside(run: RunDir, read: Callable[[Path], Any]) -> list[str]:
    """A segment that ``read`` cannot read would make the whole run unreadable: it is renamed, and told."""
    notes = []
    for path in sorted(run.segments.glob("*.parquet")):
        try:
            read(path)
        except (pa.ArrowException, OSError):
            path.rename(path.with_suffix(".damaged"))
            notes.append(f"segment {path.name} is damaged and set aside as {path.stem}.damaged")
    for path in run.segments.glob("*.part"):
        path.unlink()
    return notes


def _sort_what_can_be_read(run: RunDir, table: str) -> list[str]:
    """Footers were looked at before; a segment whose pages are damaged shows only when it is read whole."""
    try:
        _sort(run, table)
    except (duckdb.Error, pa.ArrowException, OSError):
        notes = _set_damaged_aside(run, pq.read_table)
        if not notes:
            raise
        _sort(run, table)
        return notes
    return []


def _sort(run: RunDir, table: str) -> None:
    """One table, sorted (but texts), synced, renamed."""
    target = run.table_path(table)
    beside = target.with_name(target.name + ".part")
    segments = [str(p) for p in sorted(run.segments.glob(f"{table}-*.parquet"))]
    if not segments:
        pq.write_table(TABLES[table].empty_table(), beside)
    elif table == "texts":
        _string_together(segments, beside)
    else:
        scratch = run.path / ".seal"
        with duckdb.connect(config=_limits(scratch)) as con:
            con.execute(
                f"COPY (SELECT * FROM read_parquet($files, union_by_name = true) ORDER BY {_ORDER[table]}) TO '{_quoted(beside)}' "
                f"(FORMAT parquet, PARQUET_VERSION v2, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP_ROWS})",
                {"files": segments},
            )
        if scratch.exists():
            for left in scratch.iterdir():
                left.unlink()
            scratch.rmdir()
    with beside.open("rb") as f:
        os.fsync(f.fileno())
    beside.replace(target)


def _string_together(segments: list[str], target: Path) -> None:
    """Texts stay in the order of recording: DuckDB's sort of long strings did not keep to its memory limit, at 640 MB of them."""
    with pq.ParquetWriter(target, TEXTS, compression="zstd", use_dictionary=["run_id"]) as writer:
        held: list[pa.RecordBatch] = []
        for path in segments:
            with pq.ParquetFile(path) as segment:
                for batch in segment.iter_batches(batch_size=256):
                    held.append(batch)
                    if sum(b.nbytes for b in held) >= TEXTS_A_ROW_GROUP_BYTES:
                        writer.write_table(pa.Table.from_batches(held, TEXTS))
                        held.clear()
        if held:
            writer.write_table(pa.Table.from_batches(held, TEXTS))


def _limits(scratch: Path) -> dict[str, Any]:
    return {
        "memory_limit": MEMORY_LIMIT,
        "threads": "2",
        "temp_directory": str(scratch),
        "preserve_insertion_order": "true",
    }


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _write_steps(run: RunDir, plan: job.Plan, history: journal.History) -> None:
    rows = [_step_row(run, plan, plan.steps[i], facts) for i, facts in sorted(history.steps.items())]
    for old in run.segments.glob("steps-*.parquet"):
        old.unlink()
    if rows:
        write_segment(run.segments / "steps-coordinator-000001.parquet", row_table(STEPS, rows))


def _step_row(run: RunDir, plan: job.Plan, step: job.Step, facts: journal.StepFacts) -> tuple[Any, ...]:
    end_ns = facts.end_ns
    if end_ns is None:  # cut by a crash: the last thing that was recorded of it
        end_ns = _last_scheduled_ns(run, step.step_id) or facts.start_ns
    said = facts.offered or {}
    row = {
        "run_id": plan.run_id,
        "step_id": step.step_id,
        "name": step.name,
        "cell": step.cell,
        "arrivals": step.arrivals,
        "rate_rps": step.rate_rps,
        "rate_end_rps": step.rate_end_rps,
        "burstiness": step.burstiness,
        "concurrency": step.concurrency,
        "concurrency_end": step.concurrency_end,
        # What a turn's message adds is ours to choose, how long the conversation is by then is not.
        "input_tokens": None if step.turns else _mixed(step, [a.workload.input_tokens for a in step.alone()]),
        "output_tokens": _mixed(step, [a.workload.output_tokens for a in step.alone()]),
        "arm": step.arm,
        "block": step.block,
        "start_ns": facts.start_ns,
        "end_ns": end_ns,
        "warmup_ns": step.warmup_ns,
        "drained_ns": facts.drained_ns,
        "planned_arrivals": step.planned_arrivals,
        "session_turns": step.turns,
        "offered": sum(said.values()) + _rows_of_others(run, step.step_id, set(said)),
    }
    return tuple(row[name] for name in STEPS.names)


def _mixed(step: job.Step, lengths: list[job.Length | None]) -> float | None:
    """The mean over a step's workloads by their weights, where all are known."""
    weights = [alone.workload.weight for alone in step.alone()]
    means = [_mean(length) for length in lengths]
    known = [m * w for m, w in zip(means, weights, strict=True) if m is not None]
    return sum(known) / sum(weights) if len(known) == len(means) else None


def _mean(length: job.Length | None) -> float | None:
    """The law's own mean, as far as it has one that needs no drawing."""
    if length is None or length.law in ("trace", "zipf"):
        return None
    if length.law == "fixed":
        return length.value
    if length.law == "uniform":
        return (length.low + length.high) / 2
    return length.mean


def _rows_of_others(run: RunDir, step_id: int, said: set[int]) -> int:
    """Rows of workers that did not live to say what they were offered; lost ones have theirs by now."""
    return int(
        _of_requests(run, "count(*) FILTER (WHERE NOT list_contains($said, worker_id))", step_id, said=sorted(said))
        or 0
    )


def _last_scheduled_ns(run: RunDir, step_id: int) -> int | None:
    return _of_requests(run, "max(scheduled_ns) + 1", step_id)


def _of_requests(run: RunDir, what: str, step_id: int, **parameters: Any) -> int | None:
    """One figure over a step's request rows, sealed or not."""
    files = [str(p) for p in run.table_files("requests")]
    if not files:
        return None
    with duckdb.connect() as con:
        found = con.execute(
            f"SELECT {what} FROM read_parquet($files, union_by_name = true) WHERE step_id = $step",
            {"files": files, "step": step_id, **parameters},
        ).fetchone()
    return found[0] if found else None
