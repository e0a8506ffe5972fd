"""Which query of a report takes how long over millions of token rows, and what memory do they take together?

One process opens a drawn run, judges it, and runs every query of the catalog's reports in turn, as a report does; each line is the
time of one, with what it was first to compute below it (`report_size` measures the command as a user meets it).
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
from typing import TypeVar

from benchmarks import harness
from benchmarks.processes import ROOT, environment
from tests import fabricate

T = TypeVar("T")

GOAL_S, GOAL_MIB = 8.0, 1024.0


def inside(path: Path) -> None:
    """The measured process: one JSON line of [what, wall s, CPU s] rows and the peak resident MiB."""
    from analysis import catalog, database, validity
    from generator.run_dir import RunDir

    rows: list[tuple[str, float, float]] = []
    run = RunDir(path)

    def timed(what: str, work: Callable[[], T]) -> T:
        wall, cpu = time.monotonic(), time.process_time()
        made = work()
        rows.append((what, time.monotonic() - wall, time.process_time() - cpu))
        return made

    con = timed("open", lambda: database.open_runs([run]))
    for query in catalog.load().values():
        if query.materialise:
            timed(f"staging: {query.name}", lambda: catalog.prepare(con, [query.name]))  # noqa: B023 - called at once
    timed("verdict", lambda: validity.judge(con, run.read_manifest()))
    for query in catalog.load().values():
        if query.kind == "reports":
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
            fabricate.realistic(run, fabricate.of_token_rows(options.rows))
        words = [sys.executable, "-m", "benchmarks.analysis", "--inside", str(run)]
        done = subprocess.run(words, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True)
    seen = json.loads(done.stdout)
    total = ("all", sum(r[1] for r in seen["rows"]), sum(r[2] for r in seen["rows"]))
    rows = [{"query": what, "wall_s": wall, "cpu_s": cpu} for what, wall, cpu in (*seen["rows"], total)]
    note = f"Peak resident memory {seen['peak_mib']:,.0f} MiB (goal {GOAL_MIB:,.0f}), {total[1]:.2f} s together (goal {GOAL_S:.0f})."
    harness.finish(options, f"Queries of a report over {options.rows:,} token rows", made, rows, note)


if __name__ == "__main__":
    harness.main(measure)
