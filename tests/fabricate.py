"""Run folders without a run: rows written by hand for tests, or a plausible run of any size drawn with numpy.

``step``, ``request``, ``token``, ``beat`` make one row as a dict, every column of the contract present and the usual ones filled in;
``answer`` makes a request together with its token rows from a few durations; ``write`` puts rows into a folder, sealed or as segments.
``realistic`` draws whole steps: Poisson or closed arrivals, exponential waits, failures of every kind, inexact chunks, reasoning.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from generator.run_dir import RunDir
from generator.schema import KINDS, OPTIONAL_TABLES, REQUESTS_A_STEP, TABLES

Row = dict[str, Any]
RUN = "run-1"
US, MS, S = 1_000, 1_000_000, 1_000_000_000
START_NS = 1_000 * S
"""Where the first step starts unless told otherwise: far from 0, so that a forgotten subtraction shows."""


def _row(table: str, given: Row) -> Row:
    schema = (TABLES | OPTIONAL_TABLES)[table]
    unknown = set(given) - set(schema.names)
    assert not unknown, f"{table} has no columns {sorted(unknown)}"
    return dict.fromkeys(schema.names) | given


def step(step_id: int = 0, duration_s: float = 10.0, **columns: Any) -> Row:
    """A Poisson step of 10 requests/s that issues for ``duration_s``; ``concurrency=`` makes it a closed one."""
    closed = columns.get("concurrency") is not None
    start_ns = columns.get("start_ns", START_NS)
    usual: Row = {"run_id": RUN, "step_id": step_id, "name": f"step {step_id}", "start_ns": start_ns, "warmup_ns": 0}
    usual |= {"arrivals": "closed" if closed else "poisson", "rate_rps": None if closed else 10.0}
    usual |= {"end_ns": start_ns + int(duration_s * S), "drained_ns": start_ns + int((duration_s + 1) * S)}
    usual |= {"input_tokens": 512.0, "output_tokens": 128.0}
    return _row("steps", usual | columns)


def request(number: int = 0, step_id: int = 0, at_ms: float = 0.0, **columns: Any) -> Row:
    """Arrival ``number`` of a step, due ``at_ms`` after START_NS: issued 50 µs late, sent 30 µs after that, done 100 ms after."""
    scheduled_ns = columns.get("scheduled_ns", START_NS + round(at_ms * MS))
    usual: Row = {
        "run_id": RUN,
        "request_id": step_id * REQUESTS_A_STEP + number,
        "step_id": step_id,
        "worker_id": 0,
        "host_id": 0,
    }
    usual |= {"workload": "synthetic", "target": "target", "api": "openai-chat", "model": "m", "streamed": True}
    usual |= {"phase": "main", "scheduled_ns": scheduled_ns, "issued_ns": scheduled_ns + 50 * US}
    usual |= {
        "sent_ns": scheduled_ns + 80 * US,
        "first_byte_ns": scheduled_ns + 40 * MS,
        "headers_ns": scheduled_ns + 40 * MS,
    }
    usual |= {"done_ns": scheduled_ns + 100 * MS, "outcome": "ok", "http_status": 200, "finish_reason": "stop"}
    usual |= {
        "connection_id": 1,
        "remote_addr": "127.0.0.1:80",
        "resent": False,
        "stamp_source": "kernel",
        "in_flight": 1,
    }
    return _row("requests", usual | columns)


def token(of: Row, index: int, t_ns: int, **columns: Any) -> Row:
    """Chunk ``index`` of the request row ``of``, alone in its read, exact, one token of four characters."""
    usual: Row = {"run_id": of["run_id"], "request_id": of["request_id"], "chunk_index": index, "t_ns": t_ns}
    usual |= {"read_index": index + 1, "exact": True, "kind": "content", "n_tokens": 1, "n_chars": 4}
    return _row("tokens", usual | columns)


def answer(
    number: int = 0, at_ms: float = 0.0, ttft_ms: float = 50.0, gaps_ms: Iterable[float] = (10.0,) * 3, **columns: Any
) -> tuple[Row, list[Row]]:
    """A request and its token rows: the first ``ttft_ms`` after it was due, then the gaps; done 0.1 ms after the last."""
    row = request(number, at_ms=at_ms, **columns)
    times = row["scheduled_ns"] + np.round(np.cumsum([ttft_ms, *gaps_ms]) * MS).astype(np.int64)
    given = {"first_byte_ns": int(times[0]) - 1, "headers_ns": int(times[0]) - 1, "done_ns": int(times[-1]) + MS // 10}
    given |= {"output_tokens": len(times), "token_source": "usage", "input_tokens": 512, "input_tokens_wanted": 512}
    row |= {k: v for k, v in given.items() if k not in columns}
    return row, [token(row, i, int(t)) for i, t in enumerate(times)]


def beat(worker_id: int = 0, second: int = 0, **columns: Any) -> Row:
    """A health row of a healthy worker, ``second`` seconds after START_NS: a tenth of a CPU, clocks steady."""
    usual: Row = {"run_id": RUN, "worker_id": worker_id, "t_ns": START_NS + second * S, "cpu_s": 1.0 + second / 10}
    usual |= {
        "rss_bytes": 80 * 2**20,
        "in_flight": 1,
        "sent": 10 * second,
        "late_1ms": 0,
        "late_10ms": 0,
        "late_100ms": 0,
    }
    usual |= {"dropped": 0, "gc_ns": 0, "loop_lag_ns_p99": 200 * US, "clock_offset_ns": 1_700_000_000 * S}
    usual |= {"process_stamps": 0, "reads": 100 * second, "tokens": 100 * second, "undecoded_bytes": 0}
    return _row("health", usual | columns)


def text(of: Row, **columns: Any) -> Row:
    """What the request row ``of`` asked and was told."""
    usual: Row = {"run_id": of["run_id"], "request_id": of["request_id"], "prompt": "Why?", "response": "Because."}
    return _row("texts", usual | {"truncated": False} | columns)


def figure(name: str, value: float | None, second: float = 0.0, **columns: Any) -> Row:
    """A target's own figure, ``second`` seconds after START_NS: a gauge unless told otherwise."""
    usual: Row = {"run_id": RUN, "target": "target", "t_ns": START_NS + round(second * S), "name": name}
    return _row("server_metrics", usual | {"labels": "{}", "kind": "gauge", "value": value} | columns)


def manifest(**keys: Any) -> Row:
    """What the coordinator writes of a good run on one worker, before a verdict."""
    usual: Row = {
        "run_id": RUN,
        "name": "fabricated",
        "created": "2026-01-02T03:04:05Z",
        "openloop_version": "0.1.0",
        "versions": {},
    }
    usual |= {
        "host": {"hostname": "h", "cpus": 2, "model": "cpu", "memory_bytes": 8 * 2**30, "kernel": "6", "python": "3.11"}
    }
    usual |= {
        "seed": 42,
        "scenario_digest": "0",
        "plan": {"workers": 1, "transport": "socket"},
        "stamp_source": "kernel",
    }
    usual |= {"clock": {"monotonic_ns": START_NS, "utc_ns": 1_700_001_000 * S}, "steps": 1, "warnings": [], "probe": {}}
    usual |= {"targets": {"target": {"url": "http://127.0.0.1:80/v1", "api": "openai-chat", "model": "m"}}}
    usual |= {"interrupted": False, "lost_workers": [], "slo": None, "thresholds": [], "verdict": None, "reasons": []}
    return usual | keys


def write(
    path: Path,
    *,
    steps: Iterable[Row] = (),
    requests: Iterable[Row] = (),
    tokens: Iterable[Row] = (),
    health: Iterable[Row] = (),
    texts: Iterable[Row] = (),
    server_metrics: Iterable[Row] = (),
    sealed: bool = True,
    **keys: Any,
) -> RunDir:
    """A run folder of these rows. Sealed: one file a table, each sorted. Else a segment a worker (0 for tokens), no empty files."""
    run = RunDir(path)
    (path / "plan").mkdir(parents=True)
    run.segments.mkdir()
    run.write_manifest(manifest(**keys))
    for table, rows in {"texts": list(texts), "server_metrics": list(server_metrics)}.items():
        if rows:
            pq.write_table(pa.Table.from_pylist(rows, OPTIONAL_TABLES[table]), run.table_path(table))
    sort = {"requests": "request_id", "tokens": "request_id", "health": "t_ns", "steps": "step_id"}
    for table, rows in {"steps": steps, "requests": requests, "tokens": tokens, "health": health}.items():
        listed = sorted(rows, key=lambda r: r[sort[table]])
        if sealed:
            pq.write_table(pa.Table.from_pylist(listed, TABLES[table]), run.table_path(table))
            continue
        for worker in sorted({r.get("worker_id") or 0 for r in listed}):
            own = [r for r in listed if (r.get("worker_id") or 0) == worker]
            pq.write_table(pa.Table.from_pylist(own, TABLES[table]), run.segments / f"{table}-{worker}-0.parquet")
    return run


@dataclass(frozen=True)
class Load:
    """One drawn step: open at ``rate_rps`` or closed with ``concurrency`` slots, ``requests`` arrivals of about ``tokens`` chunks."""

    requests: int
    rate_rps: float | None = None
    concurrency: int | None = None
    tokens: int = 64
    ttft_ms: float = 40.0
    wait_ms: float = 20.0
    gap_ms: float = 10.0
    failures: dict[str, float] = field(default_factory=dict)


FAILURES = {"rate_limited": 0.02, "overloaded": 0.01, "server_error": 0.005, "client_error": 0.002, "timeout": 0.003}
FAILURES |= {
    "connect_error": 0.002,
    "truncated": 0.002,
    "stream_error": 0.002,
    "quota": 0.001,
    "dropped": 0.0,
    "cancelled": 0.002,
}
_STATUS = {"rate_limited": 429, "overloaded": 503, "server_error": 500, "client_error": 400, "quota": 429}
_NEVER_SENT = ("connect_error", "dropped", "lost")
_CUT_SHORT = ("timeout", "truncated", "stream_error", "cancelled")


def mixed(scale: int = 1) -> list[Load]:
    """A staircase of three open steps, one of them with failures of every kind, and two closed ones."""
    return [
        Load(200 * scale, rate_rps=20),
        Load(400 * scale, rate_rps=40, failures=FAILURES),
        Load(600 * scale, rate_rps=60, wait_ms=80),
        Load(100 * scale, concurrency=4),
        Load(300 * scale, concurrency=16, wait_ms=40),
    ]


def of_token_rows(rows: int, steps: int = 10, tokens: int = 200) -> list[Load]:
    """Open steps that come to about ``rows`` token rows together."""
    each = rows // steps // tokens
    return [Load(each, rate_rps=50.0 * (i + 1), tokens=tokens, wait_ms=10.0 * (i + 1)) for i in range(steps)]


def realistic(
    path: Path, loads: list[Load] | None = None, seed: int = 1, workers: int = 2, inexact: float = 0.003, **keys: Any
) -> RunDir:
    """Draw and seal a run; 10⁷ token rows take some seconds and 1 GiB at most. ``inexact``: the share of chunks that are not exact."""
    loads = mixed() if loads is None else loads
    rng = np.random.default_rng(seed)
    run = RunDir(path)
    path.mkdir(parents=True)
    run_id = keys.setdefault("run_id", path.name)
    run.write_manifest(manifest(**({"steps": len(loads), "plan": {"workers": workers, "transport": "socket"}} | keys)))
    start_ns, steps = START_NS, []
    with (
        pq.ParquetWriter(run.table_path("requests"), TABLES["requests"]) as requests,
        pq.ParquetWriter(
            run.table_path("tokens"),
            TABLES["tokens"],
            compression="zstd",
            use_dictionary=["run_id", "kind"],
            column_encoding=dict.fromkeys(
                ("request_id", "chunk_index", "t_ns", "read_index", "n_chars"), "DELTA_BINARY_PACKED"
            ),
        ) as tokens,
    ):
        for step_id, load in enumerate(loads):
            row, request_table, token_table = _draw(load, step_id, start_ns, run_id, workers, inexact, rng)
            requests.write_table(request_table)
            tokens.write_table(token_table)
            steps.append(row)
            start_ns = row["drained_ns"] + S
    beats = [beat(w, s, run_id=run_id) for s in range((start_ns - START_NS) // S) for w in range(workers)]
    pq.write_table(pa.Table.from_pylist(steps, TABLES["steps"]), run.table_path("steps"))
    pq.write_table(pa.Table.from_pylist(beats, TABLES["health"]), run.table_path("health"))
    return run


def _scheduled(load: Load, took_ns: np.ndarray, start_ns: int, rng: np.random.Generator) -> np.ndarray:
    """Arrival n's instant. Closed: slot n mod C is free again 0.1 ms after its previous request ended."""
    if load.rate_rps:
        return start_ns + np.cumsum(rng.exponential(S / load.rate_rps, load.requests)).astype(np.int64)
    slots = load.concurrency or 1
    rounds = -(-load.requests // slots)
    took = np.resize(took_ns, rounds * slots).reshape(rounds, slots)
    free = np.vstack(
        [
            np.linspace(0, S, slots, endpoint=False),
            np.cumsum(took + 100 * US, axis=0)[:-1] + np.linspace(0, S, slots, endpoint=False),
        ]
    )
    return start_ns + free.ravel()[: load.requests].astype(np.int64)


def _draw(
    load: Load, step_id: int, start_ns: int, run_id: str, workers: int, inexact: float, rng: np.random.Generator
) -> tuple[Row, pa.Table, pa.Table]:
    n = load.requests
    numbers = np.arange(n)
    kinds = ["ok", *load.failures]
    outcome = np.array(kinds)[rng.choice(len(kinds), n, p=[1 - sum(load.failures.values()), *load.failures.values()])]
    ok, sent = outcome == "ok", ~np.isin(outcome, _NEVER_SENT)
    chunks = np.maximum(1, rng.poisson(load.tokens, n))
    chunks[~ok] = np.where(np.isin(outcome[~ok], _CUT_SHORT), chunks[~ok] // 2, 0)
    owner = np.repeat(numbers, chunks)
    first = np.cumsum(chunks) - chunks
    index = np.arange(len(owner)) - np.repeat(first, chunks)
    gaps = rng.lognormal(np.log(load.gap_ms * MS), 0.15, len(owner)).astype(np.int64)
    ttft = (load.ttft_ms * MS + rng.exponential(load.wait_ms * MS, n)).astype(np.int64)
    gaps[index == 0] = ttft[owner[index == 0]]
    total = np.cumsum(gaps)
    since_sent = total - np.repeat(total[first[chunks > 0]] - gaps[first[chunks > 0]], chunks[chunks > 0])
    took = ttft.copy()
    np.maximum.at(took, owner, since_sent)
    scheduled = _scheduled(load, took, start_ns, rng)
    issued = scheduled + (20 * US + rng.exponential(40 * US, n)).astype(np.int64)
    fresh = numbers < min(n, 32)
    sent_ns = issued + (20 * US + rng.exponential(20 * US, n)).astype(np.int64) + fresh * 800 * US
    done = np.where(sent, sent_ns + took + 50 * US, issued)
    reasons = rng.random(n) < 0.1
    columns: dict[str, Any] = dict.fromkeys(TABLES["requests"].names)
    status = [200 if o == "ok" or o in _CUT_SHORT else _STATUS.get(o) for o in outcome]
    columns |= {
        "run_id": [run_id] * n,
        "request_id": step_id * REQUESTS_A_STEP + numbers,
        "step_id": np.full(n, step_id),
    }
    columns |= {
        "worker_id": numbers % workers,
        "host_id": np.zeros(n, int),
        "workload": ["synthetic"] * n,
        "target": ["target"] * n,
    }
    columns |= {"api": ["openai-chat"] * n, "model": ["m"] * n, "streamed": np.ones(n, bool), "phase": ["main"] * n}
    columns |= {
        "scheduled_ns": scheduled,
        "issued_ns": issued,
        "sent_ns": pa.array(sent_ns, mask=~sent),
        "done_ns": done,
    }
    columns |= {
        "connected_ns": pa.array(issued + 700 * US, mask=~(fresh & sent)),
        "outcome": outcome,
        "http_status": status,
    }
    columns |= {
        "first_byte_ns": pa.array(sent_ns + ttft - 5 * US, mask=~sent),
        "headers_ns": pa.array(sent_ns + ttft - 5 * US, mask=~sent),
    }
    columns |= {
        "error_type": [None if k else f"{o}_error" for k, o in zip(ok, outcome, strict=True)],
        "finish_reason": ["stop" if k else None for k in ok],
    }
    columns |= {
        "input_tokens_wanted": np.full(n, 512),
        "input_tokens": pa.array(512 + rng.integers(-2, 3, n), mask=~ok),
    }
    columns |= {
        "output_tokens_wanted": np.full(n, load.tokens),
        "output_tokens": pa.array(chunks, mask=~ok),
        "token_source": ["usage"] * n,
    }
    columns |= {
        "reasoning_tokens": pa.array(np.where(reasons, chunks // 4, 0), mask=~ok),
        "bytes_sent": np.full(n, 3000),
        "bytes_received": 300 + 200 * chunks,
    }
    columns |= {
        "connection_id": numbers % 32,
        "resent": np.zeros(n, bool),
        "reads": chunks + 1,
        "stamp_source": ["kernel"] * n,
    }
    schema = TABLES["requests"]
    arrays = [
        pa.nulls(n, f.type) if columns[f.name] is None else pa.array(columns[f.name], from_pandas=False).cast(f.type)
        for f in schema
    ]
    end_ns = int(scheduled[-1]) + 1 if n else start_ns
    row = step(step_id, run_id=run_id, start_ns=start_ns, end_ns=end_ns, rate_rps=load.rate_rps, concurrency=load.concurrency,
               drained_ns=int(done.max(initial=start_ns)) + MS, planned_arrivals=n, offered=n, output_tokens=float(load.tokens))  # fmt: skip
    m = len(owner)
    reasoning = reasons[owner] & (index < chunks[owner] // 4)
    kind = pa.DictionaryArray.from_arrays(pa.array(reasoning.astype(np.int8)), pa.array(KINDS[:2])).cast(pa.string())
    token_table = pa.Table.from_arrays(
        [pa.repeat(run_id, m), step_id * REQUESTS_A_STEP + owner, index.astype(np.int32), sent_ns[owner] + since_sent,
         (index + 1).astype(np.int32), rng.random(m) >= inexact, kind, np.ones(m, np.int16), np.full(m, 4, np.int32)],
        schema=TABLES["tokens"],
    )  # fmt: skip
    return row, pa.Table.from_arrays(arrays, schema=schema), token_table
