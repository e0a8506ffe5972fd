"""Are arrivals sent when they are due? Poisson at several rates against the most trivial endpoint (``native/responder.c``).

Lateness is issued − scheduled, and sent − issued on reused connections: the client's own account, from ``requests.parquet``. Beside
it stands the endpoint's: the kernel's arrival time of every request. Its gaps must be the schedule's, so they are held
against the Poisson law by Kolmogorov–Smirnov, by the index of dispersion in bins of 20 mean gaps, and by their lag-1 autocorrelation.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import harness
from benchmarks.processes import native, openloop, started, verdict_of

ALPHA = 0.001
BIN_GAPS = 20


def process_of(arrivals_ns: np.ndarray[Any, np.dtype[np.int64]]) -> harness.Row:
    """What a Poisson process must look like, with the p-value (two-sided) of each test.

    The gaps' mean is estimated from the same data, which makes Kolmogorov–Smirnov lenient: Stephens' correction for an exponential
    law of unknown scale is applied (D* = (D − 0.2/n)(√n + 0.26 + 0.5/√n), critical value 1.308 at 1 %, D'Agostino and
    Stephens 1986, table 4.14); it has no closed p-value, so D* itself is given.
    """
    gaps = np.diff(np.sort(arrivals_ns)).astype(np.float64)
    n, mean = len(gaps), float(gaps.mean())
    ordered = np.sort(gaps)
    law = 1 - np.exp(-ordered / mean)
    steps = np.arange(1, n + 1) / n
    d = float(np.max(np.maximum(steps - law, law - (steps - 1 / n))))
    elapsed = np.cumsum(gaps)
    bins = int(elapsed[-1] / (BIN_GAPS * mean))
    counts = np.bincount((elapsed / (BIN_GAPS * mean)).astype(np.int64), minlength=bins)[:bins]
    dispersion = float(counts.var(ddof=1) / counts.mean())
    # Index of dispersion: (bins − 1) · I is χ² with bins − 1 degrees, near normal with this many bins.
    dispersion_z = (dispersion - 1) / math.sqrt(2 / (bins - 1))
    lag1 = float(np.corrcoef(gaps[:-1], gaps[1:])[0, 1])
    return {
        "seen_rps": 1e9 / mean,
        "gap_cv": float(gaps.std() / mean),
        "ks_d_star": (d - 0.2 / n) * (math.sqrt(n) + 0.26 + 0.5 / math.sqrt(n)),
        "dispersion": dispersion,
        "dispersion_p": _two_sided(dispersion_z),
        "lag1": lag1,
        "lag1_p": _two_sided(lag1 * math.sqrt(n)),
    }


def _two_sided(z: float) -> float:
    return math.erfc(abs(z) / math.sqrt(2))


def lateness(run: Path) -> harness.Row:
    """The client's own account, all in µs."""
    query = f"""
        SELECT count(*) AS requests,
            count(*) FILTER (WHERE outcome <> 'ok') AS failed,
            quantile_cont((issued_ns - scheduled_ns) / 1e3, 0.5) AS late_p50_us,
            quantile_cont((issued_ns - scheduled_ns) / 1e3, 0.99) AS late_p99_us,
            max((issued_ns - scheduled_ns) / 1e3) AS late_max_us,
            quantile_cont((sent_ns - issued_ns) / 1e3, 0.5) FILTER (WHERE connected_ns IS NULL) AS send_p50_us,
            quantile_cont((sent_ns - issued_ns) / 1e3, 0.99) FILTER (WHERE connected_ns IS NULL) AS send_p99_us,
            count(*) FILTER (WHERE connected_ns IS NOT NULL) AS new_connections
        FROM '{run}/requests.parquet' WHERE phase = 'main'
    """
    return harness.query(query)[0]


def seen_late(run: Path, seen_utc_ns: np.ndarray[Any, np.dtype[np.int64]], clock: Mapping[str, int]) -> harness.Row:
    """Arrival at the endpoint's kernel − scheduled, in µs: pacing as somebody else saw it, the way there included.

    Both sides are sorted and paired by rank. The manifest's clock anchor maps the kernel's real time to the monotonic clock.
    """
    scheduled = harness.query(f"SELECT scheduled_ns FROM '{run}/requests.parquet' ORDER BY scheduled_ns")
    if len(scheduled) != len(seen_utc_ns):
        return {"seen_late_p50_us": None, "seen_late_p99_us": None}
    due_ns = np.array([row["scheduled_ns"] for row in scheduled], dtype=np.int64)
    late = (np.sort(seen_utc_ns) - (clock["utc_ns"] - clock["monotonic_ns"]) - due_ns) / 1e3
    return {"seen_late_p50_us": harness.quantile(late, 0.5), "seen_late_p99_us": harness.quantile(late, 0.99)}


def measure() -> None:
    parser = harness.arguments(__doc__)
    parser.add_argument("--rates", type=float, nargs="+", default=[100, 1000, 3000], metavar="RPS")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--cpu", type=int, help="keep openloop on this CPU and the endpoint on CPU 0")
    options = parser.parse_args()
    made = harness.machine()
    program = native("responder")
    rows = []
    with harness.folder(options) as folder:
        for rate, workers in itertools.product(options.rates, options.workers):
            arrivals = folder / f"arrivals-{rate:g}-{workers}.bin"
            with started([str(program), str(arrivals)], cpu=None if options.cpu is None else 0) as server:
                scenario = {
                    "name": f"pacing-{rate:g}",
                    "seed": 42,
                    "target": {"url": server["url"], "api": "openai-chat", "model": "trivial"},
                    "probe": 0,
                    "workload": {"input_tokens": 16, "output_tokens": 1},
                    "steps": [{"arrivals": "poisson", "rate": f"{rate:g}/s", "duration": f"{options.seconds:g}s"}],
                }
                run_id = f"pacing-{rate:g}-{workers}"
                client = openloop(scenario, run_id, folder, "--workers", str(workers), cpu=options.cpu)
            seen = np.fromfile(arrivals, dtype=np.int64)
            own = lateness(client.run)
            rows.append(
                {
                    "offered_rps": rate,
                    "workers": workers,
                    **own,
                    **seen_late(client.run, seen, client.manifest()["clock"]),
                    **process_of(seen),
                    "verdict": verdict_of(client.run),
                }
            )
    note = (
        "late: issued − scheduled. send: sent − issued on reused connections. seen: by the endpoint, the kernel's stamps of each request. "
        f"A Poisson process has gap CV 1, D* below 1.308 (99 %), dispersion 1, lag-1 autocorrelation 0; p-values are to be held against "
        f"{ALPHA} over all tests together."
    )
    harness.finish(options, "Pacing: Poisson arrivals against a trivial endpoint", made, rows, note)


if __name__ == "__main__":
    harness.main(measure)
