"""The tests of arrival processes keep their level under the law and find what breaks it. Seeds are fixed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis import arrivals
from analysis.enough import binomial_tail, least_n, misses_bounded

RUNS = 300


def gaps_of(law, rng, n=400):
    if law == "poisson":
        return rng.standard_exponential(n)
    if law == "ramp":
        start, end, duration = 20.0, 60.0, n / 40
        offsets = np.sort((-start + np.sqrt(start**2 + (end**2 - start**2) * rng.random(n))) * duration / (end - start))
        return np.diff(arrivals.ramp_clock(offsets, start, end, duration), prepend=0.0)
    shape = float(law)
    return arrivals.exponential_gaps(rng.standard_gamma(shape, n) / shape, shape)


@pytest.mark.parametrize("law", ["poisson", "0.3", "4", "60", "ramp"])
def test_the_level_holds_under_the_law(law):
    """Each test rejects at 5 % about one run in twenty that the law itself made: between 1.5 % and 9 % of 300."""
    rng = np.random.default_rng(7)
    rejected = {}
    for _ in range(RUNS):
        for test in arrivals.tests(gaps_of(law, rng)):
            rejected[test.name] = rejected.get(test.name, 0) + (test.p < 0.05)
    assert len(rejected) == 3
    # A ramp with a fixed number of arrivals fixes its last count, which takes a little from dispersion and distance.
    assert all((0.0 if law == "ramp" else 0.015) * RUNS <= n <= 0.09 * RUNS for n in rejected.values()), rejected


def smoothed(rng):
    return np.full(400, 1.0) + rng.normal(0, 0.05, 400)


def bunched(rng):
    times = np.cumsum(rng.standard_exponential(400))
    return np.diff(np.ceil(times / 5) * 5 + np.arange(400) * 1e-6, prepend=0.0)


def slow(rng):
    return rng.standard_exponential(400) * 1.4


def alternating(rng):
    gaps = np.sort(rng.standard_exponential(400))
    return np.column_stack([gaps[:200], gaps[200:][::-1]]).ravel()


@pytest.mark.parametrize(
    ("broken", "name"),
    [(smoothed, "kolmogorov-smirnov"), (smoothed, "dispersion"), (bunched, "kolmogorov-smirnov"), (slow, "kolmogorov-smirnov"),
     (alternating, "autocorrelation")],
)  # fmt: skip
def test_what_breaks_the_law_is_found(broken, name):
    """Smoothed, bunched, slower and alternating sends each fail the test made for them, at one in a million."""
    found = {t.name: t.p for t in arrivals.tests(broken(np.random.default_rng(3)))}
    assert found[name] < 1e-6


def test_few_gaps_are_not_tested():
    """Below 100 there are no tests, and none means no false alarm."""
    assert arrivals.tests(np.ones(99)) == []


def test_equal_gaps_do_not_divide_by_zero():
    """A constant process is as unlike a Poisson process as can be, and still gives numbers."""
    assert all(math.isfinite(t.p) for t in arrivals.tests(np.ones(200)))


def test_gamma_p_against_closed_forms():
    """P(1, x) = 1 − e^(−x), P(1/2, x) = erf √x, and for whole a the Poisson tail; far out it is 1."""
    x = np.array([0.0, 1e-9, 0.3, 1.0, 7.0, 40.0, 2000.0])
    assert arrivals.gamma_p(1.0, x) == pytest.approx(1 - np.exp(-x), abs=1e-13)
    assert arrivals.gamma_p(0.5, x) == pytest.approx([math.erf(math.sqrt(v)) for v in x], abs=1e-13)
    poisson = [1 - sum(math.exp(-v + k * math.log(v) - math.lgamma(k + 1)) for k in range(30)) if v else 0.0 for v in x]
    assert arrivals.gamma_p(30.0, x) == pytest.approx(poisson, abs=1e-12)


def test_early_stopping_needs_what_mlperf_says():
    """n_min for 0, 1, 2, 5 and 10 misses, as published for c = 0.99."""
    table = {
        0.9: (44, 64, 81, 127, 197),
        0.95: (90, 130, 165, 259, 398),
        0.99: (459, 662, 838, 1307, 2010),
        0.999: (4603, 6636, 8403, 13105, 20140),
    }
    for p, row in table.items():
        assert tuple(least_n(p, t) for t in (0, 1, 2, 5, 10)) == row


def test_a_miss_more_than_allowed_is_not_bounded():
    """662 requests prove p99 with one miss and not with two; no requests prove nothing."""
    assert misses_bounded(0.99, 1, 662)
    assert not misses_bounded(0.99, 2, 662)
    assert not misses_bounded(0.99, 0, 0)


def test_binomial_tail_is_a_distribution():
    """All of it is 1, and half of a fair coin's even split is its middle."""
    assert binomial_tail(1000, 1000, 0.3) == pytest.approx(1.0)
    assert binomial_tail(1, 3, 0.5) == pytest.approx(0.5)
