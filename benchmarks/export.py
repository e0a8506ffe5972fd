"""How long does a million requests take into each kind of store, and in what memory? Is there one copy, after SIGKILL in the middle, too?

On a run folder drawn by ``tests/fabricate.py``, into servers that are started for it. For each store: an export kills itself (SIGKILL)
when half of the requests have been handed over, and the requests that a reader finds then are counted; then `openloop export` as a
process of its own, its wall time and peak resident memory, judging the run included; then the requests are counted in the store.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks import harness
from benchmarks.processes import OPENLOOP, ROOT, BenchmarkError, environment
from tests import fabricate, store_servers

KINDS = ("sqlite", "postgresql", "file", "s3", "mongodb")

_KILLED = """
import os, signal, sys
from pathlib import Path
from console.stores import address, store
from console.stores.source import Export
from generator.run_dir import RunDir
whole, rows = Export.batches, 0
def half(self, table):
    global rows
    for batch in whole(self, table):
        yield batch
        rows += batch.num_rows if table.name == "requests" else 0
        if rows >= int(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGKILL)
Export.batches = half
run = RunDir(Path(sys.argv[2]))
with store.opened(address.parse(sys.argv[3])) as there:
    there.write(Export(run, run.read_manifest(), {}))
"""


@contextmanager
def place(kind: str, folder: Path) -> Iterator[str]:
    """The URL of an empty store of this kind."""
    match kind:
        case "postgresql":
            with store_servers.postgresql() as url:
                yield url
        case "mongodb":
            with store_servers.mongodb(folder / "mongodb") as url:
                yield url
        case "s3":
            with store_servers.s3() as url:
                yield url
        case "sqlite":
            yield f"sqlite:///{folder}/kept.db"
        case _:
            yield f"file://{folder}/parquet"


def counted(url: str) -> int:
    """Requests that a reader finds: those of the runs that the store lists."""
    from console.stores import address, mongo, store

    where = address.parse(url)
    with store.opened(where) as there:
        if not there.runs(None, None):
            return 0
        if isinstance(there, mongo.MongoStore):
            # Counted by the server: a million documents need not travel for it.
            (run,) = there.runs(None, "latest")
            return there._database["requests"].count_documents({"export_id": run["export_id"]})  # noqa: SLF001 - no reader of ours counts
        return int(next(there.query("SELECT count(*) FROM requests", None).rows)[0])


def ended(words: list[str]) -> tuple[int, float, float]:
    """A process's exit code, its seconds, and its peak resident MiB."""
    start = time.monotonic()
    process = subprocess.Popen(words, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL)
    # subprocess keeps no resource usage; wait4 gives this child's alone.
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, time.monotonic() - start, usage.ru_maxrss / 1024


def exported(run: Path, url: str) -> tuple[float, float]:
    """Seconds and peak resident MiB of one `openloop export`."""
    code, seconds, peak_mib = ended([*OPENLOOP, "export", str(run), url])
    if code != 0:
        raise BenchmarkError(f"openloop export ended with {code}")
    return seconds, peak_mib


def killed(run: Path, url: str, after_rows: int) -> tuple[float, float]:
    """Seconds and peak resident MiB until SIGKILL; the run is not judged here, so that is writing alone."""
    code, seconds, peak_mib = ended([sys.executable, "-c", _KILLED, str(after_rows), str(run), url])
    if code != -signal.SIGKILL:
        raise BenchmarkError(f"the export that was to be killed ended with {code}")
    return seconds, peak_mib


def measure() -> None:
    parser = harness.arguments(__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--stores", nargs="+", choices=KINDS, default=KINDS)
    options = parser.parse_args()
    made = harness.machine()
    rows = []
    with harness.folder(options) as folder:
        run = folder / "large"
        if not run.exists():
            fabricate.realistic(run, [fabricate.Load(options.requests // 10, rate_rps=1000, tokens=1)] * 10)
        for kind in options.stores:
            try:
                with tempfile.TemporaryDirectory(dir=folder) as empty, place(kind, Path(empty)) as url:
                    half_s, half_mib = killed(run, url, options.requests // 2)
                    half = counted(url)
                    seconds, peak_mib = exported(run, url)
                    rows.append(
                        {
                            "store": kind,
                            "requests": options.requests,
                            "found_after_kill": half,
                            "found_after_export": counted(url),
                            "half_written_s": half_s,
                            "writing_peak_rss_mib": half_mib,
                            "export_s": seconds,
                            "export_peak_rss_mib": peak_mib,
                        }
                    )
            except pytest.skip.Exception as e:
                rows.append({"store": f"{kind}: {e}"})
    harness.finish(options, f"{options.requests:,} requests into each store", made, rows)


if __name__ == "__main__":
    harness.main(measure)
