"""Arrivals that a dead worker took with it, as rows with outcome ``lost``: due, dealt to it, and without an end on record.

Open loop: the schedule says which they were. Closed loop: the worker's own word at the end of issuing, or else the counters, which
outlive their writer, say how many requests it had sent in its step; those without a row are its slots' lowest arrival numbers
that are missing. ``lost_turns`` knows which of a conversation's turns were due.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow.parquet as pq

from generator.counters import Counters
from generator.job import MANY, Plan, Step
from generator.recording.journal import History, StepFacts
from generator.recording.lost_turns import missing_turns
from generator.run_dir import RunDir
from generator.schema import REQUESTS, REQUESTS_A_STEP
from generator.slots import slots
from generator.workload.mix import Mix, mix_of
from generator.workload.sessions import TurnCounts

Done = dict[int, int]
"""request_id → done_ns (0 where NULL) of everything recorded."""


def lost_rows(run: RunDir, plan: Plan, history: History) -> list[tuple[Any, ...]]:
    """Rows in the schema's order; empty after a run that nobody killed."""
    if history.done and not history.lost_workers:
        return []
    if not run.counters_path.exists():
        return []
    counters = Counters(run.counters_path, plan.workers)
    recorded = _recorded(run)
    rows: list[tuple[Any, ...]] = []
    for step_id, facts in sorted(history.steps.items()):
        step = plan.steps[step_id]
        mix = mix_of(step)
        counts = TurnCounts(step, run) if step.turns is not None else None
        for worker in range(plan.workers):
            if history.done and worker not in history.lost_workers:
                continue
            if step.turns is not None:
                missing = _turns(run, plan, step, facts, worker, counters, history)
            else:
                missing = (_closed if step.closed else _open)(
                    run, plan, step, facts, worker, counters, recorded, history
                )
            rows.extend(_row(plan, step, mix, counts, worker, turn, facts) for turn in missing)
    return rows


def _recorded(run: RunDir) -> Done:
    done: Done = {}
    for path in sorted(run.segments.glob("requests-*.parquet")):
        table = pq.read_table(path, columns=["request_id", "done_ns"])
        done.update(
            (i, d or 0) for i, d in zip(table["request_id"].to_pylist(), table["done_ns"].to_pylist(), strict=True)
        )
    return done


def _open(
    run: RunDir,
    plan: Plan,
    step: Step,
    facts: StepFacts,
    worker: int,
    counters: Counters,
    recorded: Done,
    history: History,
) -> list[tuple[int, int]]:
    offsets = np.load(run.arrivals_path(step.step_id), mmap_mode="r")
    until_ns = _until_ns(facts, worker, counters, history)
    due = int(np.searchsorted(offsets, until_ns - facts.start_ns, side="left"))
    base = step.step_id * REQUESTS_A_STEP
    numbers = range(worker, due, plan.workers)
    return [(n, facts.start_ns + int(offsets[n])) for n in numbers if base + n not in recorded]


def _until_ns(facts: StepFacts, worker: int, counters: Counters, history: History) -> int:
    """What was due before then was this worker's to send."""
    # A worker that the journal does not name died with the coordinator, or left when it did: what was due after its
    # heart last beat is no arrival that it was offered.
    until_ns = counters.of(worker, "heartbeat_ns")
    if worker in history.lost_workers:
        until_ns = facts.end_ns if facts.end_ns is not None else max(until_ns, history.lost_workers[worker])
    if history.stop_ns is not None:
        until_ns = min(until_ns, history.stop_ns)  # arrivals after a stop are none
    return until_ns


def _issued(step: Step, facts: StepFacts, worker: int, counters: Counters) -> int:
    """How many requests of a closed step a worker had sent."""
    issued = (facts.offered or {}).get(worker)  # its own word, given when it had issued all
    if issued is not None:
        return issued
    if counters.of(worker, "step_id") != step.step_id or not counters.of(worker, "heartbeat_ns"):
        return 0
    return counters.of(worker, "step_issued")


def _turns(
    run: RunDir, plan: Plan, step: Step, facts: StepFacts, worker: int, counters: Counters, history: History
) -> list[tuple[int, int]]:
    if step.closed:
        issued = _issued(step, facts, worker, counters)
        return missing_turns(run, step, facts, worker, plan.workers, MANY, issued)
    until_ns = _until_ns(facts, worker, counters, history)
    return missing_turns(run, step, facts, worker, plan.workers, until_ns, None)


def _closed(
    _run: RunDir,
    plan: Plan,
    step: Step,
    facts: StepFacts,
    worker: int,
    counters: Counters,
    recorded: Done,
    _history: History,
) -> list[tuple[int, int]]:
    issued = _issued(step, facts, worker, counters)
    base = step.step_id * REQUESTS_A_STEP
    mine = slots(step, worker, plan.workers)
    have = {slot.index: 0 for slot in mine}
    for request_id in recorded:
        n = request_id - base
        if 0 <= n < REQUESTS_A_STEP and mine and n % mine[0].stride in have:
            have[n % mine[0].stride] += 1
    left = issued - sum(have.values())
    missing: list[tuple[int, int]] = []
    while left > 0:
        before = left
        for slot in mine:
            n = slot.first + slot.stride * have[slot.index]
            if left > 0 and n < step.requests:
                previous_ns = recorded.get(base + n - slot.stride, 0)
                missing.append((n, previous_ns or facts.start_ns + slot.open_ns))
                have[slot.index] += 1
                left -= 1
        if left == before:
            break
    return missing


def _row(
    plan: Plan,
    step: Step,
    mix: Mix | None,
    counts: TurnCounts | None,
    worker: int,
    missing: tuple[int, int],
    facts: StepFacts,
) -> tuple[Any, ...]:
    n, scheduled_ns = missing
    s, k = divmod(n, step.turns or 1)
    asked = step.alone()[mix.place(s)[0] if mix is not None else 0]
    target = plan.target_of(asked)
    row: dict[str, Any] = dict.fromkeys(REQUESTS.names)
    row.update(
        run_id=plan.run_id,
        request_id=step.step_id * REQUESTS_A_STEP + n,
        step_id=step.step_id,
        worker_id=worker,
        host_id=0,
        workload=asked.workload.name,
        tags=asked.workload.tags,
        target=target.name,
        api=target.api,
        model=target.model or None,
        streamed=target.stream,
        phase="warmup" if scheduled_ns < facts.start_ns + step.warmup_ns else "main",
        scheduled_ns=scheduled_ns,
        outcome="lost",
        error_type="worker_lost",
        error_message="its worker died before the end was recorded",
        resent=False,
    )
    if counts is not None and asked.workload.session is not None:
        row.update(session_id=step.step_id * REQUESTS_A_STEP + n - k, turn=k + 1, turns=counts.turns(s))
    return tuple(row[name] for name in REQUESTS.names)
