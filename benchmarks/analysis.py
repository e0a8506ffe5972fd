"""Which part of a report takes how long over millions of token rows, with every section on, and what memory do they take together?

One process opens a drawn run, judges it and builds the whole report as a command does, then asks every other query of the catalog:
intervals, goodput, fluidity and causes, rate limits, the comparison, all tools' profiles. Each line is the time of one part with what
it was first to compute below it (`report_size` measures the command as a user meets it). The run has 429s that grow with the rate, an SLO,
prices, two workloads, tags, and the turns of two arms.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import harness
from benchmarks.processes import ROOT, environment
from tests import fabricate

T = TypeVar("T")

GOAL_S, GOAL_MIB = 30.0, 1536.0
TOLD = 25
"""Parts that have a line of their own: the slowest; the others share one."""

SLO = {"ttft_ms": 100.0, "tpot_ms": 12.0, "icl_ms": 30.0, "attainment": 0.95}
ARMS = ("direct", "gateway", "gateway", "direct")
PRICES = {"price_input": 0.5, "price_output": 1.5, "price_cached": 0.1}


def drawn(path: Path, rows: int) -> None:
    """A staircase of six steps that is refused more and more, then two blocks of a comparison."""
    tokens, steps = 200, 6 + len(ARMS)
    each = rows // steps // tokens
    refused = [0.0, 0.0, 0.0, 0.05, 0.2, 0.4]
    loads = [
        fabricate.Load(each, 50.0 * (i + 1), tokens=tokens, wait_ms=10.0 * (i + 1), failures={"rate_limited": share} if share else {})
        for i, share in enumerate(refused)
    ]  # fmt: skip
    loads += [fabricate.Load(each, 100.0, tokens=tokens, wait_ms=15.0) for _ in ARMS]
    run = fabricate.realistic(path, loads, slo=SLO, thresholds=["p99(ttft) < 800ms", "goodput > 18/s"])
    _changed(run.table_path("steps"), _in_turns)
    _changed(run.table_path("requests"), _of_kinds)


def _changed(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(path)), path)


def _in_turns(steps: pa.Table) -> pa.Table:
    rows = steps.to_pylist()
    for i, arm in enumerate(ARMS):
        rows[i - len(ARMS)] |= {"arm": arm, "block": i // 2}
    return pa.Table.from_pylist(rows, steps.schema)


def _of_kinds(requests: pa.Table) -> pa.Table:
    """Two workloads, a tag with three values, prices."""
    n = requests.num_rows
    columns: dict[str, list[Any]] = {name: [usd] * n for name, usd in PRICES.items()}
    columns["workload"] = ["chat" if i % 3 else "search" for i in range(n)]
    columns["tags"] = [f"region={('eu', 'us', 'asia')[i % 3]}" for i in range(n)]
    for name, values in columns.items():
        at = requests.schema.get_field_index(name)
        requests = requests.set_column(at, name, pa.array(values, requests.schema.field(name).type))
    return requests


def inside(path: Path) -> None:
    """The measured process: one JSON line of [what, wall s, CPU s] rows and the peak resident MiB."""
    from analysis import catalog, database, validity
    from analysis.report import html, influx, model, prometheus, text
    from generator.run_dir import RunDir

    rows: list[tuple[str, float, float]] = []
    run = RunDir(path)
    manifest = run.read_manifest()

    def timed(what: str, work: Callable[[], T]) -> T:
        wall, cpu = time.monotonic(), time.process_time()
        made = work()
        rows.append((what, time.monotonic() - wall, time.process_time() - cpu))
        return made

    con = timed("open", lambda: database.open_runs([run]))
    for query in catalog.load().values():
        if query.materialise:
            timed(f"staging: {query.name}", lambda: catalog.prepare(con, [query.name]))  # noqa: B023 - called at once
    verdict = timed("verdict", lambda: validity.judge(con, manifest))
    report = timed("report: model, with rate limit and comparison", lambda: model.build(con, manifest, verdict))
    timed("report: HTML", lambda: html.render(con, report, manifest))
    timed("report: text", lambda: text.render(report))
    timed("report: prometheus", lambda: prometheus.render(con, report))
    timed("report: influx", lambda: influx.render(con, report, manifest))
    for query in catalog.load().values():
        if query.kind in ("metrics", "reports", "profiles"):
            timed(query.name, lambda: catalog.run(con, query.name))  # noqa: B023 - called at once
    print(json.dumps({"rows": rows, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def measure() -> None:
    parser = harness.arguments(__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        inside(options.inside)
        return
    made = harness.machine()
    with harness.folder(options) as folder:
        run = folder / "large"
        if not run.exists():
            drawn(run, options.rows)
        words = [sys.executable, "-m", "benchmarks.analysis", "--inside", str(run)]
        done = subprocess.run(words, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True, check=True)
        count = harness.query(f"SELECT count(*) AS n FROM '{run}/tokens.parquet'")[0]["n"]
    seen = json.loads(done.stdout)
    slowest = sorted(seen["rows"], key=lambda r: -r[1])
    rest = slowest[TOLD:]
    all_s = sum(r[1] for r in slowest)
    told = [
        *slowest[:TOLD],
        (f"{len(rest)} others", sum(r[1] for r in rest), sum(r[2] for r in rest)),
        ("all", all_s, sum(r[2] for r in slowest)),
    ]
    rows = [{"part": what, "wall_s": wall, "cpu_s": cpu} for what, wall, cpu in told]
    note = f"Peak resident memory {seen['peak_mib']:,.0f} MiB (goal {GOAL_MIB:,.0f}), {all_s:.2f} s together (goal {GOAL_S:.0f})."
    harness.finish(options, f"Every section of a report over {count:,} token rows", made, rows, note)


if __name__ == "__main__":
    harness.main(measure)
