"""What a run cost that was under way when its search died, read from its folder: requests, time and money, which are spent all the same."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from analysis import database
from analysis.searching.part import Done
from analysis.searching.sample import Sample
from generator import job
from generator.charge import usd
from generator.counters import Counters
from generator.job import Plan
from generator.recording import seal
from generator.run_dir import RunDir

KILLED = "the search was killed while it ran"


def remains(folder: Path, run_id: str, begun_at: str) -> Done | None:
    """None where the run never had a folder. ``begun_at``: when the search turned to it, RFC 3339; empty where that is not known.

    The folder is sealed first, as ``openloop seal`` does, so that what its workers still had in hand is counted, and a run that in truth
    goes on is not taken for dead: that raises RunFolderError. What the run saw decides nothing.
    """
    run = RunDir(folder / run_id)
    if not run.path.is_dir():
        return None
    sent, elapsed_s, spent_usd = 0, 0.0, None
    if run.plan_path.exists():
        plan = job.load(Plan, run.plan_path.read_bytes())
        seal.seal(run)
        sent, lost = _requests(run)
        spent_usd = _usd(run, plan, sent, lost)
        elapsed_s = _elapsed_s(run, plan, begun_at)
    nothing = Sample(0, 0, 1.0, False)
    return Done(run_id, "probe", 0.0, -1, 0, nothing, sent, elapsed_s, spent_usd, reasons=(KILLED,), cut=True)


def _requests(run: RunDir) -> tuple[int, int]:
    """(all, of these without an end on record)"""
    with database.open_runs([run]) as con:
        (row,) = con.execute("SELECT count(*), count(*) FILTER (WHERE outcome = 'lost') FROM requests").fetchall()
    return int(row[0]), int(row[1])


def _usd(run: RunDir, plan: Plan, sent: int, lost: int) -> float | None:
    """As a budget counts it, guesses for answers without usage included; a request that was lost is taken to have cost what the others did.
    None where no price is known.
    """
    if not any(target.prices for target in plan.targets.values()):
        return None
    if not run.counters_path.exists():
        return 0.0
    counters = Counters(run.counters_path, plan.workers)
    known_usd = usd(counters.total("spent_nano_usd") + counters.total("guessed_nano_usd"))
    return known_usd * sent / (sent - lost) if sent > lost else known_usd


def _elapsed_s(run: RunDir, plan: Plan, begun_at: str) -> float:
    """From when the search turned to the run until the heart of its last worker stopped; 0 where no worker came to life."""
    if not run.counters_path.exists():
        return 0.0
    counters = Counters(run.counters_path, plan.workers)
    last_ns = max(counters.of(worker, "heartbeat_ns") for worker in range(plan.workers))
    anchor = run.read_manifest()["clock"]
    if not last_ns:
        return 0.0
    since_anchor_s = (last_ns - int(anchor["monotonic_ns"])) / 1e9
    before_s = int(anchor["utc_ns"]) / 1e9 - datetime.fromisoformat(begun_at).timestamp() if begun_at else 0.0
    # A wall clock that was set back in between takes nothing off what is certain.
    return max(0.0, since_anchor_s + max(0.0, before_s))
