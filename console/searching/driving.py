"""A search from its first run to its answer: ask where to go, run that, write it down, and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from analysis.report import search_html, searched
from analysis.searching import answer
from analysis.searching.course import Ending, next_move, trials
from analysis.searching.part import Done, Order
from console import exits
from console.drive import Finished
from console.searching import remains, runs, state
from console.searching.state import State
from generator import clock
from generator.errors import OpenloopError
from generator.run_dir import write_whole
from generator.scenario.reading import Scenario

REPORT = "report.html"

Say = Callable[[str], None]
Watching = Callable[[str], AbstractContextManager[runs.Watch]]


class StoppedError(OpenloopError):
    """A run of the search ended early by an error of its own: the target refuses, a disk is full."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.exit_code = code


def search(base: Scenario, folder: Path, known: State, watching: Watching, say: Say) -> State:
    """Go on from ``known`` to an ending. The state on disk is never behind by more than the run that is under way.

    Raises StoppedError and whatever a run raises; the search can be resumed then.
    """
    while True:
        move = next_move(known.goal, known.limits, known.runs, known.forgiven)
        if isinstance(move, Ending):
            known = replace(known, end=move.end)
            keep(folder, known)
            return known
        known = _run(base, folder, known, move, watching)
        _tell(known, say)
        if known.runs[-1].reasons == (runs.INTERRUPTED,):
            known = replace(known, end="interrupted")
            keep(folder, known)
            return known


def _run(base: Scenario, folder: Path, known: State, order: Order, watching: Watching) -> State:
    begun_ns = clock.monotonic_ns()
    run_id = f"{known.search_id}-{len(known.runs):03d}"
    known = known.begin(run_id)
    state.write(folder, known)
    if known.runs:
        time.sleep(known.goal.pause_s)
    spent = sum(d.usd or 0.0 for d in known.runs)
    left_usd = None if known.limits.usd is None else max(1e-9, known.limits.usd - spent)
    with watching(_words(known, order)) as watch:
        finished = runs.execute(base, known.goal, order, folder, run_id, left_usd, watch)
    _refuse(finished)
    done = runs.done(order, finished, (clock.monotonic_ns() - begun_ns) / 1e9)
    known = known.finish(done)
    state.write(folder, known)
    return known


def _refuse(finished: Finished) -> None:
    if finished.end.error is not None:
        raise StoppedError(f"{finished.end.error} (run {finished.run.path})", finished.end.exit_code or exits.FAULT)


def begin_again(folder: Path, known: State) -> State:
    """A search that was killed, interrupted or ended by a limit, made ready to go on. Raises RunFolderError where its last run cannot be
    sealed, or still goes on.
    """
    killed: tuple[Done, ...] = ()
    if known.begun is not None:
        left = remains.remains(folder, known.begun, known.begun_at)
        killed = () if left is None else (left,)
    all_runs = (*known.runs, *killed)
    return replace(known, runs=all_runs, begun=None, begun_at="", forgiven=len(all_runs), end=None)


def found(folder: Path, known: State) -> dict[str, Any]:
    """The stable JSON of what the search knows by now."""
    about = {
        "search_id": known.search_id,
        "name": known.name,
        "created": known.created,
        "folder": str(folder),
        "seed": known.goal.seed,
        "scenario_digest": known.scenario_digest,
        "slo": known.slo,
        "target": known.target,
    }
    return answer.build(known.goal, known.limits, known.runs, known.end, about)


def keep(folder: Path, known: State) -> None:
    """The state and the page beside it."""
    state.write(folder, known)
    write_whole(folder / REPORT, search_html.render(found(folder, known)).encode())


def code_of(known: State) -> int:
    """0 with a load that is confirmed, 99 without one, 3 where the generator could not, 4 where nothing was answered."""
    return {
        "found": exits.GOOD,
        "all": exits.GOOD,
        "invalid": exits.INVALID,
        "nothing": exits.NO_SUCCESS,
        "interrupted": exits.INTERRUPTED,
    }.get(str(known.end), exits.THRESHOLD)


def _words(known: State, order: Order) -> str:
    if order.kind == "ladder":
        return f"{known.name}: ladder, {order.load:g} slots"
    again = f", part {order.part + 1}" if order.part else ""
    return f"{known.name}: {order.kind} {order.trial + 1} at {answer.loaded(known.goal, order.load)}{again}"


def _tell(after: State, say: Say) -> None:
    """A line on the run that has just ended."""
    last = after.runs[-1]
    if not last.counts:
        say(f"INVALID, counts for nothing: {answer.loaded(after.goal, last.load)} in {last.run_id}: {last.reasons[0]}")
        return
    if last.kind == "ladder":
        say(searched.ladder_line(last))
    else:
        say(searched.trial_line(after.goal, trials(after.goal, after.runs)[-1]))
