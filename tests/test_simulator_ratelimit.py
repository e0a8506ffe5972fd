"""Rate limits by hand and against brute force."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.ratelimit import CHARGES, NS_PER_S, Limit, Limiter, Reading, go_duration

W = 1_000
MINUTE_NS = 60 * NS_PER_S
REQUESTS = st.lists(st.tuples(st.integers(0, 700), st.integers(0, 6)), min_size=1, max_size=60)

UNTIMED = settings(deadline=None)


def limiter(law: str, amount: int, window_ns: int = W, dimension: str = "tokens") -> Limiter:
    return Limiter([Limit(dimension, amount, window_ns, law)], None, "input")


def brute_force(law: str, amount: int, requests: list[tuple[int, int]]) -> list[bool]:
    """The laws as defined, over the whole history, in exact fractions."""
    admitted: list[tuple[int, int]] = []
    answers = []
    level, seen = Fraction(amount), requests[0][0]
    for t, charge in requests:
        if law == "bucket":
            level, seen = min(Fraction(amount), level + Fraction(amount * (t - seen), W)), t
            fits = charge <= level
            level -= charge if fits else 0
        elif law == "sliding":
            fits = charge + sum(c for at, c in admitted if at > t - W) <= amount
        else:
            first = requests[0][0]
            fits = charge + sum(c for at, c in admitted if (at - first) // W == (t - first) // W) <= amount
        if fits:
            admitted.append((t, charge))
        answers.append(fits)
    return answers


@pytest.mark.parametrize("law", ["bucket", "sliding", "fixed"])
@UNTIMED
@given(gaps=REQUESTS, amount=st.integers(1, 12))
def test_admits_what_the_definition_admits(law, gaps, amount):
    """Each law decides as its definition does on the whole history, and refused requests cost nothing."""
    now, requests = 5, []
    for gap, charge in gaps:
        now += gap
        requests.append((now, charge))
    tested = limiter(law, amount)
    assert [tested.admit(t, charge) is None for t, charge in requests] == brute_force(law, amount, requests)


@pytest.mark.parametrize("law", ["bucket", "sliding", "fixed"])
@UNTIMED
@given(gaps=REQUESTS, amount=st.integers(6, 12))
def test_after_the_wait_it_fits(law, gaps, amount):
    """A refused request that comes again after the wait it was told is admitted, if nothing else came."""
    now = 0
    tested = limiter(law, amount)
    for gap, charge in gaps:
        now += gap
        refused = tested.admit(now, charge)
        if refused is not None:
            assert refused.wait_ns > 0
            now += refused.wait_ns
            assert tested.admit(now, charge) is None


def test_a_bucket_tells_its_refill_rate_in_one_refusal():
    """(Used + Requested − Limit) / wait = L / W exactly, as one 429 of OpenAI tells it; so do limit, remaining and reset."""
    tested = limiter("bucket", 30_000, MINUTE_NS)
    assert tested.admit(0, 29_000) is None
    refused = tested.admit(1_234_567_890, 5_000)
    assert refused is not None
    over = refused.used + refused.requested - refused.amount
    assert over * NS_PER_S / refused.wait_ns == pytest.approx(500, rel=1e-6)
    reading = tested.reading(1_234_567_890, "tokens")
    assert reading is not None
    assert (reading.limit - reading.remaining) * NS_PER_S / reading.reset_ns == pytest.approx(500, rel=1e-6)


def test_reset_is_the_time_until_full():
    """OpenAI's reset counts to a full bucket, not to the next admission: 1 of 5,000 a minute is back after 12 ms."""
    tested = limiter("bucket", 5_000, MINUTE_NS, "requests")
    tested.admit(0, 77)
    assert tested.reading(0, "requests") == Reading(5_000, 4_999, 12_000_000)


def test_one_refusal_charges_no_other_limit():
    """A request that the token limit refuses takes nothing from the request limit."""
    tested = Limiter([Limit("requests", 10, W, "fixed"), Limit("tokens", 5, W, "fixed")], None, "input")
    assert tested.admit(0, 5) is None
    refused = tested.admit(1, 3)
    assert refused is not None
    assert refused.limit is not None
    assert refused.limit.dimension == "tokens"
    assert tested.reading(1, "requests") == Reading(10, 9, W - 1)


def test_the_longest_wait_is_told():
    """Of two limits that refuse, the answer names the one that holds out longer."""
    tested = Limiter([Limit("requests", 1, 10, "fixed"), Limit("requests", 1, 500, "fixed")], None, "input")
    assert tested.admit(0, 1) is None
    refused = tested.admit(1, 1)
    assert refused is not None
    assert refused.wait_ns == 499


def test_too_large_for_the_limit_never_fits():
    """A charge above the limit has no wait: it can never be admitted."""
    refused = limiter("bucket", 10).admit(0, 11)
    assert refused is not None
    assert refused.wait_ns == -1


def test_concurrency_counts_what_is_in_flight():
    """One more than the limit is refused until one is released."""
    tested = Limiter([], 2, "input")
    assert tested.admit(0, 0) is None
    assert tested.admit(0, 0) is None
    refused = tested.admit(0, 0)
    assert refused is not None
    assert (refused.limit, refused.amount, refused.used) == (None, 2, 2)
    tested.release()
    assert tested.admit(0, 0) is None


def test_the_headers_show_the_tightest_limit():
    """Of several limits of a dimension, the one with the smallest share left is read."""
    tested = Limiter([Limit("requests", 100, W, "fixed"), Limit("requests", 2, W, "fixed")], None, "input")
    tested.admit(0, 1)
    assert tested.reading(0, "requests") == Reading(2, 1, W)
    assert tested.reading(0, "tokens") is None


@pytest.mark.parametrize(
    ("rule", "charge"), [("input", 100), ("input+max_tokens", 150), ("max(max_tokens,input)", 100), ("actual", 120)]
)
def test_charge_rules(rule, charge):
    """100 input tokens, 50 asked for, 20 made."""
    assert CHARGES[rule](100, 50, 20) == charge
    assert CHARGES[rule](100, None, 20) == (120 if rule == "actual" else 100)


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0s"),
        (1, "1ms"),
        (12_000_000, "12ms"),
        (1_780_000_000, "1.78s"),
        (59_999_999_999, "1m0s"),
        (360 * NS_PER_S, "6m0s"),
        (3_723 * NS_PER_S, "1h2m3s"),
        (179_560_000_000, "2m59.56s"),
    ],
)
def test_go_durations(ns, text):
    """As the providers write them; rounded up, so that waiting that long is enough."""
    assert go_duration(ns) == text
