"""Run folders that nobody ran: drawn requests, and who of them a reference limiter let through, as openloop would have recorded it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.onset.draw import Floats, Traffic
from generator.run_dir import RunDir
from generator.schema import REQUESTS_A_STEP, TABLES
from tests import fabricate

_START_NS = 1_000_000_000_000


def write(path: Path, traffic: Traffic, admitted: npt.NDArray[np.bool_], done_s: Floats) -> RunDir:
    """A sealed run of one target. Of refused requests nothing but the wanted lengths is known, as it is with real ones."""
    n = len(admitted)
    first = np.searchsorted(traffic.step, traffic.step)
    sent_ns = _ns(traffic.sent_s)
    known: dict[str, object] = {
        "run_id": [path.name] * n,
        "request_id": traffic.step * REQUESTS_A_STEP + np.arange(n) - first,
        "step_id": traffic.step,
        "target": ["target"] * n,
        "phase": ["main"] * n,
        "scheduled_ns": sent_ns,
        "issued_ns": sent_ns,
        "sent_ns": sent_ns,
        "done_ns": _ns(done_s),
        "outcome": np.where(admitted, "ok", "rate_limited"),
        "http_status": np.where(admitted, 200, 429),
        "input_tokens_wanted": traffic.input_tokens,
        "output_tokens_wanted": traffic.max_tokens,
        "input_tokens": pa.array(traffic.input_tokens, mask=~admitted),
        "output_tokens": pa.array(traffic.output_tokens, mask=~admitted),
    }
    steps = [
        fabricate.step(
            number,
            run_id=path.name,
            rate_rps=rate,
            start_ns=int(_ns(np.array(start_s))),
            end_ns=int(_ns(np.array(end_s))),
        )
        for number, (rate, start_s, end_s) in enumerate(traffic.steps)
    ]
    run = fabricate.write(path, steps=steps, run_id=path.name)
    columns = [
        pa.array(known[f.name]).cast(f.type) if f.name in known else pa.nulls(n, f.type) for f in TABLES["requests"]
    ]
    pq.write_table(pa.Table.from_arrays(columns, schema=TABLES["requests"]), run.table_path("requests"))
    return run


def _ns(t_s: Floats) -> npt.NDArray[np.int64]:
    return _START_NS + np.round(t_s * 1e9).astype(np.int64)
