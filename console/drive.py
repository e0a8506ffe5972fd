"""One run from scenario to verdict: plan, folder, built-in endpoint if asked for, load, judgement, report."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from console import endpoint, exits
from console.prepare import Prepared
from generator import coordinator, run_dir
from generator.errors import RunFolderError
from generator.planning import plan
from generator.progress import Progress, RunEnd
from generator.run_dir import RunDir

_LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class Finished:
    """``report`` is the stable JSON report; ``code`` the exit code that the run alone would have."""

    run: RunDir
    end: RunEnd
    report: dict[str, Any]
    code: int


def run(prepared: Prepared, runs_dir: Path, run_id: str | None, watch: Callable[[Progress], None] | None) -> Finished:
    """Run it, seal it, judge it. Raises RunFolderError before anything is sent when the folder cannot be made.

    Whatever goes wrong after the load has ended leaves a sealed folder that ``openloop report`` and ``openloop sql`` read.
    """
    folder = create(prepared.scenario.name, runs_dir, run_id)
    named = replace(prepared.planned, plan=replace(prepared.planned.plan, run_id=folder.run_id))
    kept = f"the run is kept in {folder.path}; `openloop seal {folder.path}` judges it then"
    try:
        with endpoint.serving(prepared.simulators, folder) as urls:
            planned = named.with_urls(urls)
            plan.write(planned, folder)
            end = coordinator.run(planned.plan, folder, planned.secrets, watch)
    except KeyboardInterrupt as e:  # once more, while the coordinator or the endpoint was leaving
        if folder.plan_path.exists():
            e.add_note(kept)
        raise
    try:
        report = judge(folder)
    except BaseException as e:  # a Ctrl-C, too: whoever gives up on the report is told where the data is
        if end.error is not None:
            e.add_note(f"the run had ended early: {end.error}")
        e.add_note(kept)
        raise
    return Finished(folder, end, report, code_of(end, report))


def judge(folder: RunDir) -> dict[str, Any]:
    """Write the verdict into the manifest and report.html into the folder; the JSON report."""
    from console import judged  # late: duckdb's memory is not wanted while the load runs

    with judged.judged(folder) as j:
        judged.keep(j)
        return j.report


def code_of(end: RunEnd, report: Mapping[str, Any]) -> int:
    """The exit code of one run, by the order of precedence in console.exits."""
    codes = [end.exit_code]
    if end.interrupted:
        codes.append(exits.INTERRUPTED)
    if end.succeeded == 0:
        codes.append(exits.NO_SUCCESS)
    if report["verdict"]["verdict"] != "VALID":
        codes.append(exits.INVALID)
    if not all(found["holds"] and not found.get("aborted") for found in report["thresholds"]):
        codes.append(exits.THRESHOLD)
    return exits.first(codes)


def create(name: str, runs_dir: Path, run_id: str | None) -> RunDir:
    """The folder of a new run: ``run_id``, else ``<name>-<YYYYMMDD-HHMMSS>`` in UTC, numbered on from -2 where that exists."""
    if run_id is not None:
        return run_dir.create(runs_dir, run_id)
    for candidate in names(name):
        try:
            return run_dir.create(runs_dir, candidate)
        except RunFolderError:
            if not (runs_dir / candidate).is_dir():
                raise
    raise AssertionError("names does not end")


def names(name: str) -> Iterator[str]:
    """Ids for a run of this name that begins now, best first, without end."""
    word = re.sub(r"[^A-Za-z0-9._-]", "-", name)[:_LONGEST_NAME]
    base = f"{word}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    return (base if number == 1 else f"{base}-{number}" for number in itertools.count(1))
