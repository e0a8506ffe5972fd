"""Runs that the command line made in the same folder: found, and listed with the others."""

from __future__ import annotations

import re
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from console.web.catalogue.tables import BenchmarkRow, storable
from console.web.shapes import RUN_ID
from console.web.states import State
from generator.errors import RunFolderError
from generator.recording import claim
from generator.run_dir import RunDir

_ID = re.compile(RUN_ID)

_STILL_S = 600.0
"""A run that is neither sealed nor claimed, nor wrote a line of its journal for so long, has been left by its process."""

_JUDGING_S = 60.0

READ = ("state", "name", "model", "target", "scenario", "scenario_digest", "verdict", "reasons")
"""Columns that a manifest fills which may change when a run is sealed later."""


def names(runs_dir: Path) -> set[str]:
    """Names of the folders there, run or not, that can be an id; hidden ones are the service's own."""
    try:
        return {entry.name for entry in runs_dir.iterdir() if _ID.fullmatch(entry.name)}
    except OSError:
        return set()


def found(run: RunDir) -> BenchmarkRow | None:
    """Its row where it is a run and over; what still goes on is left for a later look.

    Raises whatever a folder that another program wrote, or that may not be read, leads to.
    """
    if not run.manifest_path.exists():
        return None
    try:
        manifest = run.read_manifest()
    except RunFolderError:
        return None  # being written, or damaged: `openloop runs` tells
    return _row(run, manifest) if _over(run, manifest) else None


def _over(run: RunDir, manifest: dict[str, Any]) -> bool:
    if run.sealed:
        return manifest.get("verdict") is not None or _age_s(run.manifest_path) > _JUDGING_S
    # Its journal has no line between a step's start and its end, which may be hours.
    return _age_s(run.journal_path) > _STILL_S and not claimed(run)


def claimed(run: RunDir) -> bool:
    """Whether processes of a run, or of who seals it, still write there."""
    try:
        with claim.alone(run, patience_s=0):
            return False
    except RunFolderError:
        return True


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return float("inf")


def _row(run: RunDir, manifest: dict[str, Any]) -> BenchmarkRow:
    targets = list((manifest.get("targets") or {}).values())
    cut = not run.sealed or bool(manifest.get("interrupted"))
    created_ms = _ms(manifest.get("created")) or int(run.manifest_path.stat().st_mtime * 1000)
    return BenchmarkRow(
        id=run.run_id,
        name=str(manifest.get("name") or run.run_id)[:100],
        state=State.INTERRUPTED if cut else State.COMPLETED,
        origin="cli",
        model=next((storable(str(t["model"]), 200) for t in targets if t.get("model")), None),
        target=", ".join(str(t.get("url")) for t in targets) or None,
        created_ms=created_ms,
        started_ms=created_ms,
        scenario=_text(run.scenario_path),
        scenario_digest=manifest.get("scenario_digest"),
        verdict=manifest.get("verdict"),
        reasons=[str(reason) for reason in manifest.get("reasons") or ()],
    )


def _ms(text: Any) -> int | None:
    try:
        return int(datetime.fromisoformat(str(text)).timestamp() * 1000)
    except ValueError:
        return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
