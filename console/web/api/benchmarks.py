"""Benchmarks: submitted, listed, looked at, stopped, deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Response

from console.web.api.answers import ALWAYS, BUSY, CONFLICT, FULL, MISSING
from console.web.api.asked import Asked, Id, PageNumber
from console.web.catalogue.store import SORTS, Filter
from console.web.shapes import Benchmark, Delivery, Detail, Page, Plan, Results, Submission, Tag
from console.web.states import State

router = APIRouter(prefix="/benchmarks", tags=["benchmarks"], responses=ALWAYS)

_SORT = rf"^-?({'|'.join(SORTS)})$"
Text = Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")]


@router.post("", status_code=201, responses=FULL | BUSY)
def submit(form: Submission, asked: Asked, response: Response) -> Benchmark:
    """Queue a benchmark: a whole scenario, or as little as name, model and prompts. Nothing is sent before its turn comes."""
    made = asked.submit(form)
    response.headers["Location"] = f"/benchmarks/{made.id}"
    return made


@router.get("")
def listed(
    asked: Asked,
    state: Annotated[list[State] | None, Query(description="Any of these.")] = None,
    name: Annotated[Text, Query(description="Names that contain this.")] = None,
    model: Annotated[Text, Query(description="Models that contain this.")] = None,
    tag: Annotated[list[Tag] | None, Query(description="All of these.", max_length=20)] = None,
    sort: Annotated[str, Query(pattern=_SORT, description="A minus before it: falling.")] = "-created",
    page: PageNumber = 1,
    size: Annotated[int, Query(ge=1, le=500)] = 50,
) -> Page:
    """A page of all benchmarks, runs of the command line among them."""
    return asked.list(Filter(tuple(state or ()), name, model, tuple(tag or ()), sort, page, size))


@router.get("/{benchmark_id}", responses=MISSING | BUSY | CONFLICT)
def one(
    benchmark_id: Id,
    asked: Asked,
    page: PageNumber = 1,
    size: Annotated[int, Query(ge=0, le=500, description="Of the results; 0 leaves them out, which is quick.")] = 50,
) -> Detail:
    """State, summary, and a page of its single requests; prompts and answers only where the run kept them."""
    found = asked.get(benchmark_id)
    if size:
        found.results = asked.measured.results(benchmark_id, page, size)
    return found


@router.get("/{benchmark_id}/results", responses=MISSING | BUSY | CONFLICT)
def results(
    benchmark_id: Id, asked: Asked, page: PageNumber = 1, size: Annotated[int, Query(ge=1, le=500)] = 50
) -> Results:
    """A page of its single requests alone."""
    found = asked.measured.results(benchmark_id, page, size)
    return found or Results(total=0, page=page, size=size, items=[])


@router.post("/{benchmark_id}/stop", status_code=202, responses=MISSING | CONFLICT)
def stop(benchmark_id: Id, asked: Asked) -> Benchmark:
    """Take it out of the queue, or stop issuing, drain and seal: what was measured by then is kept. Asked twice, what is in flight is cut."""
    return asked.stop(benchmark_id)


@router.delete("/{benchmark_id}", status_code=204, responses=MISSING | CONFLICT)
def delete(benchmark_id: Id, asked: Asked) -> None:
    """Remove it and its run folder for good. What runs has to be stopped first."""
    asked.delete(benchmark_id)


@router.get("/{benchmark_id}/deliveries", responses=MISSING)
def deliveries(benchmark_id: Id, asked: Asked) -> Sequence[Delivery]:
    """What became of its webhook: each attempt, the first one first."""
    return asked.delivered(benchmark_id)


plans = APIRouter(tags=["scenarios"], responses=ALWAYS)


@plans.post("/plan", responses=BUSY)
def plan(form: Submission, asked: Asked) -> Plan:
    """Check a scenario and say what it would do, without doing it: the resolved scenario, steps, needs, cost, warnings."""
    return asked.planned(form)
