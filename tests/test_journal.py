"""The journal: what the coordinator wrote down is what sealing learns, whatever cut it short."""

from __future__ import annotations

from pathlib import Path

import pytest

from generator.recording import journal
from generator.recording.journal import History, Journal, StepFacts


def written(path: Path) -> Path:
    """A whole life: two steps, a loss, a stop."""
    made = Journal(path)
    made.write("start", step_id=0, start_ns=100)
    made.write("lost", worker=1, t_ns=150, why="signal 9")
    made.write("end", step_id=0, end_ns=200, offered={"0": 7})
    made.write("drained", step_id=0, drained_ns=210)
    made.write("start", step_id=1, start_ns=300)
    made.write("stop", t_ns=333)
    made.write("done")
    made.close()
    return path


def test_round_trip(tmp_path: Path) -> None:
    """Every event comes back as the fact that it is."""
    assert journal.read(written(tmp_path / "j")) == History(
        {0: StepFacts(100, 200, 210, {0: 7}), 1: StepFacts(300)}, {1: 150}, stop_ns=333, done=True
    )


def test_each_line_is_there_when_write_returns(tmp_path: Path) -> None:
    """A coordinator that is killed has told all that it did."""
    made = Journal(tmp_path / "j")
    made.write("start", step_id=0, start_ns=5)
    assert journal.read(tmp_path / "j").steps == {0: StepFacts(5)}
    made.close()


def test_cut_at_any_byte(tmp_path: Path) -> None:
    """Half a last line is no line; what came before it stands, whole lines for whole facts."""
    whole = written(tmp_path / "j").read_bytes()
    cut, exact = tmp_path / "cut", tmp_path / "exact"
    for size in range(len(whole)):
        # A line that lacks only its line break is complete.
        kept = whole[: size + 1] if whole[size : size + 1] == b"\n" else whole[: whole.rfind(b"\n", 0, size) + 1]
        cut.write_bytes(whole[:size])
        exact.write_bytes(kept)
        assert journal.read(cut) == journal.read(exact)


def test_no_journal_is_no_history(tmp_path: Path) -> None:
    """A folder that is older, or made by hand."""
    assert journal.read(tmp_path / "none") == History()


def test_a_step_without_its_start(tmp_path: Path) -> None:
    """A damaged line costs what it said, not the rest."""
    path = tmp_path / "j"
    path.write_bytes(
        b'{"event":"end","step_id":3,"end_ns":9,"offered":{}}\n{"event":"start","step_id":4,"start_ns":10}\n\xff\xfe\n{"event":"done"}\n'
    )
    history = journal.read(path)
    assert history.steps == {4: StepFacts(10)}
    assert history.done


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's disk that is always full")
def test_a_full_disk_stops_nobody() -> None:
    """A line that cannot be written, and a file that cannot be closed, are no exception: the run goes on."""
    made = Journal(Path("/dev/full"))
    for n in range(3):
        made.write("start", step_id=n, start_ns=n)
    made.close()
