"""Limiters are found from who was admitted, on traffic that the plain reference limiters of benchmarks/onset let through."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.onset import levels, threshold
from analysis.onset.identify import identify
from analysis.onset.observed import observed
from benchmarks.onset import draw
from benchmarks.onset.draw import Limit, Traffic


def traffic(rates, seconds=40.0, seed=1, way_s=0.0, service_s=0.5, lengths=True):
    """Poisson steps of these rates, 15 s between them. Without ``lengths`` all requests are alike."""
    rng = np.random.default_rng(seed)
    steps = [(rate, i * (seconds + 15), i * (seconds + 15) + seconds) for i, rate in enumerate(rates)]
    sent = [np.sort(rng.uniform(start, end, rng.poisson(rate * seconds))) for rate, start, end in steps]
    n = sum(map(len, sent))
    tokens = [rng.integers(20, 400, n) if lengths else np.full(n, size) for size in (200, 80)]
    return Traffic(
        sent_s=np.concatenate(sent),
        step=np.repeat(np.arange(len(steps)), [len(s) for s in sent]),
        steps=steps,
        input_tokens=tokens[0],
        max_tokens=tokens[1],
        output_tokens=np.maximum(1, (tokens[1] * rng.uniform(0.2, 1, n)).astype(int)) if lengths else tokens[1],
        way_s=rng.exponential(way_s, (n, 2)) if way_s else np.zeros((n, 2)),
        service_s=service_s * rng.lognormal(0, 0.4, n),
    )


def seen_of(limits, requests):
    admitted, done_s = draw.outcome(limits, requests)
    return observed(requests.sent_s, done_s, admitted, {rule: requests.charge(rule) for rule in draw.CHARGES})


@pytest.mark.parametrize(
    "limit",
    [
        Limit("concurrency", "requests", 6, float("nan")),
        Limit("token bucket", "requests", 23, 8.2),
        Limit("token bucket", "input+max_tokens", 9000, 3300),
        Limit("sliding window", "requests", 80, 8, window_s=10.0),
        Limit("sliding window", "input", 2000, 2000, window_s=1.0),
        Limit("fixed window", "max(max_tokens,input)", 25000, 2500, window_s=10.0, phase_s=3.0),
        Limit("fixed window", "requests", 80, 8, window_s=10.0),  # a window begins with a request
    ],
    ids=lambda limit: f"{limit.law}, {limit.charge}, {limit.window_s}",
)
def test_the_limiter_is_named_and_measured(limit):
    """Without a network in between, law and charge are found for sure, size and refill lie in their intervals, refill within 0.5 %."""
    found = identify(seen_of([limit], traffic([6, 9, 14, 20])))
    (limiter,) = found.limiters
    assert limiter.kind == (limit.law, limit.charge, limit.window_s)
    assert found.certain
    assert found.errors <= 2
    assert limiter.size.low <= limit.size <= limiter.size.high
    if limit.law != "concurrency":
        assert limiter.refill.low - 1e-9 <= limit.refill <= limiter.refill.high + 1e-9
        assert limiter.refill.value == pytest.approx(limit.refill, rel=0.005)


def test_a_counter_by_the_minute_that_counts_refusals_too_is_a_fixed_window():
    """As a gateway's ``rpm`` works: a count under the clock's minute, of refused requests as well. Once it is full all are refused until the
    minute ends, so it cannot be told from a window that counts what it admits; size, window and where it begins are found.
    """
    requests = traffic([2, 6], seconds=190.0)
    second_s = 37.7  # of the minute, when the first request was sent
    minute = np.floor((requests.sent_s - requests.sent_s[0] + second_s) / 60)
    place = np.arange(len(minute)) - np.searchsorted(minute, minute)
    admitted = place < 180
    done_s = requests.sent_s + np.where(admitted, 0.3, 0.01)
    found = identify(observed(requests.sent_s, done_s, admitted, {r: requests.charge(r) for r in draw.CHARGES}))
    (limiter,) = found.limiters
    assert limiter.kind == ("fixed window", "requests", 60.0)
    assert found.certain
    assert found.errors == 0
    assert (limiter.size.value, limiter.size.low, limiter.size.high) == (180, 180, 180)
    assert limiter.candidate.phase_s == pytest.approx(60 - second_s, abs=1)


def test_two_limits_at_once_are_told_apart():
    """A bucket of requests and a limit on concurrency, each refusing what the other lets pass: both named, both sizes right."""
    bucket = Limit("token bucket", "requests", 40, 10)
    few = Limit("concurrency", "requests", 12, float("nan"))
    requests = traffic([8, 12, 16], service_s=0.7)
    admitted_by_both = seen_of([few, bucket], requests)
    found = identify(admitted_by_both)
    assert {limiter.candidate.law for limiter in found.limiters} == {"token bucket", "concurrency"}
    sizes = {limiter.candidate.law: limiter.size for limiter in found.limiters}
    assert sizes["concurrency"].low <= 12 <= sizes["concurrency"].high
    assert sizes["token bucket"].low <= 40 <= sizes["token bucket"].high


def test_one_limit_behind_a_wavering_network_stays_one():
    """30 ms on each way blur a bucket's edge; what it then leaves unexplained is not taken for a second limit."""
    found = identify(seen_of([Limit("token bucket", "requests", 23, 8.2)], traffic([6, 9, 14, 20], way_s=0.03)))
    assert [limiter.kind for limiter in found.limiters] == [("token bucket", "requests", None)]


def test_a_quick_limit_on_concurrency_is_seen_through_a_slow_network():
    """Answers of 0.25 s, 20 ms on each way: no threshold parts even half of them, the level decides all the same."""
    requests = traffic([100, 130, 170], seconds=20, way_s=0.02, service_s=0.25)
    found = identify(seen_of([Limit("concurrency", "requests", 28, float("nan"))], requests))
    (limiter,) = found.limiters
    assert found.errors > found.refused / 2
    assert limiter.candidate.law == "concurrency"
    assert limiter.size.low <= 28 <= limiter.size.high


def test_few_that_are_admitted_are_as_blurred_as_few_that_are_refused():
    """Most are refused: errors that are more than half of the admitted ones are less than half of the refused, and no threshold shows all the same."""
    requests = traffic([100, 130], seconds=20, way_s=0.02, service_s=0.25)
    found = identify(seen_of([Limit("concurrency", "requests", 12, float("nan"))], requests))
    assert found.blurred
    assert (found.looked_at - found.refused) / 2 < found.errors <= found.refused / 2
    assert not identify(seen_of([Limit("token bucket", "requests", 23, 8.2)], traffic([6, 9, 14, 20]))).blurred


def test_charges_that_do_not_differ_are_not_told_apart():
    """With requests all alike a limit in tokens is one in requests as well: it is told in requests, and in tokens beside."""
    limit = Limit("token bucket", "input", 4600, 1640)
    seen = seen_of([limit], traffic([6, 9, 14], lengths=False))
    (limiter,) = identify(seen).limiters
    assert limiter.kind == ("token bucket", "requests", None)
    assert limiter.refill.value == pytest.approx(8.2, rel=0.005)
    assert seen.alike["requests"]["input"] == pytest.approx(200)
    assert set(seen.alike["requests"]) == {"input", "max(max_tokens,input)", "input+max_tokens", "actual"}


def test_few_refusals_are_not_enough():
    """With fewer than 20 refusals nothing is named."""
    found = identify(seen_of([Limit("token bucket", "requests", 100, 8.2)], traffic([6, 8], seconds=10)))
    assert found.limiters == ()
    assert "not enough data" in found.why


def test_an_allowance_that_never_comes_back_is_not_enough():
    """300 requests and then none: whether that is a minute's or a day's limit, this run cannot know."""
    found = identify(seen_of([Limit("fixed window", "requests", 300, 1, 10_000.0, 0.0)], traffic([6, 9, 14])))
    assert found.limiters == ()
    assert "did not come back" in found.why


def test_refusals_by_chance_are_no_limiter():
    """A target that refuses a third of its requests at random has no limit that could be named."""
    requests = traffic([6, 9, 14])
    admitted = np.random.default_rng(3).random(len(requests.sent_s)) > 1 / 3
    charges = {rule: requests.charge(rule) for rule in draw.CHARGES}
    found = identify(observed(requests.sent_s, requests.sent_s + 0.5, admitted, charges))
    assert found.limiters == ()
    assert "no limiter that is known" in found.why


def drawn_requests():
    """Gaps in ms, admitted or not, charges."""
    request = st.tuples(st.integers(1, 900), st.booleans(), st.integers(1, 50))
    return st.lists(request, min_size=2, max_size=40)


def arrays_of(requests):
    gaps, admitted, charge = zip(*requests, strict=True)
    sent_s = np.cumsum(gaps) / 1e3
    seen = observed(sent_s, sent_s + 0.3, np.array(admitted), {"requests": np.ones(len(gaps))})
    return seen, np.array(charge, dtype=float)


@settings(max_examples=60, deadline=None)
@given(drawn_requests(), st.sampled_from([0.5, 1.0, 3.0]))
def test_levels_are_what_their_definitions_say(requests, window_s):
    """Each level equals the sum that its limiter's definition makes, one request at a time."""
    seen, charge = arrays_of(requests)
    before = levels.charged_before(seen, charge)
    found = {
        "sliding": levels.sliding(seen.sent_s, before, charge, window_s),
        "fixed": levels.fixed(seen.sent_s, before, charge, window_s, 0.0),
        "opened": levels.opened(seen.sent_s, before, charge, window_s),
        "bucket": levels.bucket(seen.sent_s, before, charge, 20.0),
        "flight": levels.in_flight(seen),
    }
    opened_s, lacking, last_s = -np.inf, 0.0, 0.0
    for n, t_s in enumerate(seen.sent_s):
        earlier = [(s, c) for s, c, a in zip(seen.sent_s[:n], charge, seen.admitted, strict=False) if a]
        opened_s = t_s if t_s >= opened_s + window_s else opened_s
        lacking = max(0.0, lacking - 20.0 * (t_s - last_s))
        last_s = t_s
        expected = {
            "sliding": sum(c for s, c in earlier if s > t_s - window_s),
            "fixed": sum(c for s, c in earlier if s // window_s == t_s // window_s),
            "opened": sum(c for s, c in earlier if s >= opened_s),
            "bucket": lacking,
        }
        assert {k: found[k][n] for k in expected} == pytest.approx({k: v + charge[n] for k, v in expected.items()})
        leaves_s = t_s + seen.round_trip_s
        assert found["flight"][n] == 1 + sum(s + 0.3 > leaves_s for s, _ in earlier)
        lacking += charge[n] * seen.admitted[n]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=1, max_size=30))
def test_a_curve_counts_errors_as_one_would_by_hand(pairs):
    """At every level the errors are the refused up to it and the admitted above it; the best has the fewest, the rough count no fewer."""
    level, admitted = np.array([p[0] for p in pairs], float), np.array([p[1] for p in pairs])
    curve = threshold.curve(level, admitted)
    by_hand = [np.sum((level <= at) != admitted) for at in curve.levels]
    assert curve.errors.tolist() == by_hand
    assert curve.best().errors == min(by_hand)
    assert threshold.rough_errors(level, admitted) >= min(by_hand)
    assert curve.within(min(by_hand)) is not None
