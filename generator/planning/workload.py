"""What a scenario says of prompts and lengths → what a worker is handed: files are read, once each, and become arrays of the plan."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from generator import job
from generator.errors import ScenarioError
from generator.scenario.fields import Empirical, LengthForm, RateRamp, SlotRamp
from generator.scenario.models import Form, StepForm
from generator.scenario.workload import LengthsForm, WorkloadForm
from generator.workload import dataset, tables, tokenizer, trace
from generator.workload.make import BLOCK_TABLES

DEFAULT_INPUT = job.Length("fixed", value=512)
DEFAULT_OUTPUT = job.Length("fixed", value=128)
FROM_TRACE = job.Length("trace")

Cell = dict[str, RateRamp | SlotRamp | LengthForm]


class Arrays:
    """What has been read so far: ``arrays`` by the name that ``RunDir.plan_array_path`` takes."""

    def __init__(self) -> None:
        self.arrays: dict[str, NDArray[np.int64] | NDArray[np.int32]] = {}

    def length(self, form: LengthForm) -> job.Length:
        return self.empirical(form.empirical) if form.empirical is not None else form.length()

    def empirical(self, form: Empirical) -> job.Length:
        """Raises ScenarioError with file and line."""
        name = self._read(form.file, form.format, {"empirical": form.column}, {}, "empirical")
        return self._column(name, 0, paired=False, in_order=False)

    def pair(self, form: LengthsForm) -> tuple[job.Length, job.Length]:
        """Input and output lengths, from the same row each time. Raises ScenarioError with file and line."""
        said = {key: value for key in ("input", "output") if (value := getattr(form, key)) is not None}
        known = {"input": trace.INPUT, "output": trace.OUTPUT}
        name = self._read(form.file, form.format, said, known, "lengths")
        in_order = form.order == "in-order"
        return (
            self._column(name, 0, paired=True, in_order=in_order),
            self._column(name, 1, paired=True, in_order=in_order),
        )

    def index(self, spec: job.WorkloadSpec, count: Callable[[str], int] | None) -> None:
        """Read and check a workload's dataset. Raises ScenarioError with file and line."""
        assert spec.dataset is not None
        name = dataset.table_of(spec)
        if name not in self.arrays:
            self.arrays[name] = dataset.Dataset(Path(spec.dataset), spec.dataset_options, count=count).index

    def blocks(self, step_id: int, replayed: trace.Trace, arrivals: int) -> None:
        """The hash ids of a step's arrivals."""
        assert replayed.ids is not None
        assert replayed.ends is not None
        ends = replayed.ends[:arrivals]
        ids = replayed.ids[: ends[-1] if len(ends) else 0]
        for name, array in zip(BLOCK_TABLES, (ids, ends), strict=True):
            self.arrays[f"{name}-{step_id}"] = array

    def _read(
        self, file: str, kind: str | None, said: dict[str, str], known: Mapping[str, tuple[str, ...]], named_by: str
    ) -> str:
        """Name of the array [n, columns] of int32 that holds these columns of a file."""
        name = f"table-{hashlib.sha256(repr((file, kind, said)).encode()).hexdigest()[:12]}"
        if name in self.arrays:
            return name
        path = Path(file)
        columns: list[str] = []
        read: list[list[int]] = []
        for place, row in tables.rows(path, tables.format_of(path, kind), "table of lengths"):
            if not columns:
                columns = [trace.column(row, path, said, key, known.get(key, ()), named_by) for key in known or said]
            try:
                # An answer of no tokens is no request: as in a trace.
                read.append([max(1, trace.count(row[column])) for column in columns])
            except (KeyError, TypeError, ValueError) as e:
                raise ScenarioError(f"{place}: a number of tokens is wanted in {', '.join(columns)}: {e}") from None
        if not read:
            raise ScenarioError(f"{path}: the table of lengths has no rows")
        self.arrays[name] = np.array(read, dtype=np.int32)
        return name

    def _column(self, name: str, column: int, *, paired: bool, in_order: bool) -> job.Length:
        values = self.arrays[name][:, column]
        return job.Length(
            "empirical",
            mean=float(values.mean()),
            low=int(values.min()),
            high=int(values.max()),
            table=name,
            column=column,
            paired=paired,
            in_order=in_order,
        )


def spec(form: Form, workload: WorkloadForm, step: StepForm, cell: Cell, arrays: Arrays) -> job.WorkloadSpec:
    """One workload in one step: what the step says of lengths comes first, then the matrix, then the workload. Raises ScenarioError."""
    pair = arrays.pair(workload.lengths) if workload.lengths is not None else None

    def length(key: str, default: job.Length | None) -> job.Length | None:
        said = getattr(step, key) or cell.get(key) or getattr(workload, key)
        if isinstance(said, LengthForm):
            return arrays.length(said)
        if pair is not None:
            return pair[key == "output_tokens"]
        return FROM_TRACE if step.trace is not None else default

    asks = any(t.asks_for_length(from_file=workload.prompts is not None) for t in form.target_forms().values())
    prefix = workload.shared_prefix
    made = job.WorkloadSpec(
        name=workload.name or ("dataset" if workload.prompts else "synthetic"),
        input_tokens=None if workload.prompts else length("input_tokens", DEFAULT_INPUT),
        output_tokens=length("output_tokens", DEFAULT_OUTPUT if asks else None),
        dataset=None if workload.prompts is None else workload.prompts.file,
        shared_prefix_tokens=workload.shared_prefix_tokens if prefix is None else prefix.tokens,
        prefix_groups=0 if prefix is None else prefix.groups,
        prefix_prompts=None if prefix is None else prefix.prompts,
        exact_output=workload.exact_output,
        cancel=workload.cancel.plan() if workload.cancel else None,
    )
    if workload.prompts is None:
        return made
    # A plain HTTP API makes its own body out of a record; all others need to know which part of it is the prompt.
    whole = any(target.api == "http-json" for target in form.target_forms().values())
    made = replace(made, dataset_options=workload.prompts.options(whole=whole))
    arrays.index(made, _count(form) if workload.prompts.counts_tokens else None)
    return made


def _count(form: Form) -> Callable[[str], int]:
    """The first target's tokenizer that is a file; targets that are compared get the same prompts."""
    for target in form.target_forms().values():
        if target.tokenizer not in (None, job.TOKENIZER_ENDPOINT):
            ids = tokenizer.local(Path(str(target.tokenizer)))
            return lambda text: len(ids(text))
    raise ScenarioError(
        "workload.prompts: min_tokens and max_tokens need to count; give target.tokenizer a tokenizer.json, or use min_chars and "
        "max_chars"
    )
