"""Queues in virtual time, as run folders: each step of a run is one repetition, so that the report's own SQL judges hundreds at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from generator.run_dir import RunDir
from generator.schema import REQUESTS_A_STEP, TABLES
from tests import fabricate

Floats = npt.NDArray[np.float64]
Law = Callable[[int, np.random.Generator], tuple[Floats, Floats]]
"""n and a generator → when each request was due and how long it took, seconds, shape [n] each."""

SERVICE_S = 0.05
A_FOLDER = 50
"""Repetitions to a run folder: what a query then holds in memory is that of a real run."""


def independent(n: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Exponential latencies that know nothing of one another, ten requests a second."""
    return np.cumsum(rng.exponential(0.1, n)), rng.exponential(SERVICE_S, n)


def mm1(rho: float) -> Law:
    """Poisson arrivals, one server, exponential service, first come first served; it begins in its stationary state, so that every
    sojourn time is exponential with mean SERVICE_S / (1 − ρ).
    """

    def draw(n: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        work = rng.exponential(SERVICE_S / (1 - rho)) if rng.random() < rho else 0.0
        due = np.cumsum(rng.exponential(SERVICE_S / rho, n))
        return due, sojourns(due, rng.exponential(SERVICE_S, n), work)

    return draw


def from_empty(rho: float, slower_by_end: float = 0.0) -> Law:
    """The same with nothing there at first, at any ρ; the service of the last request takes 1 + ``slower_by_end`` times as long."""

    def draw(n: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        due = np.cumsum(rng.exponential(SERVICE_S / rho, n))
        return due, sojourns(due, rng.exponential(SERVICE_S, n) * np.linspace(1, 1 + slower_by_end, n), 0.0)

    return draw


def side_by_side(slower_by_end: float) -> Law:
    """Answers that do not touch each other, with 10 % jitter, ten a second: a target far from its limit."""

    def draw(n: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        return np.cumsum(rng.exponential(0.1, n)), 0.2 * rng.gamma(100, 0.01, n) * np.linspace(1, 1 + slower_by_end, n)

    return draw


def sojourns(due_s: Floats, service_s: Floats, work_s: float) -> Floats:
    """Waiting (Lindley's recursion, solved by running minima) and service; ``work_s`` waits there when the first request comes."""
    walk = np.concatenate([[0.0], np.cumsum(service_s[:-1] - np.diff(due_s))])
    waits = np.maximum(work_s + walk, walk - np.minimum.accumulate(walk))
    found: Floats = waits + service_s
    return found


def folder(path: Path, drawn: Sequence[tuple[Floats, Floats]]) -> RunDir:
    """A sealed run: one step a repetition, answers of one chunk, TTFT as drawn, sent on time."""
    run = RunDir(path)
    path.mkdir(parents=True)
    run.write_manifest(fabricate.manifest(run_id=path.name, steps=len(drawn)))
    steps, requests, tokens, start_ns = [], [], [], fabricate.START_NS
    for step_id, (due_s, took_s) in enumerate(drawn):
        n = len(due_s)
        due_ns = start_ns + np.round(due_s * 1e9).astype(np.int64)
        first_ns = due_ns + np.round(took_s * 1e9).astype(np.int64)
        ids = step_id * REQUESTS_A_STEP + np.arange(n)
        same = {
            "run_id": path.name,
            "step_id": step_id,
            "worker_id": 0,
            "phase": "main",
            "outcome": "ok",
            "streamed": True,
        }
        times = dict.fromkeys(("scheduled_ns", "issued_ns", "sent_ns"), due_ns)
        requests.append(
            _table(
                "requests",
                n,
                same,
                times | {"request_id": ids, "done_ns": first_ns, "output_tokens": np.ones(n, np.int64)},
            )
        )
        chunk = {
            "run_id": path.name,
            "chunk_index": 0,
            "read_index": 1,
            "exact": True,
            "kind": "content",
            "n_tokens": 1,
            "n_chars": 4,
        }
        tokens.append(_table("tokens", n, chunk, {"request_id": ids, "t_ns": first_ns}))
        end_ns = int(due_ns[-1]) + 1
        steps.append(
            fabricate.step(
                step_id, run_id=path.name, start_ns=start_ns, end_ns=end_ns, drained_ns=int(first_ns.max()), offered=n
            )
        )
        start_ns = int(first_ns.max()) + 1_000_000_000
    pq.write_table(pa.concat_tables(requests), run.table_path("requests"))
    pq.write_table(pa.concat_tables(tokens), run.table_path("tokens"))
    pq.write_table(pa.Table.from_pylist(steps, TABLES["steps"]), run.table_path("steps"))
    pq.write_table(TABLES["health"].empty_table(), run.table_path("health"))
    return run


def _table(name: str, n: int, same: dict[str, object], arrays: dict[str, npt.NDArray[np.int64]]) -> pa.Table:
    """Columns that are the same in every row, columns that are not, and NULL for the rest."""
    schema = TABLES[name]
    columns = [
        pa.array(arrays[f.name]).cast(f.type)
        if f.name in arrays
        else (pa.repeat(pa.scalar(same[f.name], f.type), n) if f.name in same else pa.nulls(n, f.type))
        for f in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)
