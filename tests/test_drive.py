"""The drive of one run, its parts that need no load: ids, exit codes, the built-in endpoint as a process."""

from __future__ import annotations

import re
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from console import drive, exits
from console.endpoint import checked, endpoint, serving
from console.prepare import prepare
from generator.errors import MachineError, RunFolderError, ScenarioError
from generator.progress import RunEnd
from generator.run_dir import RunDir

CLEAN = RunEnd(interrupted=False, lost_workers=(), succeeded=5, sent=5, error=None, exit_code=0)


def report(verdict: str = "VALID", *holds: bool) -> dict[str, Any]:
    return {"verdict": {"verdict": verdict}, "thresholds": [{"holds": h} for h in holds]}


def end(**changes: Any) -> RunEnd:
    return RunEnd(**({name: getattr(CLEAN, name) for name in CLEAN.__slots__} | changes))


@pytest.mark.parametrize(
    ("how", "what", "code"),
    [
        (CLEAN, report(), exits.GOOD),
        (CLEAN, report("VALID", True, True), exits.GOOD),
        (CLEAN, report("VALID", True, False), exits.THRESHOLD),
        (CLEAN, report("INVALID", False), exits.INVALID),
        (end(succeeded=0), report("INVALID"), exits.NO_SUCCESS),
        (end(succeeded=0, interrupted=True), report("INVALID"), exits.INTERRUPTED),
        (end(error="401", exit_code=4), report(), exits.NO_SUCCESS),
        (end(error="the disk is full", exit_code=2, interrupted=True), report("INVALID"), exits.WRONG),
    ],
)
def test_the_code_of_a_run(how: RunEnd, what: dict[str, Any], code: int) -> None:
    """What stopped it, then an interrupt, then no success, then the verdict, then thresholds."""
    assert drive.code_of(how, what) == code


def test_default_ids_are_name_and_time_and_never_collide(tmp_path: Path) -> None:
    """<name>-<UTC time>; the second within a second gets -2, and so on."""
    before = datetime.now(UTC).replace(microsecond=0)
    made = [drive.create("my scenario/x", tmp_path / "runs", None).run_id for _ in range(3)]
    times = [re.fullmatch(r"my-scenario-x-(\d{8}-\d{6})(-[23])?", run_id) for run_id in made]
    assert all(times)
    assert all(datetime.strptime(m[1], "%Y%m%d-%H%M%S").replace(tzinfo=UTC) >= before for m in times if m)
    assert len(set(made)) == 3


def test_an_id_of_ones_own_is_taken_as_it_is(tmp_path: Path) -> None:
    """--run-id is never numbered on: the second time is an error."""
    assert drive.create("s", tmp_path, "mine").run_id == "mine"
    with pytest.raises(RunFolderError, match="exists"):
        drive.create("s", tmp_path, "mine")


def test_wrong_simulator_options_are_scenario_errors() -> None:
    """The simulator's own words, as an error that maps to exit code 2."""
    with pytest.raises(ScenarioError, match="nearest: ttft"):
        checked({"tft": "5ms"})
    assert checked({"ttft": "5ms"}) == {"ttft": "5ms"}


def test_an_endpoint_that_cannot_start_says_why(tmp_path: Path) -> None:
    """What the process said before it ended is part of the error."""
    log = tmp_path / "simulator.log"
    with pytest.raises(MachineError, match="nonsense"), endpoint({"nonsense": 1}, log):
        pytest.fail("it must not start")


def test_endpoints_live_as_long_as_they_are_needed(tmp_path: Path) -> None:
    """One for each target, each with its own truth folder; none is left afterwards."""
    run = RunDir(tmp_path)
    with serving({"a": {"ttft": "1ms"}, "b": {}}, run) as urls:
        assert set(urls) == {"a", "b"}
        assert len(set(urls.values())) == 2
    assert (run.path / "truth" / "a").is_dir()
    assert (run.path / "simulator-b.log").exists()
    with serving({}, run) as none:
        assert none == {}


def test_a_ctrl_c_after_the_load_says_where_the_run_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it comes while the coordinator leaves or while the run is judged."""

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    prepared = prepare("quick", {}, [])
    monkeypatch.setattr(drive.endpoint, "serving", lambda *_: nullcontext({}))
    monkeypatch.setattr(drive.coordinator, "run", cut)
    with pytest.raises(KeyboardInterrupt) as first:
        drive.run(prepared, tmp_path, "leaving", None)
    monkeypatch.setattr(drive.coordinator, "run", lambda *_: CLEAN)
    monkeypatch.setattr(drive, "judge", cut)
    with pytest.raises(KeyboardInterrupt) as second:
        drive.run(prepared, tmp_path, "judging", None)
    assert [fault.value.__notes__ for fault in (first, second)] == [
        [f"the run is kept in {tmp_path / run}; `openloop seal {tmp_path / run}` judges it then"]
        for run in ("leaving", "judging")
    ]
