"""Starts what a measurement needs and ends it by its own pid: servers, the simulator, compiled programs, openloop itself."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.cpu import Sample, Watch

ROOT = Path(__file__).resolve().parents[1]
NATIVE = ROOT / "benchmarks" / "native"
CC_FLAGS = ("-O2", "-Wall", "-Wextra", "-Werror")
OPENLOOP = (sys.executable, "-c", "import sys; from console.cli import main; sys.exit(main())")
"""The command line of this tree, whatever is installed."""

READY_S = 30.0
STOP_S = 60.0


class BenchmarkError(Exception):
    """A measurement that could not be made; the text says why."""


@contextlib.contextmanager
def started(command: Sequence[str], *, cpu: int | None = None, log: Path | None = None) -> Iterator[dict[str, Any]]:
    """A server that prints one line of JSON when it is ready; that line is what is yielded. Ended by SIGTERM to its own pid."""
    with contextlib.ExitStack() as stack:
        errors = stack.enter_context(log.open("wb")) if log else None
        process = subprocess.Popen(
            pinned(command, cpu),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment(),
        )
        try:
            yield _ready(process, command)
        finally:
            _stop(process)


def _ready(process: subprocess.Popen[bytes], command: Sequence[str]) -> dict[str, Any]:
    timer = threading.Timer(READY_S, process.kill)
    timer.start()
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
    finally:
        timer.cancel()
    try:
        ready = json.loads(line)
    except ValueError:
        raise BenchmarkError(f"`{shlex.join(command)}` did not get ready in {READY_S:g} s; it said {line!r}") from None
    assert isinstance(ready, dict)
    return ready


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.communicate(timeout=STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise BenchmarkError(f"process {process.pid} did not end within {STOP_S:g} s of SIGTERM") from None


def pinned(command: Sequence[str], cpu: int | None) -> list[str]:
    """The command kept on one CPU, children included."""
    return list(command) if cpu is None else ["taskset", "--cpu-list", str(cpu), *command]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@contextlib.contextmanager
def hog(cpu: int) -> Iterator[None]:
    """A process that keeps one CPU busy, as an inconsiderate neighbour would."""
    process = subprocess.Popen(pinned([sys.executable, "-c", "while True: pass"], cpu))
    try:
        yield
    finally:
        process.kill()
        process.wait()


def native(name: str) -> Path:
    """The program of ``native/NAME.c``, compiled afresh when its source is newer."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise BenchmarkError("no C compiler: install gcc (Debian: apt-get install gcc libc6-dev)")
    source, program = NATIVE / f"{name}.c", ROOT / ".cache" / "benchmarks" / name
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        program.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([compiler, *CC_FLAGS, "-o", str(program), str(source)], check=True)
    return program


@contextlib.contextmanager
def simulator(truth: Path | None, cpu: int | None = None, **options: object) -> Iterator[dict[str, Any]]:
    """The built-in endpoint; options are its command line's (``ttft="50ms"`` is ``--ttft 50ms``). The truth log, where a folder
    for it is named, is whole once the block has ended.
    """
    given = {**options, **({"truth": truth} if truth else {})}
    flags = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    with started([sys.executable, "-m", "simulator", *flags], cpu=cpu) as ready:
        yield ready


@dataclass(frozen=True, slots=True)
class Client:
    """One finished run of openloop: its folder, how it ended, and what its processes used."""

    run: Path
    exit_code: int
    command: str
    samples: tuple[Sample, ...]
    commands: Mapping[int, str]

    def worker_pids(self) -> list[int]:
        return [pid for pid, words in self.commands.items() if "generator.worker" in words]

    def manifest(self) -> dict[str, Any]:
        read = json.loads((self.run / "manifest.json").read_bytes())
        assert isinstance(read, dict)
        return read


def openloop(
    scenario: Mapping[str, Any],
    run_id: str,
    folder: Path,
    *options: str,
    cpu: int | None = None,
    expect: Sequence[int] = (0, 3),
) -> Client:
    """Runs a scenario through the command line, as a user would, and watches the CPU of every process of it.

    Exit code 3 (the run judged itself INVALID) is a result here, not a failure; the tables show the verdict.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / f"{run_id}.yaml"
    written.write_text(yaml.safe_dump(dict(scenario), sort_keys=False))
    words = ["run", str(written), "--run-id", run_id, "--runs-dir", str(folder), "--no-live", *options]
    command = pinned([*OPENLOOP, *words], cpu)
    output = folder / f"{run_id}.txt"
    with output.open("wb") as said:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT
        )
        watch = Watch(process.pid)
        watch.start()
        try:
            exit_code = process.wait()
        except BaseException:
            # Workers end when their control pipe does, so the coordinator is the only process to end.
            process.terminate()
            process.wait()
            raise
        finally:
            watch.stop()
    if exit_code not in expect or not (folder / run_id / "manifest.json").exists():
        raise BenchmarkError(f"openloop {shlex.join(words)} ended with {exit_code}: {output.read_text()[-2000:]}")
    return Client(
        folder / run_id, exit_code, shlex.join(["openloop", *words]), tuple(watch.samples), dict(watch.commands)
    )


def closed_loop(url: str, streams: int, output_tokens: int, duration_s: float = 10.0, **more: object) -> dict[str, Any]:
    """The scenario that most measurements share: N slots, short prompts, answers of a fixed length, no probe. ``more`` replaces keys."""
    return {
        "name": f"closed-{streams}",
        "seed": 42,
        "target": {"url": url, "api": "openai-chat", "model": "simulated"},
        "probe": 0,
        "workload": {"input_tokens": 16, "output_tokens": output_tokens},
        "steps": [{"arrivals": "closed", "concurrency": streams, "duration": f"{duration_s:g}s"}],
        **more,
    }


def verdict_of(run: Path) -> str:
    """VALID or INVALID, and the rules that `openloop report` calls broken."""
    words = [*OPENLOOP, "report", str(run), "--format", "json"]
    said = subprocess.run(words, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    if said.returncode not in (0, 3):
        raise BenchmarkError(
            f"`openloop report {run} --format json` ended with {said.returncode}: {said.stderr[-1000:]}"
        )
    report = json.loads(said.stdout)
    broken = sorted({rule["name"] for rule in report["verdict"]["rules"] if rule["broken"]})
    return ", ".join([report["verdict"]["verdict"], *broken])
