"""The runs of a folder, each from its manifest alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from generator.errors import RunFolderError
from generator.run_dir import RunDir, list_runs

COLUMNS = ("run_id", "created", "name", "steps", "verdict", "state", "targets")


def listing(runs_dir: Path) -> list[tuple[Any, ...]]:
    """One row of COLUMNS a run, newest first. A run that cannot be read has its row, too, with state ``damaged``."""
    return [_row(run) for run in list_runs(runs_dir)]


def _row(run: RunDir) -> tuple[Any, ...]:
    try:
        manifest = run.read_manifest()
    except RunFolderError:
        return (run.run_id, None, None, None, None, "damaged", None)
    state = "interrupted" if manifest.get("interrupted") else "sealed"
    return (
        run.run_id,
        manifest.get("created"),
        manifest.get("name"),
        manifest.get("steps"),
        manifest.get("verdict"),
        state if run.sealed else "not sealed",
        ", ".join(str(target.get("url")) for target in (manifest.get("targets") or {}).values()),
    )
