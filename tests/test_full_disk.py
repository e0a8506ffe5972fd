"""The whole command on a disk that takes no more: it stops, says so, and what it wrote can be read."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

OPENLOOP = (sys.executable, "-c", "import sys; from console.cli import main; sys.exit(main())")
LARGEST_FILE_BYTES = 40 * 1024
"""Enough for the plan and the first segments; too little for those of a loaded second, and for the report."""

pytestmark = pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="needs a limit on the size of files")


def limit_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE_BYTES, resource.RLIM_INFINITY))


def test_a_run_whose_disk_fills_stops_and_stays_readable(tmp_path: Path) -> None:
    """Exit code 2 with the reason and the way out; `openloop seal`, once there is room, judges what was kept."""
    words = ["run", "--target", "simulator", "--concurrency", "64", "--duration", "20s", "--run-id", "full"]
    words += ["--input-tokens", "20", "--output-tokens", "100", "--runs-dir", str(tmp_path), "--no-live"]
    done = subprocess.run(
        [*OPENLOOP, *words], capture_output=True, text=True, timeout=120, check=False, preexec_fn=limit_files
    )
    assert done.returncode == 2, done.stderr
    assert "cannot write" in done.stderr
    assert "the run stops" in done.stderr
    run = tmp_path / "full"
    assert f"openloop seal {run}" in done.stderr
    sealed = subprocess.run([*OPENLOOP, "seal", str(run)], capture_output=True, text=True, timeout=120, check=False)
    assert sealed.returncode in (0, 3), sealed.stderr
    assert (run / "report.html").stat().st_size > LARGEST_FILE_BYTES
    with duckdb.connect() as con:
        held = f"SELECT count(*) FROM '{run}/requests.parquet'"
        strangers = (
            f"SELECT count(*) FROM '{run}/tokens.parquet' ANTI JOIN '{run}/requests.parquet' USING (run_id, request_id)"
        )
        assert con.execute(held).fetchall() > [(0,)]
        assert con.execute(strangers).fetchall() == [(0,)]
