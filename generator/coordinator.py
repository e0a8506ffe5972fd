"""Drives one run: starts the workers together, announces each step, waits it out, drains, seals. Sends nothing itself.

A step starts at an instant at least 200 ms ahead that every worker is told, so that all shards of the schedule count from
the same zero. Ctrl-C once: stop issuing, drain, seal; twice: cut what is in flight, seal now.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from generator import clock, job, probing, thresholds, tripwires
from generator.budget import Budget
from generator.counters import Counters
from generator.credentials import resolve_plan
from generator.crew import Crew, Event, Member, finishes
from generator.errors import MachineError, OpenloopError, TargetError
from generator.meter import Meter
from generator.progress import Phase, Progress, RunEnd
from generator.recording import manifest
from generator.recording.journal import Journal
from generator.recording.request_row import Redactor
from generator.recording.seal import seal
from generator.run_dir import RunDir
from generator.scraping.process import Scraping
from generator.workload import exact, too_short

AHEAD_NS = 250_000_000
START_S = 60.0
PREPARE_S = 120.0
LEAVE_S = 60.0
DEFAULT_DRAIN_NS = 30_000_000_000
DEAF_NS = 30_000_000_000
"""A worker whose heart has not beaten for so long is ended, so that a run always comes to an end."""

TICK_S = 0.25

Watch = Callable[[Progress], None]


def run(plan: job.Plan, folder: RunDir, secrets: dict[str, str], watch: Watch | None = None) -> RunEnd:
    """Execute ``plan``, which is in ``folder`` already, and seal the folder. Raises OpenloopError only when nothing was recorded."""
    return asyncio.run(_Coordinator(plan, folder, secrets, watch).run())


def _flows(step: job.Step) -> bool:
    """The next step begins when this one ends (``drain: none``, no pause), and when that will be is known."""
    return step.drain_ns is None and not step.pause_ns and step.duration_ns < job.MANY


class _StopIssuingError(Exception):
    """Issuing must end: an interrupt, a full disk, no worker left."""


class _Coordinator:
    def __init__(self, plan: job.Plan, folder: RunDir, secrets: dict[str, str], watch: Watch | None) -> None:
        self._plan = plan
        self._folder = folder
        self._secrets = secrets
        self._watch = watch
        self._counters = Counters(folder.counters_path, plan.workers, create=True)
        self._journal = Journal(folder.journal_path)
        self._manifest = manifest.begin(plan, folder)
        self._crew = Crew(self._on_event, self._on_loss)
        self._scraping = Scraping(self._note)
        self._meter = Meter(plan, self._counters)
        self._budget = Budget(plan, self._counters)
        self._tripwires = tripwires.opened(folder.tripwires_path, plan, create=True)
        self._aborted = False
        self._starts: dict[int, int] = {}
        self._prepared: set[int] = set()
        self._phase: Phase = "starting"
        self._step: job.Step | None = None
        self._interrupts = 0
        self._error: str | None = None
        self._error_code = 2
        self._notes: list[str] = []
        self._probed: dict[str, list[dict[str, Any]]] = {}
        self._ends: dict[int, dict[int, tuple[int, int]]] = {}
        self._undrained: list[int] = []

    # -- the run ------------------------------------------------------------------------------------------------------------

    async def run(self) -> RunEnd:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._interrupt)
        self._folder.write_manifest(self._manifest)
        ticker = loop.create_task(self._tick_forever())
        ticker.add_done_callback(self._unwatched)
        try:
            starting = self._crew.start(self._folder, self._plan.workers, self._secrets, self._plan.pin)
            if not await finishes(starting, START_S):
                raise MachineError(f"{self._plan.workers} workers could not be started within {START_S:g} s; use fewer")
            await self._scraping.start(self._folder, self._plan, self._secrets)
            await self._work()
        except OpenloopError as e:
            self._error, self._error_code = str(e), e.exit_code
        except _StopIssuingError:
            pass
        self._phase = "sealing"
        if self._error is None and self._undrained:
            await self._drain(self._undrained, DEFAULT_DRAIN_NS)
        await self._crew.leave(LEAVE_S)
        self._manifest["server_metrics"] = await self._scraping.end()
        ticker.cancel()
        self._journal.write("done")
        self._journal.close()
        return await self._finish()

    async def _work(self) -> None:
        ready = await self._until(lambda: self._crew.all_said("ready"), START_S)
        if self._error is None and not any(m.alive for m in self._crew.members):
            self._error, self._error_code = f"no worker got ready; see {self._folder.log_path}", 1
            raise _StopIssuingError
        if not ready:
            raise MachineError(f"workers did not start within {START_S:g} s; see {self._folder.log_path}")
        await self._scraping.ready()
        told = resolve_plan(self._plan, self._secrets)
        exact_words = await asyncio.to_thread(exact.learn, told, self._folder)
        corrections: dict[str, job.Correction] = {}
        if self._plan.probe:
            corrections = await self._probe(exact_words)
        if exact_words:
            await asyncio.to_thread(exact.verify, told, self._folder, corrections)
        steps = self._plan.steps
        for i, step in enumerate(steps):
            await self._run_step(step, steps[i + 1] if _flows(step) and i + 1 < len(steps) else None)

    async def _probe(self, exact_words: Mapping[str, int]) -> dict[str, job.Correction]:
        """``exact_words``: of targets whose tokenizer was asked, how many words it has."""
        self._phase = "probe"
        first = self._crew.members[0]
        self._crew.tell(first, {"op": "probe"})
        limits = [t.timeouts.total_s for t in self._plan.targets.values()]
        await self._until(
            lambda: ("probed", None) in first.said or not first.alive, sum(limits) * self._plan.probe + 10
        )
        corrections: dict[str, job.Correction] = {}
        for name, probes in self._probed.items():
            trouble = probing.hopeless(name, probes)
            if trouble is not None:
                raise TargetError(
                    f"{trouble}; stopped after {len(probes)} probe requests (`probe: 0` runs all the same)"
                )
            learned = exact.corrected(name, probes) if name in exact_words else probing.correction(probes)
            answered = sum(p["outcome"] == "ok" for p in probes)
            self._manifest["probe"][name] = {"requests": len(probes), "ok": answered}
            if learned is not None:
                corrections[name] = learned
                self._manifest["probe"][name] |= asdict(learned)
            if name in exact_words:
                self._manifest["probe"][name]["tokenizer_words"] = exact_words[name]
                if learned is None and any(p["words"] for p in probes):
                    self._note(
                        f"probe of {name}: no usage was told, so prompts have their length without the template's tokens"
                    )
            for text in {p["error"] for p in probes if p["error"]}:
                self._note(f"probe of {name}: {text}")
        for step in self._plan.steps:
            for alone in step.alone():
                trouble = too_short(alone, corrections.get(alone.target, job.Correction()))
                if trouble is not None:
                    self._manifest["warnings"].append(trouble)
                    self._note(trouble)
        self._crew.tell_all({"op": "correct", "targets": {name: asdict(c) for name, c in corrections.items()}})
        self._folder.write_manifest(self._manifest)
        return corrections

    async def _run_step(self, step: job.Step, following: job.Step | None) -> None:
        """``following``: the step that begins at the instant at which this one ends; it is announced before."""
        if step.step_id not in self._starts:
            await self._prepare(step)
            self._announce(step, clock.monotonic_ns() + AHEAD_NS)
        start_ns = self._starts[step.step_id]
        self._step, self._phase = step, "step"
        self._meter.begin(start_ns, self._arrivals(step))
        if following is not None:
            next_ns = start_ns + step.duration_ns
            told = await self._issued(step, max(0.0, (next_ns - AHEAD_NS - clock.monotonic_ns()) / 1e9))
            if not told and not self._hopeless():
                self._announce(following, next_ns)
        await self._issued(step, None)
        ends = self._ends.get(step.step_id, {})
        # A worker that was lost while it issued leaves the others' word, or none.
        end_ns = max((end for end, _ in ends.values()), default=clock.monotonic_ns())
        offered = {str(worker): n for worker, (_, n) in ends.items()}
        self._journal.write("end", step_id=step.step_id, end_ns=end_ns, offered=offered)
        self._note_stop()
        if step.drain_ns is not None:
            self._phase = "drain"
            await self._drain([step.step_id], step.drain_ns)
        if self._hopeless() and (following is None or following.step_id not in self._starts):
            raise _StopIssuingError
        if step.pause_ns and step is not self._plan.steps[-1]:
            self._phase = "pause"
            begun_ns = end_ns if step.drain_ns is None else clock.monotonic_ns()
            left_s = (begun_ns + step.pause_ns - clock.monotonic_ns()) / 1e9
            await self._until(lambda: False, max(0.0, left_s))

    async def _issued(self, step: job.Step, timeout_s: float | None) -> bool:
        """Wait for the end of issuing, which comes soon where the run is to end; False when the time ran out first."""
        return await self._crew.until(lambda: self._crew.all_said("issued", step.step_id), timeout_s)

    async def _prepare(self, step: job.Step) -> None:
        """The step, and those that follow it without a gap: between them there is no time for it."""
        for each in self._plan.steps[step.step_id :]:
            if each.step_id not in self._prepared:
                await self._say("prepare", "prepared", each.step_id, PREPARE_S)
                self._prepared.add(each.step_id)
            if not _flows(each):
                break

    def _announce(self, step: job.Step, start_ns: int) -> None:
        self._journal.write("start", step_id=step.step_id, start_ns=start_ns)
        self._undrained.append(step.step_id)
        self._starts[step.step_id] = start_ns
        self._crew.tell_all({"op": "start", "step_id": step.step_id, "start_ns": start_ns})

    async def _drain(self, step_ids: list[int], drain_ns: int) -> None:
        """Wait for what is in flight, then cut it."""

        def drained() -> bool:
            return all(self._crew.all_said("drained", i) for i in step_ids) or self._interrupts > 1

        if not await self._crew.until(drained, drain_ns / 1e9) or self._interrupts > 1:
            why = "interrupt" if self._interrupts > 1 else "drain"
            for step_id in step_ids:
                self._crew.tell_all({"op": "cut", "step_id": step_id, "why": why})
            await self._crew.until(lambda: all(self._crew.all_said("drained", i) for i in step_ids), LEAVE_S)
        self._keep_thresholds()
        for step_id in list(step_ids):
            if step_id in self._undrained:
                self._undrained.remove(step_id)
            self._journal.write("drained", step_id=step_id, drained_ns=clock.monotonic_ns())

    async def _say(self, order: str, answer: str, step_id: int, timeout_s: float) -> None:
        self._crew.tell_all({"op": order, "step_id": step_id})
        if not await self._until(lambda: self._crew.all_said(answer, step_id), timeout_s):
            raise MachineError(
                f"step {step_id}: workers were not {answer} within {timeout_s:g} s; see {self._folder.log_path}"
            )

    async def _until(self, done: Callable[[], bool], timeout_s: float) -> bool:
        """Wait, but not past what ends the run."""
        met = await self._crew.until(lambda: done() or self._hopeless(), timeout_s)
        if self._hopeless() and not done():
            raise _StopIssuingError
        return met

    def _hopeless(self) -> bool:
        ended = self._interrupts or self._error or self._budget.stopped or self._aborted
        return bool(ended or not any(m.alive for m in self._crew.members))

    # -- what happens meanwhile ---------------------------------------------------------------------------------------------

    def _on_event(self, member: Member, event: Event) -> None:
        match event["event"]:
            case "probed":
                self._probed = event["targets"]
            case "issued":
                self._ends.setdefault(event["step_id"], {})[member.number] = (event["end_ns"], event["offered"])
            case "note":
                self._note(f"worker {member.number}: {event['message']}")
            case "trouble":
                self._note(f"worker {member.number}: {event['message']}")
                self._stop(str(event["message"]))
            case "error" | "fatal":
                self._error_code = int(event.get("exit_code", 2))
                self._stop(str(event["message"]))

    def _on_loss(self, member: Member, code: int | None) -> None:
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        self._manifest["lost_workers"].append({"worker": member.number, "how": how})
        self._journal.write("lost", worker=member.number, t_ns=clock.monotonic_ns(), why=how)
        self._note(f"worker {member.number} died ({how}); its unfinished arrivals are lost, the others go on")

    def _stop(self, error: str) -> None:
        if self._error is None:
            self._error = error
            self._crew.tell_all({"op": "stop"})
            self._crew.changed.set()

    def _stop_issuing(self, why: str) -> None:
        self._note(why)
        self._journal.write("stop", t_ns=clock.monotonic_ns())
        self._crew.tell_all({"op": "stop"})
        self._crew.changed.set()

    def _keep_budget(self) -> None:
        if not self._budget.stopped and self._budget.over():
            self._budget.stopped = True
            steps = self._plan.steps
            self._stop_issuing(self._budget.note(self._step.step_id if self._step else None, len(steps)))

    def _keep_thresholds(self) -> None:
        """Stop for a rule that is broken, as long as there is anything left to stop."""
        if self._tripwires is None or self._hopeless() or self._phase not in ("step", "drain", "pause"):
            return
        if self._phase == "drain" and self._step is self._plan.steps[-1]:
            return  # all was issued; what the facts say of the rule is the report's to tell
        now_ns = clock.monotonic_ns()
        broken = self._tripwires.broken({i: now_ns - self._starts[i] for i in self._undrained})
        if broken is not None:
            self._aborted = True
            run_s = (now_ns - min(self._starts.values())) / 1e9
            step_s = (now_ns - self._starts[broken.step_id]) / 1e9
            step = self._plan.steps[broken.step_id].name
            self._manifest["aborted"] = broken.facts() | {"step": step, "run_s": run_s, "step_s": step_s}
            what = f"{thresholds.named(broken.rule)} is broken {step_s:.1f} s into step {broken.step_id} ({step})"
            self._stop_issuing(f"{what}: {broken.told}: no more arrivals, draining")

    def _interrupt(self) -> None:
        self._interrupts += 1
        if self._interrupts == 1:
            self._stop_issuing("stopping: no more arrivals, draining; once more to cut what is in flight")
        elif self._interrupts == 2:
            self._note("cutting what is in flight")
            self._crew.tell_all({"op": "cut", "step_id": None, "why": "interrupt"})
        self._crew.changed.set()

    def _note(self, text: str) -> None:
        self._notes.append(text)
        self._manifest["notes"].append(text)

    def _note_stop(self) -> None:
        self._manifest["ended_early"] = Redactor(list(self._secrets.values())).clean(self._error)
        if self._interrupts:
            self._manifest["interrupted"] = True

    async def _tick_forever(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._end_the_deaf()
            self._keep_budget()
            self._keep_thresholds()
            self._tell_watch(self._phase)

    def _unwatched(self, ticker: asyncio.Task[None]) -> None:
        """A run whose budget and rules are looked after no more must not go on."""
        if not ticker.cancelled() and (fault := ticker.exception()) is not None:
            self._error_code = self._error_code if self._error else 1
            self._stop(f"the coordinator failed: {type(fault).__name__}: {fault}")

    def _tell_watch(self, phase: Phase) -> None:
        """A watcher that fails, because its terminal is gone or a pipe was closed, is told nothing more; the run goes on."""
        if self._watch is None:
            return
        notes, self._notes = tuple(self._notes), []
        try:
            self._watch(self._meter.read(phase, self._step, notes))
        except Exception as e:  # noqa: BLE001 - whatever befalls it, the load and what is recorded are none of its business
            self._watch = None
            self._note(f"nobody could be told how the run goes from here on: {type(e).__name__}: {e}")

    def _end_the_deaf(self) -> None:
        now_ns = clock.monotonic_ns()
        for member in self._crew.members:
            beat_ns = self._counters.of(member.number, "heartbeat_ns")
            if member.alive and beat_ns and now_ns - beat_ns > DEAF_NS:
                self._note(f"worker {member.number} has not answered for {DEAF_NS // 10**9} s and is ended")
                self._crew.kill(member)

    def _arrivals(self, step: job.Step) -> Any:
        """The step's schedule; None where more is due than it says: slots that fall free, turns that follow answers."""
        path = self._folder.arrivals_path(step.step_id)
        return None if step.closed or step.turns is not None else np.load(path, mmap_mode="r")

    # -- the end --------------------------------------------------------------------------------------------------------------

    async def _finish(self) -> RunEnd:
        self._note_stop()
        self._folder.tripwires_path.unlink(missing_ok=True)
        self._manifest["budget"] = self._budget.facts()
        try:
            self._folder.write_manifest(self._manifest)
            await asyncio.to_thread(seal, self._folder)
        except (OpenloopError, OSError) as e:  # a full disk: the segments stay and can be read
            self._error = f"{self._error}; {e}" if self._error else str(e)
            self._note(f"not sealed: {e}")
        answered_probes = sum(p["outcome"] == "ok" for probes in self._probed.values() for p in probes)
        succeeded, sent = self._counters.total("ok") - answered_probes, self._counters.total("sent")
        self._tell_watch("done")
        lost = tuple(entry["worker"] for entry in self._manifest["lost_workers"])
        code = self._error_code if self._error is not None else 0
        return RunEnd(bool(self._interrupts), lost, succeeded, sent, self._error, code)
