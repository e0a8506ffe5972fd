"""The run folder: names of its files, its manifest, and how a run is found by id, path or ``latest``."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from generator.errors import RunFolderError
from generator.names import TABLE_NAMES

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")


@dataclass(frozen=True, slots=True)
class RunDir:
    """Paths inside ``runs/<run_id>/``. Nothing here is opened until asked for."""

    path: Path

    @property
    def run_id(self) -> str:
        return self.path.name

    @property
    def manifest_path(self) -> Path:
        return self.path / "manifest.json"

    @property
    def scenario_path(self) -> Path:
        return self.path / "scenario.yaml"

    @property
    def plan_path(self) -> Path:
        return self.path / "plan" / "plan.json"

    @property
    def segments(self) -> Path:
        return self.path / "segments"

    @property
    def journal_path(self) -> Path:
        """What the coordinator did, a JSON object a line: all that sealing needs after a crash."""
        return self.path / "journal.jsonl"

    @property
    def counters_path(self) -> Path:
        return self.path / "counters.bin"

    @property
    def tripwires_path(self) -> Path:
        """Counts of the rules that may stop the run; only while it goes."""
        return self.path / "tripwires.bin"

    @property
    def report_path(self) -> Path:
        return self.path / "report.html"

    @property
    def log_path(self) -> Path:
        return self.path / "workers.log"

    def arrivals_path(self, step_id: int) -> Path:
        """int64 ns offsets from the step's start, sorted; open steps only."""
        return self.path / "plan" / f"arrivals-{step_id}.npy"

    def lengths_path(self, step_id: int) -> Path:
        """int32 [n, 2], input and output tokens by arrival number; steps whose lengths come from a trace only."""
        return self.path / "plan" / f"lengths-{step_id}.npy"

    def plan_array_path(self, name: str) -> Path:
        """Any other array of the plan: lengths of a file, records of a dataset that are kept, blocks of a trace."""
        return self.path / "plan" / f"{name}.npy"

    @property
    def words_path(self) -> Path:
        """Target → words that are single tokens to its tokenizer; only where one was asked."""
        return self.path / "plan" / "words.json"

    def table_path(self, table: str) -> Path:
        return self.path / f"{table}.parquet"

    def table_files(self, table: str) -> list[Path]:
        """The sealed file, else the segments in name order; empty where nothing was recorded."""
        sealed = self.table_path(table)
        return [sealed] if sealed.exists() else sorted(self.segments.glob(f"{table}-*.parquet"))

    @property
    def sealed(self) -> bool:
        return all(self.table_path(t).exists() for t in TABLE_NAMES)

    def read_manifest(self) -> dict[str, Any]:
        """Raises RunFolderError where it is missing or not JSON."""
        try:
            manifest = orjson.loads(self.manifest_path.read_bytes())
        except FileNotFoundError:
            raise RunFolderError(f"{self.path}: not a run folder: manifest.json is missing") from None
        except orjson.JSONDecodeError as e:
            raise RunFolderError(
                f"{self.manifest_path}: damaged: {e}; `openloop seal {self.path}` writes it anew"
            ) from e
        if not isinstance(manifest, dict):
            raise RunFolderError(f"{self.manifest_path}: damaged: a JSON object is wanted")
        return manifest

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        write_whole(self.manifest_path, orjson.dumps(manifest, option=orjson.OPT_INDENT_2))


def write_whole(path: Path, data: bytes) -> None:
    """Write beside, fsync, rename: a reader sees the old file or the new one, never half of it.

    Raises RunFolderError when it cannot be written; what was there before stays.
    """
    beside = path.with_name(path.name + ".part")
    try:
        with beside.open("wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        beside.replace(path)
    except OSError as e:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise RunFolderError(f"{path}: cannot write: {e.strerror}; make room, or let it be written") from e


LATEST = "latest"
"""In place of a run's id: the newest."""


def check_id(run_id: str) -> None:
    """Raises RunFolderError where it cannot be the name of a run."""
    if run_id == LATEST:
        raise RunFolderError(f"run id {run_id!r}: this word stands for the newest run; choose another")
    if not _RUN_ID.match(run_id):
        raise RunFolderError(
            f"run id {run_id!r}: letters, digits, '.', '_' and '-' only, at most 100, first a letter or digit"
        )


def create(runs_dir: Path, run_id: str) -> RunDir:
    """Make the folder of a new run. Raises RunFolderError when the id exists, is no file name, or cannot be written."""
    check_id(run_id)
    run = RunDir(runs_dir / run_id)
    try:
        str(run.path.absolute()).encode()
    except UnicodeEncodeError:
        # Paths go to the workers and into the manifest as JSON.
        raise RunFolderError(f"runs folder {str(runs_dir)!r}: a path that is UTF-8 is wanted") from None
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        run.path.mkdir()
        run.segments.mkdir()
        (run.path / "plan").mkdir()
    except FileExistsError:
        if runs_dir.is_dir():
            raise RunFolderError(
                f"run {run_id!r} exists in {runs_dir}; choose another --run-id, nothing is overwritten"
            ) from None
        raise RunFolderError(f"runs folder {runs_dir} is not a folder") from None
    except OSError as e:
        raise RunFolderError(f"runs folder {runs_dir}: cannot write: {e.strerror}; choose another --runs-dir") from e
    return run


def list_runs(runs_dir: Path) -> Iterator[RunDir]:
    """Folders with a manifest, newest first (by the manifest's time of creation, then by name)."""
    if not runs_dir.is_dir():
        return
    found = [RunDir(p) for p in runs_dir.iterdir() if (p / "manifest.json").exists()]

    def created(run: RunDir) -> tuple[str, str]:
        try:
            return str(run.read_manifest().get("created", "")), run.run_id
        except RunFolderError:
            return "", run.run_id

    yield from sorted(found, key=created, reverse=True)


def find(ref: str, runs_dir: Path) -> RunDir:
    """A run by id, by path, or the newest by the word ``latest``. Raises RunFolderError with what there is."""
    if ref == LATEST:
        newest = next(list_runs(runs_dir), None)
        if newest is None:
            raise RunFolderError(f"no runs in {runs_dir}; make one with `openloop run quick`")
        return newest
    for path in (runs_dir / ref, Path(ref)):
        if (path / "manifest.json").exists() or (path / "plan" / "plan.json").exists():
            return RunDir(path.resolve())
    there = [r.run_id for r in list_runs(runs_dir)][:5]
    hint = f"; the newest there: {', '.join(there)}" if there else ""
    why = "this path is no run folder: it has no manifest.json" if ref and Path(ref).exists() else "no such path"
    raise RunFolderError(f"run {ref!r}: no such run in {runs_dir}, and {why}{hint}")
