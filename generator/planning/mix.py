"""Weighted workloads and conversations of a scenario → what a worker is handed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from generator import job
from generator.errors import ScenarioError
from generator.names import REQUESTS_A_STEP
from generator.planning import workload as plan_workload
from generator.planning.workload import Arrays, Cell
from generator.scenario.models import Form, StepForm
from generator.scenario.session import MOST_TURNS, SessionForm, asked, tags_text
from generator.scenario.workload import MixedForm
from generator.workload import dataset, lengths


def specs(form: Form, step: StepForm, cell: Cell, arrays: Arrays) -> Iterator[job.WorkloadSpec]:
    """The workloads of one step, in the file's order. Raises ScenarioError where a file is not what it should be."""
    for _, workload in asked(form):
        # A trace's rows have one length each: they cannot be those of several workloads, nor of several turns.
        alone = form.workloads is None and workload.session is None
        told = step if alone else step.model_copy(update={"trace": None})
        made = plan_workload.spec(form, workload, told, cell, arrays)
        if isinstance(workload, MixedForm):
            made = replace(made, weight=workload.weight, target=workload.target)
        session = _session(workload.session, made, arrays) if workload.session is not None else None
        yield replace(made, tags=tags_text(workload.tags), session=session)


def _session(form: SessionForm, spec: job.WorkloadSpec, arrays: Arrays) -> job.SessionSpec:
    think, first = form.pause(), form.first_input_tokens
    opening = arrays.length(first) if first is not None else None
    if form.turns is None:
        said = _turns_said(spec, arrays)
        return job.SessionSpec(None, int(said.max()), think, opening, float(said.mean()))
    turns = form.turns.length()
    mean = None if spec.dataset is not None else max(1.0, lengths.mean(turns))
    return job.SessionSpec(turns, max(1, form.most), think, opening, mean)


def _turns_said(spec: job.WorkloadSpec, arrays: Arrays) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """How many turns each conversation of a dataset has, [records]."""
    assert spec.dataset is not None
    index = arrays.arrays[dataset.table_of(spec)].astype(np.int64, copy=False)
    records = dataset.Dataset(Path(spec.dataset), spec.dataset_options, index=index)
    said = np.array([len(records.turns(n)) for n in range(len(records))], dtype=np.int64)
    if said.max() > MOST_TURNS:
        raise ScenarioError(
            f"{spec.dataset}: a conversation of {said.max():,} turns; at most {MOST_TURNS:,} are kept apart; say how many (session.turns)"
        )
    return said


def refuse_too_many(steps: tuple[job.Step, ...]) -> None:
    """Raises ScenarioError where a step's requests would not fit between its number and the next one's."""
    for step in steps:
        most = (step.planned_arrivals or 0) * (step.turns or 1)
        if most > REQUESTS_A_STEP:
            raise ScenarioError(
                f"step {step.name!r}: {step.planned_arrivals:,} sessions of up to {step.turns} turns; {REQUESTS_A_STEP:,} requests fit "
                "into a step; start fewer, or give turns a lower max"
            )
