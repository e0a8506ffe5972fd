"""Scenario → plan: ordered steps with their seeds and schedules, what they need, and what to warn of. Nothing is sent yet."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from generator import job, machine, schedule
from generator.errors import ScenarioError
from generator.job import MANY, Plan, Step
from generator.planning import estimate, needs, prices, templates
from generator.planning import limits as plan_limits
from generator.planning import mix as plan_mix
from generator.planning import rules as plan_thresholds
from generator.planning import targets as plan_target
from generator.planning.workload import FROM_TRACE, Arrays, Cell
from generator.run_dir import RunDir, write_whole
from generator.scenario import blocks as scenario_blocks
from generator.scenario import provider as scenario_provider
from generator.scenario.fields import NO_DRAIN, LengthForm, RateRamp, SlotRamp
from generator.scenario.models import Form, MatrixForm, StepForm
from generator.scenario.reading import Scenario
from generator.scenario.target import SIMULATED_MODEL, SIMULATOR, TargetForm
from generator.workload import trace


@dataclass(frozen=True)
class Planned:
    """``arrivals`` [n] int64 ns offsets of each open step; ``lengths`` [n, 2] int32 of steps that replay a trace's; ``secrets`` maps
    ``${NAME}`` to its value; ``tables``: other arrays, by the name that ``RunDir.plan_array_path`` takes.
    """

    plan: Plan
    arrivals: dict[int, NDArray[np.int64]]
    lengths: dict[int, NDArray[np.int32]]
    warnings: list[str]
    needs: needs.Needs
    secrets: dict[str, str] = field(repr=False)
    scenario_text: str = ""
    tables: dict[str, NDArray[np.int64] | NDArray[np.int32]] = field(default_factory=dict)
    cost: estimate.Estimate = field(default_factory=estimate.Estimate)

    def with_urls(self, urls: dict[str, str]) -> Planned:
        """The same plan with other base URLs, by target name: those of simulators that have been started meanwhile."""
        targets = {name: replace(t, url=urls.get(name, t.url)) for name, t in self.plan.targets.items()}
        return replace(self, plan=replace(self.plan, targets=targets))


def make(scenario: Scenario, run_id: str, workers: int | None = None) -> Planned:
    """Raises ScenarioError, and MachineError where the machine cannot carry the plan however it is set.

    ``workers`` None: what the scenario says, else the processors less one.
    """
    form = scenario.form
    here = machine.look()
    plan_target.refuse_missing_files(scenario)
    count = workers or form.workers or machine.default_workers(here)
    arrays = Arrays()
    steps = tuple(_steps(scenario, arrays))
    arrivals, lengths, steps = _schedules(scenario, steps, arrays)
    plan_mix.refuse_too_many(steps)
    known = prices.quotes(form.target_forms(), form.prices)
    prices.refuse_unpriced(form.budget, scenario.document.place(("budget",)), form.target_forms(), known)
    targets = {name: _target(name, target, form) for name, target in form.target_forms().items()}
    targets = prices.priced(targets, known)
    scenario_provider.refuse_inexact(scenario.document, steps, targets)
    plan = Plan(
        name=scenario.name,
        run_id=run_id,
        seed=scenario.seed,
        targets=targets,
        steps=steps,
        workers=count,
        transport=form.transport,
        probe=form.probe,
        pin=form.pin,
        slo=form.slo.limits() if form.slo else None,
        slo_preset=form.slo.preset if form.slo else None,
        thresholds=plan_thresholds.rules(scenario, steps),
        budget_usd=form.budget,
        scenario_digest=scenario.digest(),
        texts=form.record.values(),
    )
    wanted = needs.of(plan, arrivals, lengths)
    needs.check(plan, wanted, here)
    cost = estimate.of(plan, wanted)
    warnings = [
        *needs.warnings(plan, wanted, here),
        *plan_target.warnings(targets.values()),
        *templates.warnings(plan, arrays.arrays),
        *plan_limits.warnings(form.expected_limit, steps),
        *cost.warnings(plan.budget_usd),
        *plan_thresholds.warnings(plan.thresholds, steps, wanted.steps),
    ]
    plan = replace(plan, warnings=tuple(warnings))
    return Planned(plan, arrivals, lengths, warnings, wanted, scenario.secrets, scenario.text(), arrays.arrays, cost)


def write(planned: Planned, run: RunDir) -> None:
    """plan/plan.json, the arrays beside it, and scenario.yaml, into a folder that ``run_dir.create`` made."""
    for step_id, offsets in planned.arrivals.items():
        np.save(run.arrivals_path(step_id), offsets)
    for step_id, table in planned.lengths.items():
        np.save(run.lengths_path(step_id), table)
    for name, array in planned.tables.items():
        np.save(run.plan_array_path(name), array)
    write_whole(run.scenario_path, planned.scenario_text.encode())
    write_whole(run.plan_path, job.dump(planned.plan))


def _cells(matrix: MatrixForm | None) -> Iterator[tuple[str | None, Cell]]:
    """(label, what the cell fills) in list order, the last key running fastest."""
    keys = matrix.keys() if matrix else []
    if matrix is None or not keys:
        yield None, {}
        return
    for values in itertools.product(*(getattr(matrix, key) for key in keys)):
        cell = dict(zip(keys, values, strict=True))
        yield ",".join(f"{key}={load_text(value)}" for key, value in cell.items()), cell


def _steps(scenario: Scenario, arrays: Arrays) -> Iterator[Step]:
    form = scenario.form
    step_id = spawn_key = 0
    several = scenario_blocks.compares(form)
    for label, cell in _cells(form.matrix):
        for step_form in form.steps:
            for block, part, arms in scenario_blocks.pieces(form, step_form):
                # Targets in a comparison get the same arrivals and prompts: the spawn key is the block's, not the arm's.
                seed = (scenario.seed, spawn_key)
                for target in arms:
                    made = _step(form, part, cell, label, step_id, seed, target, arrays, several=several)
                    yield replace(made, block=block)
                    step_id += 1
                spawn_key += 1


def _step(
    form: Form,
    step: StepForm,
    cell: Cell,
    label: str | None,
    step_id: int,
    seed: tuple[int, int],
    target: str,
    arrays: Arrays,
    *,
    several: bool,
) -> Step:
    arrivals = form.arrivals_of(step)
    assert arrivals is not None
    rate = step.rate or (cell.get("rate") if arrivals in ("poisson", "constant", "gamma") else None)
    slots = step.concurrency or (cell.get("concurrency") if arrivals == "closed" else None)
    assert rate is None or isinstance(rate, RateRamp)
    assert slots is None or isinstance(slots, SlotRamp)
    drain = form.drain if step.drain is None else step.drain
    in_flight = form.max_in_flight if step.max_in_flight is None else step.max_in_flight
    specs = tuple(plan_mix.specs(form, step, cell, arrays))
    number = step.requests if step.sessions is None else step.sessions
    return Step(
        step_id=step_id,
        name=step.name or _load_name(arrivals, rate or slots or step.trace, step.burstiness),
        target=target,
        arrivals=arrivals,
        workload=specs[0],
        mix=specs if form.workloads is not None else (),
        seed=seed,
        cell=label,
        arm=target if several else None,
        rate_rps=rate.start_rps if rate else None,
        rate_end_rps=rate.end_rps if rate and rate.ramped else None,
        burstiness=step.burstiness,
        concurrency=slots.start if slots else None,
        concurrency_end=slots.end if slots and slots.ramped else None,
        think=step.think.pause() if step.think else job.Pause(),
        duration_ns=MANY if step.duration is None else step.duration,
        requests=MANY if number is None else number,
        warmup_ns=form.warmup if step.warmup is None else step.warmup,
        pause_ns=form.pause if step.pause is None else step.pause,
        drain_ns=None if drain == NO_DRAIN else drain,
        max_in_flight=None if arrivals == "closed" else in_flight,
        planned_arrivals=number,
    )


def _load_name(arrivals: job.Arrivals, load: object, burstiness: float | None) -> str:
    spread = f", CV {burstiness**-0.5:.3g}" if burstiness is not None else ""
    return f"{arrivals} {load_text(load)}{spread}"


def _target(name: str, form: TargetForm, scenario: Form) -> job.Target:
    times = scenario.timeouts
    return job.Target(
        name=name,
        url=form.url.rstrip("/"),
        api=form.api,
        model=form.model or (SIMULATED_MODEL if form.url == SIMULATOR else ""),
        api_key=form.api_key,
        headers=form.headers,
        body=form.body,
        stream=form.streams,
        http=form.http.spec() if form.http else None,
        request_id_header=form.request_id_header,
        max_tokens_field=form.max_tokens_field,
        tls=job.Tls(**form.tls.model_dump()),
        timeouts=job.Timeouts(times.connect / 1e9, times.first_token / 1e9, times.idle / 1e9, times.total / 1e9),
        connections=scenario.connections,
        proxy=form.proxy,
        gzip=form.gzip,
        metrics=form.metrics.values() if form.metrics else None,
        auth_header=form.auth_header,
        tokenizer=form.tokenizer,
        exact_body=scenario_provider.exact_body(form.provider, form.api),
    )


def _schedules(
    scenario: Scenario, steps: tuple[Step, ...], arrays: Arrays
) -> tuple[dict[int, NDArray[np.int64]], dict[int, NDArray[np.int32]], tuple[Step, ...]]:
    """Offsets, trace lengths, and the steps with the number of their arrivals filled in."""
    form = scenario.form
    forms = [
        part
        for _ in _cells(form.matrix)
        for s in form.steps
        for _, part, arms in scenario_blocks.pieces(form, s)
        for _ in arms
    ]
    expected = sum(schedule.expected(s) for s in steps if s.rate_rps is not None)
    if expected > schedule.MOST_ARRIVALS:
        raise ScenarioError(
            f"{scenario.document.place(('steps',))}: steps: about {expected:,.0f} arrivals; a run holds at most "
            f"{schedule.MOST_ARRIVALS:,}; shorten the steps or lower the rates"
        )
    arrivals: dict[int, NDArray[np.int64]] = {}
    lengths: dict[int, NDArray[np.int32]] = {}
    replays: dict[str, trace.Trace] = {}
    counted = []
    for step, step_form in zip(steps, forms, strict=True):
        if step.closed:
            counted.append(step)
            continue
        if step_form.trace is not None:
            key = step_form.trace.model_dump_json()
            replayed = replays[key] = replays.get(key) or _replay(step_form)
            due = schedule.trace_offsets(replayed.times_s, step_form.trace.speed, step)
            spec, block_tokens = step.workload, step_form.trace.block_tokens
            if FROM_TRACE in (spec.input_tokens, spec.output_tokens):
                lengths[step.step_id] = replayed.lengths[: len(due)]
            if (
                replayed.ids is not None
                and block_tokens
                and spec.input_tokens == FROM_TRACE
                and step.turns is None
                and not step.mix
            ):
                arrays.blocks(step.step_id, replayed, len(due))
                spec = replace(spec, block_tokens=block_tokens)
            counted.append(replace(step, workload=spec, planned_arrivals=len(due)))
        else:
            due = schedule.offsets(step)
            counted.append(replace(step, planned_arrivals=len(due)))
        arrivals[step.step_id] = due
    return arrivals, lengths, tuple(counted)


def _replay(step: StepForm) -> trace.Trace:
    assert step.trace is not None
    window = step.trace.window
    columns = {k: v for k, v in step.trace.columns.model_dump().items() if v is not None}
    end_s = None if window.end_ns is None else window.end_ns / 1e9
    return trace.load(Path(step.trace.file), columns, window.start_ns / 1e9, end_s, step.trace.format)


def load_text(load: object) -> str:
    """A rate, a concurrency, a length or a trace in a few characters, for names of steps and cells."""
    if isinstance(load, RateRamp):
        return f"{load.start_rps:g}/s to {load.end_rps:g}/s" if load.ramped else f"{load.start_rps:g}/s"
    if isinstance(load, SlotRamp):
        return f"{load.start} to {load.end}" if load.ramped else str(load.start)
    if isinstance(load, LengthForm):
        if load.empirical is not None:
            return f"empirical {Path(load.empirical.file).name}:{load.empirical.column}"
        return length_text(load.length())
    return Path(getattr(load, "file", "")).name.split(".")[0]


def length_text(length: job.Length | None) -> str:
    """``512``, ``uniform 100-900``, ``normal 512±64``, …"""
    if length is None:
        return "as they are"
    if length.law == "fixed":
        return f"{length.value:g}"
    if length.law == "uniform":
        return f"uniform {length.low}-{length.high}"
    if length.law == "empirical":
        return f"empirical, mean {length.mean:.0f}"
    if length.law == "zipf":
        return f"zipf {length.value:g} to {length.high}"
    return "trace" if length.law == "trace" else f"{length.law} {length.mean:g}±{length.sd:g}"
