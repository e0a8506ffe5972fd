"""What a plain HTTP API's templates find in the records that they are for: a misspelt field is told before it is sent a thousand times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from generator import job
from generator.apis.api import Call
from generator.workload import dataset

LOOKED_AT = 100
"""Records of each dataset, from the first."""


def warnings(plan: job.Plan, arrays: Mapping[str, Any]) -> list[str]:
    """Of each target with this API and each workload that goes to it: placeholders without a value, payloads without a match.
    ``arrays``: the datasets' indices, by the name that ``dataset.table_of`` gives.
    """
    found: dict[str, None] = {}
    for step in plan.steps:
        for alone in step.alone():
            target = plan.targets[alone.target]
            if target.http is not None:
                found.update(dict.fromkeys(_of(target, target.http, alone.workload, arrays)))
    return list(found)


def _of(target: job.Target, http: job.Http, workload: job.WorkloadSpec, arrays: Mapping[str, Any]) -> Iterator[str]:
    from generator.apis.http_json import HttpJson  # late: only scenarios with this API pay for the JSONPath library
    from generator.apis.http_template import lacking

    api = HttpJson(http)
    empty: Counter[str] = Counter()
    calls = matched = 0
    for record, prompt in _records(workload, arrays):
        calls += 1
        wanted = None if workload.output_tokens is None else 1
        values, picked = api.values(Call(target.model, prompt, wanted, target.stream, record=record))
        empty.update(lacking([http.path, http.body], values))
        matched += picked
    if workload.dataset is None:
        where = "a synthetic prompt"
    else:
        where = f"the first {'record' if calls == 1 else f'{calls} records'} of {Path(workload.dataset).name}"
    for shown, times in empty.items():
        some = "no value" if times == calls else f"no value in {times} of them"
        yield f"target {target.name!r}: {shown} has {some}, for {where}; what it stands for is left out"
    if http.payload is not None and not matched:
        yield f"target {target.name!r}: payload {http.payload} matches nothing, for {where}; what is sent is the whole record"


def _records(workload: job.WorkloadSpec, arrays: Mapping[str, Any]) -> Iterator[tuple[Any, str]]:
    """(record, prompt); the record is None where prompts are synthetic."""
    if workload.dataset is None:
        yield None, "…"
        return
    data = dataset.Dataset(Path(workload.dataset), workload.dataset_options, index=arrays[dataset.table_of(workload)])
    for n in range(min(LOOKED_AT, len(data))):
        record = data.record(n)
        yield record, data.pick(record).text
