"""One run of a search: from the order to an ordinary run folder, and from there to what the search remembers of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from analysis import database
from analysis.searching.observe import observe
from analysis.searching.part import Done, Goal, Order
from console import drive, prepare
from console.drive import Finished
from console.searching import asked
from generator.progress import Progress
from generator.scenario.reading import Scenario

INTERRUPTED = "interrupted before its end"
MONEY = "the budget was spent before its end"

Watch = Callable[[Progress], None]


def step_of(base: Scenario, goal: Goal, order: Order) -> dict[str, Any]:
    """The scenario's step at the load that is ordered, as a person would write it."""
    if order.kind == "ladder":
        step = asked.template(base, "concurrency") | {"concurrency": int(order.load), "requests": order.requests}
        step.pop("think", None)
        return step | {"name": f"ladder {order.load:g}", "warmup": 0}
    assert order.window_s is not None
    load: dict[str, Any] = {"rate": f"{order.load:.10g}/s"} if goal.axis == "rate" else {"concurrency": int(order.load)}
    times = {
        "duration": f"{round((order.warmup_s + order.window_s) * 1e9)}ns",
        "warmup": f"{round(order.warmup_s * 1e9)}ns",
    }
    # A step's name has no slash; its load stands beside it.
    name = f"{order.kind} {order.trial + 1} part {order.part + 1}"
    return asked.template(base, goal.axis) | load | times | {"name": name}


def execute(
    base: Scenario, goal: Goal, order: Order, folder: Path, run_id: str, left_usd: float | None, watch: Watch | None
) -> Finished:
    """Raises what ``prepare.prepared`` and ``drive.run`` raise."""
    step = step_of(base, goal, order)
    scenario = asked.scenario_of(base, run_id, order.seed, step, left_usd)
    return drive.run(prepare.planned(scenario), folder, run_id, watch)


def done(order: Order, finished: Finished, elapsed_s: float) -> Done:
    """What the search remembers of a run that has ended."""
    with database.open_runs([finished.run]) as con:
        sample, flow, due = observe(con)
    totals = finished.report["totals"]
    manifest = finished.run.read_manifest()
    budget = manifest.get("budget") or {}
    reasons = tuple(finished.report["verdict"]["reasons"]) if finished.report["verdict"]["verdict"] != "VALID" else ()
    if finished.end.interrupted:
        reasons = (INTERRUPTED,)
    elif budget.get("stopped"):
        reasons = (MONEY,)
    spent = totals["cost"]["usd"]
    if budget:
        spent = (budget["spent_usd"] or 0.0) + (budget["guessed_usd"] or 0.0)
    probes = sum(found["requests"] for found in (manifest.get("probe") or {}).values())
    return Done(
        run_id=finished.run.run_id,
        kind=order.kind,
        load=order.load,
        trial=order.trial,
        part=order.part,
        sample=sample,
        sent=due + probes,
        elapsed_s=elapsed_s,
        usd=spent,
        x_rps=flow.x_rps,
        ok_rps=flow.ok_rps,
        latency_s=flow.latency_s,
        in_flight=flow.in_flight,
        reasons=reasons,
        planned_s=0.0 if order.window_s is None else order.warmup_s + order.window_s,
        cut=reasons in ((INTERRUPTED,), (MONEY,)),
    )
