"""Where a search goes, decided without a clock or a file: samples, verdicts, the ladder, the course."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_targets import knee, run, search

from analysis.differences.laws import binomial_at_least, binomial_at_most
from analysis.enough import binomial_tail
from analysis.searching import decide, ladder
from analysis.searching.course import Ending, floor_and_bar, next_move, trials
from analysis.searching.part import Done, Goal, Limits, Order, seed_of
from analysis.searching.sample import Sample

GOAL = Goal("rate", 0.95, seed=7, probe_s=240.0)
FREE = Limits(time_s=None)


def held(requests: int, misses: int, spread: float = 1.0, grows: bool = False) -> Sample:
    return Sample(requests, misses, spread, grows)


# -- verdicts ------------------------------------------------------------------------------------------------------------------


def test_acceptance_is_early_stopping() -> None:
    """With confidence 99 % at the last look of a half: α = 0.5 %, which ln α / ln 0.95 = 104 requests without a miss reach, 103 do not."""
    alpha = 0.01 * decide.SHARES[-1]
    least = math.ceil(math.log(alpha) / math.log(0.95))
    assert decide.accepts(0, least, 1.0, 0.95, alpha)
    assert not decide.accepts(0, least - 1, 1.0, 0.95, alpha)


def test_effective_requests_decide_not_requests() -> None:
    """Ten times as many that resemble each other tenfold prove no more."""
    assert decide.accepts(0, 1040, 10.0, 0.95, 0.005)
    assert not decide.accepts(0, 1030, 10.0, 0.95, 0.005)
    assert not decide.accepts(9, 1040, 10.0, 0.95, 0.005)


@given(st.integers(1, 400), st.floats(0.5, 0.999), st.floats(1e-4, 0.05), st.data())
@settings(max_examples=60)
def test_nothing_is_accepted_and_rejected_at_once(n: int, target: float, alpha: float, data: st.DataObject) -> None:
    """The two tests never both hold."""
    misses = data.draw(st.integers(0, n))
    both = decide.accepts(misses, n, 1.0, target, alpha) and decide.rejects(misses, n, 1.0, target, alpha)
    assert not both


@given(st.integers(20, 3000), st.data(), st.floats(1, 20))
@settings(max_examples=40, deadline=None)
def test_bounds_enclose_what_was_seen(n: int, data: st.DataObject, spread: float) -> None:
    """The observed attainment lies between its bounds, and the bounds are where the verdicts turn."""
    misses = data.draw(st.integers(0, n))
    low, high = decide.bounds(misses, n, spread, 0.005)
    if low is None or high is None:
        return
    assert low <= 1 - misses / n + 1e-6
    assert high >= 1 - misses / n - 1e-6
    if 0.001 < low < 0.999:
        assert decide.accepts(misses, n, spread, low - 1e-4, 0.005)
        assert not decide.accepts(misses, n, spread, low + 1e-3, 0.005)


def test_looks_share_the_error() -> None:
    """Each look has the share of 1 − confidence that it adds to the probe's time: together one."""
    assert sum(decide.SHARES) == 1
    assert all(share == pytest.approx(sum(decide.SHARES[:i])) for i, share in enumerate(decide.SHARES) if i > 0), (
        "each part is as long as all before it"
    )


@pytest.mark.parametrize("target", [0.9, 0.95])
def test_a_load_at_the_limit_is_wrongly_judged_as_seldom_as_promised(target: float) -> None:
    """At an attainment of exactly the target, acceptance after any of four looks has probability 1 % at most, and so has rejection; counted
    over 1,000 probes, with room for chance (three standard errors)."""
    rng = np.random.default_rng(11)
    verdicts = []
    for _ in range(1000):
        parts: list[Sample] = []
        while True:
            n = 400 if len(parts) < 2 else 400 * 2 ** (len(parts) - 1)
            parts.append(held(n, int(rng.binomial(n, 1 - target))))
            found = decide.weigh(parts, target, 0.99).verdict
            if found is not None:
                verdicts.append(found)
                break
    room = 0.01 + 3 * math.sqrt(0.01 * 0.99 / 1000)
    assert verdicts.count("accepted") / 1000 < room
    assert verdicts.count("rejected") / 1000 < room


def test_a_growing_queue_is_not_accepted() -> None:
    """Few misses do not help where more and more is in flight: the probe goes on, and is undecided in the end."""
    parts = [held(2000, 0, grows=True)]
    assert decide.weigh(parts, 0.95, 0.99).verdict is None
    assert decide.weigh(parts * 4, 0.95, 0.99).verdict == "undecided"
    assert decide.weigh([held(2000, 0)], 0.95, 0.99).verdict == "accepted"


def test_parts_are_pooled_by_their_size() -> None:
    """The inflation of several runs is their mean, weighted by requests."""
    found = decide.weigh([held(1000, 10, 2.0), held(3000, 30, 6.0)], 0.95, 0.99)
    assert found.effective == pytest.approx(4000 / 5.0)
    assert found.attainment == pytest.approx(0.99)


@given(st.integers(1, 300), st.floats(0.001, 0.999), st.data())
@settings(max_examples=50)
def test_tails_are_the_binomial_law(n: int, share: float, data: st.DataObject) -> None:
    """Both tails equal the sum of the law's terms, as the load generator of MLPerf has them."""
    x = data.draw(st.integers(0, n))
    assert binomial_at_most(x, n, share) == pytest.approx(binomial_tail(x, n, share), abs=1e-9)
    assert binomial_at_least(x, n, share) == pytest.approx(1 - (binomial_tail(x - 1, n, share) if x else 0), abs=1e-9)


# -- the ladder ----------------------------------------------------------------------------------------------------------------


def rung(slots: int, x_rps: float, misses: int = 0, latency_s: float | None = None) -> Done:
    known = slots / x_rps if latency_s is None else latency_s
    flow = {"x_rps": x_rps, "ok_rps": x_rps, "latency_s": known, "in_flight": float(slots)}
    return Done("r", "ladder", slots, 0, 0, held(100, misses), 100, 1.0, **flow)


def test_the_ladder_climbs_while_it_gains() -> None:
    """4 slots, 8, 16; it ends where doubling adds less than a twentieth, or where most requests miss."""
    assert ladder.next_slots([]) == 4
    assert ladder.next_slots([rung(4, 40)]) == 8
    assert ladder.next_slots([rung(4, 40), rung(8, 70)]) == 16
    assert ladder.next_slots([rung(4, 40), rung(8, 41)]) is None
    assert ladder.next_slots([rung(4, 40, misses=60)]) is None
    assert ladder.next_slots([rung(ladder.MOST_SLOTS, 40)]) is None


def test_the_capacity_is_the_highest_throughput() -> None:
    """Not the last: a target that is overrun does less."""
    found = ladder.capacity([rung(4, 40), rung(8, 70), rung(16, 60, misses=90)], 0.95)
    assert found == ladder.Capacity(70, 70)
    assert ladder.capacity([rung(4, 40, misses=50)], 0.95) == ladder.Capacity(40, None)
    assert ladder.capacity([], 0.95) is None


def test_refusals_are_no_capacity() -> None:
    """A target that does 40 a second and refuses the rest at once: the rung with most refusals gains nothing, and is no place to begin at."""
    refused = dataclasses.replace(rung(8, 620, misses=40), ok_rps=40.0)
    assert ladder.next_slots([rung(4, 40), refused]) is None
    assert ladder.capacity([rung(4, 40), refused], 0.95) == ladder.Capacity(40, 40)
    assert ladder.capacity([dataclasses.replace(refused, ok_rps=0.0)], 0.95) is None
    goal = Goal("rate", 0.95, 1)
    move = next_move(goal, Limits(), [rung(4, 40), refused])
    assert move.kind == "probe"
    assert move.load == pytest.approx(36)


def test_little_is_checked() -> None:
    """N = X · R holds to a tenth, or the rung is told to be doubtful."""
    good, bad = rung(8, 80, latency_s=0.1), rung(8, 80, latency_s=0.2)
    assert ladder.little(good) == pytest.approx(1)
    assert ladder.doubtful([good, bad]) == [bad]


# -- the course ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [5.0, 40.0, 80.0])
@pytest.mark.parametrize("seed", range(3))
def test_the_knee_is_found(at: float, seed: int) -> None:
    """On a target whose attainment falls through the target at a known rate: found and confirmed, not above it, little below."""
    goal = dataclasses.replace(GOAL, seed=seed, probe_s=2000.0)
    curve = knee(at)
    true = at * (1 + 0.03 * math.log(1 / 0.95 - 1))
    end, runs = search(goal, FREE, curve)
    floor, bar = floor_and_bar(trials(goal, runs))
    assert end == Ending("found")
    assert floor is not None
    assert bar is not None
    assert bar / floor - 1 <= goal.precision * 1.001
    assert 0.96 * true < floor <= 1.005 * true


def test_slots_are_searched_as_whole_numbers() -> None:
    """On the axis of concurrency the answer is a number of slots, its bar the next."""
    goal = dataclasses.replace(GOAL, axis="concurrency", probe_s=2000.0)
    end, runs = search(goal, FREE, lambda slots: 0.999 if slots <= 23 else 0.7)
    assert end == Ending("found")
    assert floor_and_bar(trials(goal, runs)) == (23, 24)
    assert not any(d.kind == "ladder" for d in runs)


def test_bounds_replace_the_ladder() -> None:
    """With both bounds given the closed loop is left out, and nothing outside is probed."""
    goal = dataclasses.replace(GOAL, low=20.0, high=80.0, probe_s=2000.0)
    end, runs = search(goal, FREE, knee(50))
    assert end == Ending("found")
    assert all(20 <= d.load <= 80 and d.kind != "ladder" for d in runs)


def test_all_of_it_may_meet_the_slo() -> None:
    """Where even the upper bound is accepted, that is the answer, confirmed."""
    goal = dataclasses.replace(GOAL, low=10.0, high=60.0)
    end, runs = search(goal, FREE, lambda _: 1.0)
    assert end == Ending("all")
    assert runs[-1].kind == "confirm"
    assert runs[-1].load == 60


def test_none_of_it_may_meet_the_slo() -> None:
    """Where even the lower bound is rejected the search ends there; without one it gives up far below its first guess."""
    goal = dataclasses.replace(GOAL, low=10.0, high=60.0)
    end, runs = search(goal, FREE, lambda _: 0.2)
    assert end == Ending("none")
    assert min(d.load for d in runs) == 10
    assert search(GOAL, FREE, lambda _: 0.2)[0] == Ending("none")


def test_a_confirmation_that_fails_steps_down() -> None:
    """The load that was accepted is run once more; rejected then, it becomes the bar and the search goes on below."""
    goal = dataclasses.replace(GOAL, low=40.0, high=41.0, precision=0.02)
    runs: list[Done] = []
    seen = set()
    while not isinstance(move := next_move(goal, FREE, runs), Ending):
        # The first time at any load all is good; the confirmation of the first candidate fails.
        good = 0.5 if move.kind == "confirm" and not seen else 1.0
        seen |= {move.load} if move.kind == "confirm" else set()
        runs.append(run(move, lambda _, good=good: good, len(runs)))
    confirms = [t for t in trials(goal, runs) if t.kind == "confirm"]
    assert [t.evidence.verdict for t in confirms] == ["rejected", "accepted"]
    assert confirms[1].load < confirms[0].load
    assert move == Ending("found")


def test_a_run_of_our_own_failure_counts_for_nothing() -> None:
    """INVALID runs are repeated with other arrivals, and end the search when they stay so; never are they a miss of the target's."""
    goal = dataclasses.replace(GOAL, low=40.0, high=60.0)
    first = next_move(goal, FREE, [])
    assert isinstance(first, Order)
    bad = dataclasses.replace(run(first, lambda _: 0.0, 0), reasons=("late",))
    again = next_move(goal, FREE, [bad])
    assert isinstance(again, Order)
    assert (again.load, again.trial, again.part) == (first.load, first.trial, first.part)
    assert again.seed != first.seed
    assert next_move(goal, FREE, [bad] * 3) == Ending("invalid")
    assert isinstance(next_move(goal, FREE, [bad] * 3, forgiven=3), Order)
    assert trials(goal, [bad]) == []


def test_an_invalid_rung_only_guides() -> None:
    """The ladder accepts nothing, so it may be INVALID."""
    first = next_move(GOAL, FREE, [])
    assert isinstance(first, Order)
    bad = dataclasses.replace(run(first, knee(50), 0), reasons=("late",))
    second = next_move(GOAL, FREE, [bad])
    assert isinstance(second, Order)
    assert second.load == 2 * first.load


@pytest.mark.parametrize(
    ("limits", "end"),
    [
        (Limits(requests=20_000, time_s=None), "requests"),
        (Limits(time_s=200.0), "time"),
        (Limits(time_s=None, usd=1.0), "money"),
    ],
)
def test_a_limit_ends_the_search_before_it_is_crossed(limits: Limits, end: str) -> None:
    """No run is begun that would cross a limit; what was found by then stays."""
    runs: list[Done] = []
    while not isinstance(move := next_move(GOAL, limits, runs), Ending):
        done = run(move, knee(50), len(runs))
        runs.append(dataclasses.replace(done, usd=done.sent * 1e-4))
    assert move == Ending(end)
    assert limits.requests is None or sum(d.sent for d in runs) <= limits.requests
    assert limits.time_s is None or sum(d.elapsed_s for d in runs) <= limits.time_s
    assert limits.usd is None or sum(d.usd or 0 for d in runs) <= limits.usd * 1.05


def test_nothing_answered_is_no_capacity() -> None:
    """A ladder without a throughput ends the search: there is nothing to guess from."""
    dead = dataclasses.replace(rung(4, 1.0, misses=100), x_rps=None, ok_rps=None)
    assert next_move(GOAL, FREE, [dead]) == Ending("nothing")


@given(at=st.floats(1, 90), width=st.floats(0.001, 0.2), seed=st.integers(0, 10_000), cut=st.floats(0, 1))
@settings(max_examples=12, deadline=None)
def test_a_search_cut_at_any_place_goes_the_same_way(at: float, width: float, seed: int, cut: float) -> None:
    """The course depends on the finished runs alone: from any prefix of them it comes to the same runs and the same end. And every
    search ends, with its floor below its bar.
    """
    goal = dataclasses.replace(GOAL, seed=seed, probe_s=60.0)
    end, runs = search(goal, FREE, knee(at, width))
    assert search(goal, FREE, knee(at, width), runs[: int(len(runs) * cut)]) == (end, runs)
    floor, bar = floor_and_bar(trials(goal, runs))
    assert floor is None or bar is None or floor < bar


def test_seeds_are_fresh_and_the_same_again() -> None:
    """No two runs of a search share their arrivals; the same search has the same."""
    seeds = [seed_of(GOAL, n) for n in range(200)]
    assert len(set(seeds)) == 200
    assert seeds == [seed_of(GOAL, n) for n in range(200)]
    assert seed_of(dataclasses.replace(GOAL, seed=8), 0) != seeds[0]


def test_the_first_part_is_long_enough_to_accept() -> None:
    """At a low rate a part lasts until it holds twice the requests that would prove the target without a miss."""
    goal = dataclasses.replace(GOAL, low=1.0, high=2.0, target=0.99, probe_s=10.0)
    first = next_move(goal, FREE, [])
    assert isinstance(first, Order)
    assert first.window_s is not None
    assert first.load * first.window_s >= 2 * decide.least_requests(0.99, 0.99) * 0.999
