"""What a run of a search says of its load: how much its requests prove, whether its queue grew, what it served."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.searching.observe import flow, in_flight_at
from analysis.searching.sample import growing, inflation, sample


def test_misses_are_what_used_up_more_than_all() -> None:
    """Exactly the limit is good; a failure, which used up infinity, and an unknown are misses."""
    assert sample(np.array([0.2, 1.0, 1.0001, math.inf, math.nan]), np.ones(5)).misses == 3


@pytest.mark.parametrize("seed", range(5))
def test_independent_requests_are_worth_nearly_themselves(seed: int) -> None:
    """Without likeness between neighbours the inflation stays near 1, never below."""
    used = np.random.default_rng(seed).random(3000)
    assert 1.0 <= inflation(used) < 3.0


@pytest.mark.parametrize("length", [20, 50])
def test_misses_that_come_in_bursts_are_worth_a_burst_each(length: int) -> None:
    """Stretches of equal latency inflate the variance by their length: as few independent facts as there are stretches."""
    rng = np.random.default_rng(3)
    used = np.repeat(rng.random(12_000 // length), length)
    assert 0.5 * length < inflation(used) < 2.5 * length


def test_a_run_without_a_miss_shows_its_bursts_all_the_same() -> None:
    """The worst tenth tells how alike neighbours are where no request missed: no misses is no proof of independence."""
    used = np.repeat(np.random.default_rng(5).random(400), 30) * 0.9
    assert sample(used, np.ones(10)).misses == 0
    assert inflation(used) > 15


def test_misses_with_a_cause_of_their_own_are_worth_a_burst_each() -> None:
    """A target that pauses now and then: the worst tenth is as independent as can be, and the misses come twenty at a time."""
    rng = np.random.default_rng(9)
    used = rng.random(12_000) * 0.9
    for at in rng.integers(0, len(used) - 20, 12):
        used[at : at + 20] = 2.0
    assert 10 < inflation(used) < 60


def test_growth_is_a_line_that_noise_does_not_explain() -> None:
    """A queue that grows by one in ten requests grows; one that comes and goes does not."""
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 3, 2000)
    assert growing(10 + 0.05 * np.arange(2000) + noise)
    assert not growing(50 + noise)
    assert not growing(60 - 0.02 * np.arange(2000) + noise)
    wave = 50 + 20 * np.sin(np.arange(2000) / 120)
    assert not growing(wave + noise)


def test_growth_needs_more_than_a_trickle() -> None:
    """What rises by less than a quarter of its mean is no backlog, however sure the slope."""
    assert not growing(100 + np.arange(2000) / 200)
    assert growing(10 + np.arange(2000) / 200)


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0, 50)), min_size=1, max_size=40),
    st.lists(st.floats(0, 150), min_size=1, max_size=10),
)
def test_in_flight_is_who_was_sent_and_did_not_end(spans: list[tuple[float, float]], when: list[float]) -> None:
    """At any instant: those sent by then less those done by then; what never ended stays."""
    sent = np.array([s for s, _ in spans])
    done = np.array([s + d if d > 1 else math.nan for s, d in spans])
    for t, n in zip(when, in_flight_at(np.array(when), sent, done), strict=True):
        assert n == sum(s <= t for s in sent) - sum(d <= t for d in done if not math.isnan(d))


def test_flow_of_a_full_closed_loop_obeys_little() -> None:
    """Four slots, each busy all the time for 0.5 s a request: 8 a second, 0.5 s each, 4 in flight."""
    sent = np.concatenate([np.arange(0, 20, 0.5) + k * 0.1 for k in range(4)])
    found = flow(sent, sent + 0.5, np.full(len(sent), True), 0.0, 20.0)
    assert found.x_rps == pytest.approx(8, rel=0.03)
    assert found.ok_rps == found.x_rps
    assert found.latency_s == pytest.approx(0.5)
    assert found.in_flight == pytest.approx(4, rel=0.03)


def test_what_is_refused_is_no_throughput() -> None:
    """Ten answers a second and a refusal each 5 ms: 210 requests end a second, which is Little's X, and the target does ten."""
    answered, refused = np.arange(0, 20, 0.1), np.arange(0, 20, 0.005)
    sent = np.concatenate([answered, refused])
    done = np.concatenate([answered + 0.4, refused + 0.005])
    found = flow(sent, done, np.arange(len(sent)) < len(answered), 0.0, 20.0)
    assert found.x_rps == pytest.approx(210, rel=0.03)
    assert found.ok_rps == pytest.approx(10, rel=0.03)
