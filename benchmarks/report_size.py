"""How long does a report over millions of token rows take, and how much memory? On a run folder drawn by ``tests/fabricate.py``.

Wall time and peak resident memory of `openloop report RUN` as a process of its own, start of Python included; the bytes that a drawn token row
takes are not those of a real run, which ``benchmarks.accuracy`` measures.
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from benchmarks import harness
from benchmarks.processes import OPENLOOP, ROOT, BenchmarkError, environment
from tests import fabricate

FORMATS = ("text", "json", "html")


def timed(run: Path, form: str) -> tuple[float, int]:
    """Seconds and peak resident bytes of one report."""
    words = [*OPENLOOP, "report", str(run), "--format", form, "-o", str(run / f"benchmark.{form}")]
    start = time.monotonic()
    process = subprocess.Popen(words, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL)
    # subprocess keeps no resource usage; wait4 gives this child's alone.
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 3):
        raise BenchmarkError(f"openloop report --format {form} ended with {process.returncode}")
    return seconds, usage.ru_maxrss * 1024


def measure() -> None:
    parser = harness.arguments(__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    made = harness.machine()
    with harness.folder(options) as folder:
        run = fabricate.realistic(folder / "large", fabricate.of_token_rows(options.rows)).path
        count = harness.query(f"SELECT count(*) AS n FROM '{run}/tokens.parquet'")[0]["n"]
        rows = []
        for form in FORMATS:
            measured = [timed(run, form) for _ in range(options.rounds)]
            rows.append(
                {
                    "format": form,
                    "token_rows": count,
                    "seconds": harness.median([s for s, _ in measured]),
                    "peak_rss_mib": max(b for _, b in measured) / 2**20,
                    "rounds": options.rounds,
                }
            )
    harness.finish(options, "A report over many token rows", made, rows)


if __name__ == "__main__":
    harness.main(measure)
