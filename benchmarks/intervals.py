"""How often do the report's percentile intervals hold the truth, under load and without, beside the plain binomial ones?

Requests to a queue whose law of latency is known are drawn in virtual time and written as run folders; the intervals are those of the
relation `percentile_intervals`, which every report prints. An interval without an upper end holds all that lies above its lower one, and
is counted apart.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from analysis import catalog, database
from benchmarks import harness, queues

LAWS = {
    "independent": (queues.independent, 0.0),
    "M/M/1, ρ 0.5": (queues.mm1(0.5), 0.5),
    "M/M/1, ρ 0.8": (queues.mm1(0.8), 0.8),
}
QUANTILES = (0.5, 0.95, 0.99)
WANTED = 0.90


def truth_ms(rho: float, q: float) -> float:
    """All three laws of latency are exponential."""
    return -math.log(1 - q) * queues.SERVICE_S / (1 - rho) * 1000


def naive_ms(took_s: queues.Floats, q: float) -> tuple[float, float]:
    """Order statistics at q ± 1.96 standard deviations of the binomial law of n, as for independent values."""
    n, ordered = len(took_s), np.sort(took_s) * 1000
    reach = 1.96 * math.sqrt(q * (1 - q) / n)
    low, high = math.floor(n * (q - reach)), math.ceil(n * (q + reach)) + 1
    return float(ordered[max(low, 1) - 1]), float(ordered[high - 1]) if high <= n else math.inf


def repeated(law: queues.Law, rho: float, n: int, runs: int, seed: int, into: Path) -> list[harness.Row]:
    """A row a percentile."""
    rng = np.random.default_rng(seed)
    held: dict[float, list[tuple[bool, bool, bool, float]]] = {q: [] for q in QUANTILES}
    for part in range(0, runs, queues.A_FOLDER):
        drawn = [law(n, rng) for _ in range(min(queues.A_FOLDER, runs - part))]
        run = queues.folder(into / f"{seed}-{n}-{rho}-{part}", drawn)
        with database.open_runs([run]) as con:
            rows = catalog.query(con, "SELECT * FROM percentile_intervals WHERE metric = 'ttft'").dicts()
        for row in rows:
            if row["q"] not in held:
                continue
            true, (low, high) = truth_ms(rho, row["q"]), naive_ms(drawn[row["step_id"]][1], row["q"])
            above = row["high_ms"] is None or true <= row["high_ms"]
            within = (row["low_ms"] is None or row["low_ms"] <= true) and above
            held[row["q"]].append((low <= true <= high, within, row["high_ms"] is None, row["n_effective"]))
    return [
        {
            "percentile": f"p{q * 100:g}",
            "naive_share": float(np.mean([f[0] for f in found])),
            "held_share": float(np.mean([f[1] for f in found])),
            "no_upper_end_share": float(np.mean([f[2] for f in found])),
            "worth": float(np.median([f[3] for f in found])),
        }
        for q, found in held.items()
    ]


def measure() -> None:
    parser = harness.arguments(__doc__)
    parser.add_argument("--runs", type=int, default=400, help="repetitions of each line")
    parser.add_argument("--requests", type=int, nargs="+", default=[1_000, 3_000, 10_000])
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    made = harness.machine()
    rows: list[harness.Row] = []
    with harness.folder(options) as folder:
        for name, (law, rho) in LAWS.items():
            for n in options.requests:
                found = repeated(law, rho, n, options.runs, options.seed, folder)
                rows += [{"latencies": name, "requests": n} | row for row in found]
    least = {
        q: min(r["held_share"] for r in rows if r["percentile"] == q and r["requests"] >= 3_000)
        for q in ("p50", "p95")
        if max(options.requests) >= 3_000
    }
    note = (
        f"{options.runs} repetitions a line, so a share is known to ±{1.96 * math.sqrt(0.9 * 0.1 / options.runs):.1%}. Wanted: {WANTED:.0%} for p50 and "
        f"p95 under load. Of 3,000 requests or more the least is "
        + ", ".join(f"{share:.1%} for {q}" for q, share in least.items())
        + "."
    )
    harness.finish(options, "How often percentile intervals hold the truth", made, rows, *([note] if least else []))


if __name__ == "__main__":
    harness.main(measure)
