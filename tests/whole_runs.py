"""Runs of the generator alone, as the console would start them: against a simulator, a silent port, or a server that refuses."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
from answering import Answer, Asked, answering
from plans import folder

from generator import job
from generator.run_dir import RunDir

ROOT = Path(__file__).parents[1]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}
PATIENCE_S = 90.0

COORDINATOR = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from generator import coordinator, job
from generator.run_dir import RunDir
run = RunDir(Path(sys.argv[1]))
print(json.dumps(asdict(coordinator.run(job.load(job.Plan, run.plan_path.read_bytes()), run, {}))))
"""


def until(met: Callable[[], Any], what: str) -> Any:
    """Wait for a condition; what it gives."""
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        if found := met():
            return found
        time.sleep(0.02)
    pytest.fail(f"never happened: {what}")


def rows(run: RunDir, table: str = "requests") -> list[dict[str, Any]]:
    return [row for path in run.table_files(table) for row in pq.read_table(path).to_pylist()]


@contextmanager
def simulator(*options: str) -> Iterator[str]:
    """The URL of an endpoint that answers."""
    command = [sys.executable, "-m", "simulator", "--until-stdin-closes", *options]
    with subprocess.Popen(command, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.stdin.close()


@contextmanager
def silence() -> Iterator[str]:
    """The URL of a target that takes connections and requests and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/v1"


@contextmanager
def refusing(status: int) -> Iterator[tuple[str, list[str]]]:
    """The URL of a target that answers everything with ``status``, and the paths it was asked for."""
    asked: list[str] = []

    def answer(request: Asked) -> Answer:
        asked.append(request.path)
        return status, {}, b'{"error": {"code": "no", "message": "not you"}}'

    with answering(answer) as url:
        yield f"{url}/v1", asked


@contextmanager
def nobody() -> Iterator[str]:
    """The URL of a port that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{s.getsockname()[1]}/v1"


class Going:
    """A run that is under way in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], run: RunDir) -> None:
        self.process = process
        self.run = run

    def workers(self) -> list[psutil.Process]:
        """In the order of their numbers."""
        return self.children("generator.worker")

    def children(self, module: str) -> list[psutil.Process]:
        """The coordinator's own that run ``module``, in the order of their start."""
        found = []
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.NoSuchProcess):  # or a zombie, which has no command line
                if module in child.cmdline():
                    found.append(child)
        return sorted(found, key=lambda p: p.pid)

    def end(self) -> dict[str, Any]:
        """The run's RunEnd, once it came to an end by itself."""
        out, err = self.process.communicate(timeout=PATIENCE_S)
        assert self.process.returncode == 0, err
        return dict(json.loads(out))


@contextmanager
def going(path: Path, made: job.Plan, url: str, arrivals: dict[int, list[int]] | None = None) -> Iterator[Going]:
    """Start ``made`` against ``url``; what is left of it in the end is killed, workers too."""
    run = folder(path, with_url(made, url), arrivals)
    command = [sys.executable, "-c", COORDINATOR, str(run.path)]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    left = Going(process, run)
    workers: list[psutil.Process] = []
    try:
        workers = until(lambda: w if len(w := left.workers()) == made.workers else None, "the workers' start")
        yield left
    finally:
        for victim in [*workers, process]:
            with suppress(psutil.NoSuchProcess):
                victim.kill()
        process.wait()


def with_url(made: job.Plan, url: str) -> job.Plan:
    """The plan with all its targets at ``url``."""
    return replace(made, targets={name: replace(there, url=url) for name, there in made.targets.items()})
