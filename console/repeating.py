"""One scenario several times: each time a run of its own, until it is enough; then all of them as one."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from console import drive, exits, repeated
from console.drive import Finished
from console.prepare import NO_RUN, Prepared, simulators_of
from generator import repetition, run_dir
from generator.errors import OpenloopError, RunFolderError
from generator.planning import plan
from generator.repetition import Repetition
from generator.run_dir import RunDir
from generator.scenario import repeat as scenario_repeat
from generator.scenario.reading import Scenario
from generator.scenario.repeat import MOST, RepeatForm
from generator.until import LEAST

Why = Literal["until", "times", "within", "budget", "interrupted", "failed"]

_LONGEST_NAME = 70
"""So that an id of a run, at most 100 characters, has room for time and number."""

Once = Callable[[Prepared, str, int], Finished]
"""Run one repetition under this run id, the so-manieth."""


@dataclass(frozen=True, slots=True)
class Ended:
    """``told``: a sentence."""

    why: Why
    told: str


@dataclass(frozen=True, slots=True)
class Repeated:
    """``report`` as docs/repeats.md lists it; ``code`` the exit code that the repetitions together have."""

    group: str
    finished: list[Finished]
    ended: Ended
    report: dict[str, Any]
    page: Path
    code: int

    @property
    def interrupted(self) -> bool:
        return self.ended.why == "interrupted"


def repeat(prepared: Prepared, runs_dir: Path, group: str | None, once: Once, tell: Callable[[str], None]) -> Repeated:
    """Run ``prepared`` as often as its scenario asks. ``group``: a name of one's own; ``tell`` is given a line after each repetition.

    An interrupt ends the repeating and keeps what was done, and so does an error of a repetition, which is told and counts for the exit
    code; of the first one it is raised. Raises RunFolderError where the group's name is taken.
    """
    asked = scenario_repeat.asked(prepared.scenario.form)
    assert asked is not None
    assert asked.times is not None
    name = _free(prepared.scenario.name, runs_dir, group)
    rules = tuple(prepared.scenario.form.until or ())
    finished: list[Finished] = []
    faults: list[int] = []
    begun_s = time.monotonic()
    ended = Ended("times", f"all {asked.times} repetitions were made")
    for number in range(1, asked.times + 1):
        which = Repetition(name, number, asked.times, asked.seeds, rules)
        started_s = time.monotonic()
        try:
            finished.append(once(_nth(prepared, which, finished), f"{name}-r{number}", number))
            told, stop = _look(finished, rules, prepared.planned.plan.budget_usd)
            tell(f"repetition {number} of {'at most ' if rules else ''}{asked.times}: {told}")
            stop = stop or _late(asked, begun_s, started_s, number)
            if stop is None and number < asked.times:
                _pause(asked.pause / 1e9)
        except KeyboardInterrupt:
            stop = Ended("interrupted", "interrupted; what was done until then is kept")
            if not finished:
                raise
        except OpenloopError as e:
            if not finished:
                raise
            stop = Ended("failed", f"repetition {number} failed: {e}")
            faults.append(e.exit_code)
            tell(f"error: {stop.told}")
        if stop is not None:
            ended = stop
            break
    else:
        if rules:
            ended = Ended(
                "times", f"all {asked.times} repetitions were made, and what `until` asks for was not reached"
            )
    _keep(finished[-1].run, ended)
    runs = [f.run for f in finished]
    report = repeated.merged(runs)
    page = repeated.keep(report, runs_dir / name)
    codes = [f.code for f in finished] + faults + ([exits.INTERRUPTED] if ended.why == "interrupted" else [])
    return Repeated(name, finished, ended, report, page, exits.first(codes))


def _nth(prepared: Prepared, which: Repetition, finished: list[Finished]) -> Prepared:
    """The plan of one repetition: its seeds, those of the built-in endpoint's noise among them, and what the others left of the budget."""
    planned, read = prepared.planned, prepared.scenario
    if which.seeds == "fresh" and which.number > 1:
        read = _reseeded(read, repetition.run_seed(read.seed, which.number))
        planned = plan.make(read, NO_RUN)
    elif which.seeds == "same":
        words = repetition.text_seed(read.seed, which.number)
        steps = tuple(replace(step, text_seed=words) for step in planned.plan.steps)
        planned = replace(planned, plan=replace(planned.plan, steps=steps))
    budget = planned.plan.budget_usd
    if budget is not None:
        budget = max(0.0, budget - _spent_usd(finished))
    return replace(
        prepared,
        scenario=read,
        planned=replace(planned, plan=replace(planned.plan, repetition=which, budget_usd=budget)),
        simulators=simulators_of(read, which.number),
    )


def _reseeded(read: Scenario, seed: int) -> Scenario:
    document = deepcopy(read.document)
    document.data["seed"] = seed
    return replace(read, seed=seed, document=document)


def _look(finished: list[Finished], rules: tuple[str, ...], budget_usd: float | None) -> tuple[str, Ended | None]:
    """What to tell of the newest repetition, and whether it was the last."""
    newest = finished[-1]
    verdict = str(newest.report["verdict"]["verdict"])
    if newest.end.interrupted:
        return f"{verdict}, interrupted", Ended("interrupted", "interrupted; what was done until then is kept")
    if newest.end.error is not None or newest.end.succeeded == 0:
        why = newest.end.error or "no request succeeded"
        return f"{verdict}; {why}", Ended("failed", f"repetition {len(finished)} failed: {why}")
    if budget_usd is not None and (newest.report["run"]["budget"]["stopped"] or _spent_usd(finished) >= budget_usd):
        return f"{verdict}; the budget is spent", Ended("budget", "the budget of all repetitions together is spent")
    if not rules:
        return verdict, None
    runs = [f.run for f in finished]
    sound = [run for run in runs if repeated.unsound(run.read_manifest(), run) is None]
    if len(sound) < LEAST:
        return f"{verdict}; `until` is asked from {LEAST} repetitions on", None
    found = repeated.judged(sound, rules)["until"]
    told = "; ".join(repeated.rule_text(rule) for rule in found)
    if all(rule["reached"] for rule in found):
        return f"{verdict}; {told}", Ended("until", f"reached after {len(finished)} repetitions: {told}")
    return f"{verdict}; {told}", None


def _spent_usd(finished: list[Finished]) -> float:
    """Of answers without usage the most that they can have cost: what is not known to be left is not spent again."""
    budgets = [f.report["run"]["budget"] or {} for f in finished]
    return sum((b.get("spent_usd") or 0.0) + (b.get("guessed_usd") or 0.0) for b in budgets)


def _late(asked: RepeatForm, begun_s: float, started_s: float, number: int) -> Ended | None:
    """Whether another one, as long as the last, would end after the time that was given."""
    now_s = time.monotonic()
    if asked.within is None or number == asked.times:
        return None
    if now_s - begun_s + asked.pause / 1e9 + now_s - started_s <= asked.within / 1e9:
        return None
    return Ended("within", f"another repetition would have ended later than `within` allows, {asked.within / 1e9:g} s")


def _pause(pause_s: float) -> None:
    """Raises KeyboardInterrupt for a SIGTERM or SIGHUP, too: outside a run nobody else listens for them."""
    if pause_s <= 0:
        return
    with _stoppable():
        time.sleep(pause_s)


@contextmanager
def _stoppable() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _keep(last: RunDir, ended: Ended) -> None:
    """Why the repeating ended stands in the last run's manifest: there is no file of the group that could be lost."""
    manifest = last.read_manifest()
    if manifest.get("repetition"):
        manifest["repetition"] |= {"ended": asdict(ended)}
        last.write_manifest(manifest)


def _free(name: str, runs_dir: Path, group: str | None) -> str:
    """A name for the group that neither a run nor another group has."""
    if group is not None:
        if _taken(group, runs_dir):
            raise RunFolderError(f"run {group!r} exists in {runs_dir}; choose another --run-id, nothing is overwritten")
        return group
    return next(candidate for candidate in drive.names(name[:_LONGEST_NAME]) if not _taken(candidate, runs_dir))


def _taken(group: str, runs_dir: Path) -> bool:
    run_dir.check_id(f"{group}-r{MOST}")
    return (runs_dir / group).exists() or (runs_dir / f"{group}-r1").exists()
