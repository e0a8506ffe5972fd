"""Plans and folders by hand, for tests of the generator's parts: short to write, nothing drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from generator import job, run_dir
from generator.counters import INDEX, Counters
from generator.rows import TOKEN, UNKNOWN
from generator.run_dir import RunDir
from generator.schema import REQUESTS

S = 1_000_000_000
MS = 1_000_000
START = 1_000 * S
OFFSETS = [n * 10 * MS for n in range(100)]
"""Arrivals at 100/s."""

WORDS = job.WorkloadSpec("words", job.Length("fixed", value=16), job.Length("fixed", value=4))


def step(step_id: int = 0, **fields: Any) -> job.Step:
    """A Poisson step of 10/s for 1 s; ``concurrency=`` makes it a closed one."""
    usual: dict[str, Any] = {"name": f"step {step_id}", "target": "t", "workload": WORDS, "seed": (7, step_id)}
    closed = "concurrency" in fields
    usual |= {"arrivals": "closed" if closed else "poisson"} | ({} if closed else {"rate_rps": 10.0})
    if not closed or "requests" not in fields:
        usual["duration_ns"] = S
    return job.Step(step_id=step_id, **(usual | fields))


def target(url: str = "http://127.0.0.1:9/v1", **fields: Any) -> job.Target:
    return job.Target(**({"name": "t", "url": url, "api": "openai-chat", "model": "m"} | fields))


def plan(*steps: job.Step, workers: int = 1, **fields: Any) -> job.Plan:
    usual: dict[str, Any] = {"name": "by hand", "run_id": "r", "seed": 7, "targets": {"t": target()}}
    return job.Plan(steps=steps, workers=workers, **(usual | fields))


def folder(parent: Path, made: job.Plan, arrivals: dict[int, list[int]] | None = None) -> RunDir:
    """The run folder of a plan; ``arrivals`` are the offsets in ns of its open steps."""
    run = run_dir.create(parent, made.run_id)
    run.plan_path.write_bytes(job.dump(made))
    for step_id, offsets in (arrivals or {}).items():
        np.save(run.arrivals_path(step_id), np.array(offsets, dtype=np.int64))
    return run


def counters(run: RunDir, made: job.Plan, **values: int) -> Counters:
    """The counters that a dead worker 0 left, ``heartbeat_ns`` and such by name."""
    found = Counters(run.counters_path, made.workers, create=True)
    for name, value in values.items():
        found.row(0)[INDEX[name]] = value
    return found


def request(number: int, **columns: Any) -> tuple[Any, ...]:
    """A row of ``requests`` that went well."""
    row: dict[str, Any] = dict.fromkeys(REQUESTS.names) | {"run_id": "r", "request_id": number, "outcome": "ok"}
    return tuple((row | columns)[name] for name in REQUESTS.names)


def token(request_id: int, index: int = 0) -> bytes:
    """A packed row of ``tokens``."""
    return TOKEN.pack(request_id, 10**9 + index, index, index, 4, UNKNOWN, 0, 1)
