"""How long what has come waits for more: pure, no clock, no socket."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from generator import clock
from generator.transport.gathering import CALM_NS, LONG_CALM_NS, LONG_NS, SHORT_NS, WINDOW_NS, Gathering

NOW = 10**12
FAR = 10**10


def dense() -> Gathering:
    gathering = Gathering()
    gathering.came(0, NOW - WINDOW_NS)
    gathering.came(100, NOW)
    return gathering


def ended(near_end: bool = False, **fields: Any) -> Any:
    return SimpleNamespace(near_end=near_end, **{"step": object(), "failure": None, **fields})


@pytest.fixture(autouse=True)
def stamps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "KERNEL_STAMPS", True)


def test_what_comes_thinly_does_not_wait() -> None:
    assert Gathering().wait_ns(NOW, FAR) == 0
    gathering = dense()
    assert gathering.wait_ns(NOW, FAR) == LONG_NS
    gathering.came(0, NOW + WINDOW_NS)
    assert gathering.wait_ns(NOW, FAR) == 0


@pytest.mark.parametrize(("gap_ns", "waits"), [(SHORT_NS // 2, True), (SHORT_NS, False)])
def test_the_rate_counts_and_not_the_burst(gap_ns: int, waits: bool) -> None:
    """Bursts of five are dense if they come as often as single pieces would have to."""
    for burst in (1, 5):
        gathering = Gathering()
        for n in range(200):
            gathering.came(burst, NOW + n * burst * gap_ns)
        assert bool(gathering.wait_ns(NOW, FAR)) == waits, burst


def test_nothing_waits_without_stamps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "KERNEL_STAMPS", False)
    assert dense().wait_ns(NOW, FAR) == 0


def test_an_arrival_has_room() -> None:
    """Twice the wait must be left, and a shorter wait may fit where the longer does not."""
    waits = [
        dense().wait_ns(NOW, room_ns) for room_ns in (2 * LONG_NS + 1, 2 * LONG_NS, 2 * SHORT_NS + 1, 2 * SHORT_NS, -1)
    ]
    assert waits == [LONG_NS, SHORT_NS, SHORT_NS, 0, 0]


def test_pieces_that_shared_a_read_forbid_it_for_a_while() -> None:
    gathering = dense()
    gathering.shared_ns = NOW
    ages = (CALM_NS, CALM_NS + 1, LONG_CALM_NS, LONG_CALM_NS + 1)
    assert [gathering.wait_ns(NOW + age_ns, FAR) for age_ns in ages] == [0, SHORT_NS, SHORT_NS, LONG_NS]


def test_the_wait_is_short_while_an_answer_is_about_to_end() -> None:
    gathering = dense()
    gathering.ending += 1
    assert gathering.wait_ns(NOW, FAR) == SHORT_NS
    gathering.left(ended(near_end=True))
    assert gathering.wait_ns(NOW, FAR) == LONG_NS


def test_an_end_that_nobody_saw_coming_makes_it_short_for_good() -> None:
    gathering = dense()
    gathering.left(ended())
    gathering.left(ended(near_end=True))
    gathering.ending = 0
    assert gathering.wait_ns(NOW + 10**12, FAR) == SHORT_NS


@pytest.mark.parametrize(
    "fields", [{"step": None}, {"failure": SimpleNamespace(outcome="cancelled")}], ids=["probe", "cut"]
)
def test_ends_that_free_no_slot_do_not_count(fields: dict[str, Any]) -> None:
    """Probes are not measured, and what openloop itself cut ended when it wanted."""
    gathering = dense()
    gathering.left(ended(**fields))
    assert gathering.wait_ns(NOW, FAR) == LONG_NS
