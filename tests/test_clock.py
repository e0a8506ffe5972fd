"""The offset between the wall clock and CLOCK_MONOTONIC: taken narrowly, watched for steps."""

from __future__ import annotations

import datetime as dt
import re
import time

import pytest

from generator import clock


class Clocks:
    """Both clocks under the test's hand: each reading of either costs ``reading_ns``, or as much as ``delays`` says next."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, offset_ns: int) -> None:
        self.now_ns = 10**12
        self.offset_ns = offset_ns
        self.reading_ns = 100
        self.delays: list[int] = []
        monkeypatch.setattr(clock, "monotonic_ns", self.monotonic)
        monkeypatch.setattr(clock, "_clock_gettime_ns", lambda _: self.monotonic() + self.offset_ns)

    def monotonic(self) -> int:
        self.now_ns += self.delays.pop(0) if self.delays else self.reading_ns
        return self.now_ns


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    return Clocks(monkeypatch, 5 * 10**17)


def test_the_narrowest_sandwich_counts(clocks: Clocks) -> None:
    """Interruptions between the reads shift an offset by half their length; the narrowest of many has none."""
    clocks.delays = [100, 9_000_000, 100, 100, 100, 7_000]
    assert clock.sandwich(16) == (clocks.offset_ns, 200)
    clocks.delays = [100, 100, 9_000_000]
    offset, width = clock.sandwich(1)
    assert width == 9_000_100
    assert abs(offset - clocks.offset_ns) == 4_499_950


def test_a_wide_sandwich_is_no_offset(clocks: Clocks) -> None:
    """On a machine that interrupts every reading the last good offset goes on serving."""
    found = clock.Offset()
    clocks.offset_ns += 10**9
    clocks.reading_ns = clock.WIDEST_NS
    found.recheck()
    assert (found.ns, found.steps) == (5 * 10**17, 0)


@pytest.mark.parametrize(
    ("moved_ns", "steps"), [(0, 0), (400_000, 0), (-400_000, 0), (2_000_000, 1), (-3_600 * 10**9, 1)]
)
def test_steps_are_told_from_slewing(clocks: Clocks, moved_ns: int, steps: int) -> None:
    """NTP slews at most half a millisecond a second; more at once is a step, and is counted. The offset follows either."""
    found = clock.Offset()
    clocks.offset_ns += moved_ns
    found.recheck()
    assert (found.ns, found.steps) == (clocks.offset_ns, steps)
    found.recheck()
    assert found.steps == steps


def test_the_real_clocks_agree() -> None:
    """An anchor's two instants are one moment; a stamp mapped by an offset lies between the readings around it."""
    before = time.time_ns()
    found = clock.anchor()
    assert before <= found["utc_ns"] + found["width_ns"]
    assert found["utc_ns"] - found["width_ns"] <= time.time_ns()
    offset = clock.Offset()
    first = clock.monotonic_ns()
    stamp = time.time_ns() - offset.ns
    assert first - offset.width_ns <= stamp <= clock.monotonic_ns() + offset.width_ns


def test_the_text_is_rfc_3339() -> None:
    """UTC to the millisecond, with Z, and it reads back."""
    text = clock.utc_text()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text)
    assert abs(dt.datetime.fromisoformat(text) - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)
