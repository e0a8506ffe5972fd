"""The built-in endpoint as a process of its own, for as long as somebody needs it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from generator.errors import MachineError, ScenarioError
from generator.run_dir import RunDir
from simulator.settings import SettingsError, from_options

_PACKAGES = str(Path(__file__).resolve().parents[1])
_START_S = 30.0
_STOP_S = 60.0
"""It writes the rest of its truth log when it ends."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    url: str
    process: subprocess.Popen[str]


def checked(options: Mapping[str, object]) -> Mapping[str, object]:
    """The same options. Raises ScenarioError, in the simulator's own words, for a name or a value that is wrong."""
    try:
        from_options(options)
    except SettingsError as e:
        raise ScenarioError(str(e)) from e
    return options


@contextmanager
def endpoint(options: Mapping[str, object], log: Path | None = None) -> Iterator[Endpoint]:
    """Start `python -m simulator`, yield when it listens, end it on the way out. Raises MachineError when it does not start.

    It lives in a session of its own, so that a Ctrl-C on the terminal does not take it away before the run has drained, and it
    ends when its standard input does, so that a killed console leaves no orphan.
    """
    # -P: a folder that happens to be called simulator in the current one is not ours.
    command = [sys.executable, "-P", "-m", "simulator", "--until-stdin-closes"]
    found = os.pathsep.join(filter(None, [_PACKAGES, os.environ.get("PYTHONPATH")]))
    for key, value in options.items():
        command += [f"--{key.replace('_', '-')}", str(value)]
    with ExitStack() as stack:
        errors: IO[str] | None = stack.enter_context(log.open("w")) if log else None
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": found},
        )
        try:
            yield Endpoint(_url(process, log), process)
        finally:
            _end(process)


def _url(process: subprocess.Popen[str], log: Path | None) -> str:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], _START_S)
    line = process.stdout.readline() if ready else ""
    try:
        return str(json.loads(line)["url"])
    except (ValueError, KeyError):
        said = log.read_text()[-2000:].strip() if log else ""
        state = "ended" if ready else f"said nothing for {_START_S:g} s"
        raise MachineError(f"the built-in endpoint did not start: it {state}. {said}".rstrip()) from None


def _end(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def serving(options: Mapping[str, Mapping[str, object]], run: RunDir) -> Iterator[dict[str, str]]:
    """An endpoint for each target that wants one, by name; yields their URLs.

    Truth logs go to ``truth/`` in the run folder, or to ``truth/<target>/`` where there are several.
    """
    with ExitStack() as stack:
        urls = {}
        for name, given in options.items():
            alone = len(options) == 1
            truth = run.path / "truth" if alone else run.path / "truth" / name
            log = run.path / ("simulator.log" if alone else f"simulator-{name}.log")
            urls[name] = stack.enter_context(endpoint({"truth": truth, **given}, log)).url
        yield urls
