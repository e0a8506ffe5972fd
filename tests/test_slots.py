"""A closed loop's slots: who has which, when they open and close, what their requests are called."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from plans import S, step

from generator.job import MANY
from generator.slots import slots, spread_ns, total

COUNTS = st.integers(1, 200)


@given(COUNTS, st.integers(1, 16))
def test_workers_share_all_slots(concurrency: int, workers: int) -> None:
    """Slot s belongs to worker s mod W: every slot to one worker, the same slot whatever the number of workers."""
    made = step(concurrency=concurrency)
    dealt = [slots(made, worker, workers) for worker in range(workers)]
    assert all(slot.index % workers == worker for worker, mine in enumerate(dealt) for slot in mine)
    assert sorted((s for mine in dealt for s in mine), key=lambda s: s.index) == sorted(
        slots(made, 0, 1), key=lambda s: s.index
    )
    assert sum(map(len, dealt)) == concurrency


@given(COUNTS, st.integers(1, 500))
def test_numbers_are_those_of_the_contract(concurrency: int, requests: int) -> None:
    """The k-th request of slot s of C is n = s + C·k: with ``requests: N`` the slots' numbers below N are 0 to N − 1, once each."""
    found = slots(step(concurrency=concurrency, requests=requests), 0, 1)
    numbers = [n for slot in found for n in range(slot.first, requests, slot.stride)]
    assert sorted(numbers) == list(range(requests))


@given(COUNTS, COUNTS, st.integers(0, 999))
def test_a_ramp_follows_the_line(low: int, high: int, permille: int) -> None:
    """Open at time t, spread at the start aside: the straight line from c₀ to c₁, rounded."""
    for c0, c1 in ((low, high), (high, low)):
        made = step(concurrency=c0, concurrency_end=c1, duration_ns=1000 * S)
        t = permille * S
        line = c0 + (c1 - c0) * permille / 1000
        found = slots(made, 0, 1)
        started = [slot for slot in found if slot.index < c0 or slot.open_ns <= t]
        begun = sum(t < slot.close_ns for slot in started)
        # Slots of a steep ramp down whose turn to start comes after their end are left out: only while the start is spread.
        missing = total(made) - len(found)
        assert abs(begun - line) <= 0.5 + (missing if t < spread_ns(made) else 0)


def test_a_ramp_from_one_to_two() -> None:
    """The second slot has the second half, up and down alike."""
    up = slots(step(concurrency=1, concurrency_end=2, duration_ns=10 * S), 0, 1)
    assert [(s.open_ns, s.close_ns) for s in up] == [(0, 10 * S), (5 * S, 10 * S)]
    down = slots(step(concurrency=2, concurrency_end=1, duration_ns=10 * S), 0, 1)
    assert [(s.open_ns, s.close_ns) for s in down] == [(0, 10 * S), (S // 4, 5 * S)]


@given(COUNTS, st.integers(1, 600))
def test_starts_are_spread(concurrency: int, seconds: int) -> None:
    """First requests come evenly over min(1 s, 5 % of the step), so that no burst opens a closed step."""
    made = step(concurrency=concurrency, duration_ns=seconds * S)
    window_ns = min(S, seconds * S // 20)
    found = [slot.open_ns for slot in slots(made, 0, 1)]
    assert found == [window_ns * i // concurrency for i in range(concurrency)]


def test_a_step_that_ends_by_number_spreads_ten_ms_a_slot() -> None:
    """It has no length to take 5 % of; 1 s is the most."""
    assert spread_ns(step(concurrency=2, requests=10)) == 20_000_000
    assert spread_ns(step(concurrency=500, requests=1000)) == S
    assert all(slot.close_ns == MANY for slot in slots(step(concurrency=2, requests=10), 0, 1))
