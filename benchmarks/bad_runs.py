"""What does the verdict say of runs that were spoilt on purpose, each in a way of its own?

A run after another against an endpoint of this package, and a good one to compare them with. Listed are the broken rules of the verdict; a rule
that must speak and does not makes the script end with an error.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from benchmarks import harness, processes
from benchmarks.processes import OPENLOOP, ROOT, BenchmarkError, environment, verdict_of

POISSON = {"arrivals": "poisson", "rate": "30/s", "duration": "14s"}
BATCH = {"timing": "batch", "max_batch": 4, "prefill_base": "20ms", "decode_base": "10ms"}


@dataclass(frozen=True, slots=True)
class Case:
    """``wanted``: rules that must be broken. ``stopped_s``: how long a worker is stopped. ``hogs``: endless loops on the worker's CPU."""

    done: str
    wanted: tuple[str, ...]
    step: Mapping[str, Any] = field(default_factory=lambda: dict(POISSON))
    simulator: Mapping[str, Any] = field(default_factory=dict)
    output_tokens: int = 16
    stopped_s: float = 0.0
    hogs: int = 0


CASES = {
    "good": Case("nothing", ()),
    "few": Case("thirty requests", ("enough_data",), {"arrivals": "poisson", "rate": "15/s", "requests": 30}),
    "overload": Case(
        "more than the target can serve: 30/s where some 15/s are its limit",
        ("steady",),
        simulator=BATCH,
    ),
    "drift": Case("the target takes four times as long after a minute", ("steady",), simulator={"drift": "300%"}),
    "stopped": Case("SIGSTOP of a worker for 4 s", ("lateness", "workers_running"), stopped_s=4.0),
    "hog": Case("six endless loops beside the worker", ("lateness",), hogs=6),
}


def run(name: str, folder: Path) -> harness.Row:
    """One run and what its verdict says."""
    case = CASES[name]
    scenario = {
        "name": name,
        "seed": 7,
        "target": {"url": "simulator", "model": "any", "simulator": dict(case.simulator)},
        "workload": {"input_tokens": 32, "output_tokens": case.output_tokens},
        "steps": [dict(case.step)],
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(scenario, sort_keys=False))
    words = [*OPENLOOP, "run", str(path), "--run-id", name, "--runs-dir", str(folder), "--no-live", "--workers", "1"]
    process = subprocess.Popen(
        words,
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with beside(case, process):
        said, _ = process.communicate(timeout=180)
    if process.returncode not in (0, 3):
        raise BenchmarkError(f"{name}: ended with {process.returncode}: {said[-2000:]}")
    verdict, *broken = verdict_of(folder / name).split(", ")
    if missed := [rule for rule in case.wanted if rule not in broken]:
        raise BenchmarkError(f"{name}: the verdict is {verdict} with {broken}, and not a word of {missed}")
    return {
        "what_was_done": case.done,
        "verdict": verdict,
        "rules": ", ".join(broken) or None,
        "advice": advice(folder / name, case),
    }


def advice(run_folder: Path, case: Case) -> str | None:
    """Of the first rule that had to speak."""
    words = [*OPENLOOP, "report", str(run_folder), "--format", "json"]
    report = json.loads(
        subprocess.run(words, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False).stdout
    )
    return next((r["advice"] for r in report["verdict"]["rules"] if r["broken"] and r["name"] in case.wanted), None)


@contextlib.contextmanager
def beside(case: Case, process: subprocess.Popen[str]) -> Iterator[None]:
    """What spoils the run, while it lasts."""
    with contextlib.ExitStack() as stack:
        if case.stopped_s or case.hogs:
            worker = _worker(process.pid)
            if case.hogs:
                # The worker and the loops share one CPU; where it ran before, it had a core to itself.
                cpu = max(worker.cpu_affinity())
                worker.cpu_affinity([cpu])
                for _ in range(case.hogs):
                    stack.enter_context(processes.hog(cpu))
            if case.stopped_s:
                time.sleep(5)
                os.kill(worker.pid, signal.SIGSTOP)
                time.sleep(case.stopped_s)
                os.kill(worker.pid, signal.SIGCONT)
        yield


def _worker(pid: int) -> psutil.Process:
    """The run's only worker, as soon as it is there."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for child in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if "generator.worker" in child.cmdline():
                    return child
        time.sleep(0.05)
    raise BenchmarkError("no worker started within 30 s")


def measure() -> None:
    parser = harness.arguments(__doc__)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    options = parser.parse_args()
    made = harness.machine()
    with harness.folder(options) as folder:
        rows = [run(name, folder) for name in options.only]
    harness.finish(options, "Runs spoilt on purpose, and what the verdict says", made, rows)


if __name__ == "__main__":
    harness.main(measure)
