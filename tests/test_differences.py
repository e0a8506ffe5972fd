"""Intervals and tests of differences: against published values, by simulation with known truth, and by properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.differences import difference, discovery, laws, paired, within
from analysis.differences.sample import Sample, effective

RUNS = 60


def sample(values, blocks=1):
    values = np.asarray(values, dtype=np.float64)
    return Sample(values, np.repeat(np.arange(blocks), len(values) // blocks))


def correlated(rng, n, rho):
    noise = rng.normal(size=n) * np.sqrt(1 - rho * rho)
    found = np.empty(n)
    last = rng.normal()
    for i in range(n):
        last = found[i] = rho * last + noise[i]
    return found


@pytest.mark.parametrize(
    ("dof", "critical"), [(1, 12.7062), (2, 4.30265), (3, 3.18245), (8, 2.30600), (9, 2.26216), (29, 2.04523)]
)
def test_student_s_quantiles_are_those_of_the_tables(dof, critical):
    """Two-sided 95 %, as printed; the distribution function gives them back, and both tails are alike."""
    assert laws.student_ppf(0.975, dof) == pytest.approx(critical, rel=1e-5)
    assert laws.student_cdf(critical, dof) == pytest.approx(0.975, abs=1e-6)
    assert laws.student_ppf(0.025, dof) == pytest.approx(-critical, rel=1e-5)


def test_newcombe_s_own_example():
    """56 of 70 against 48 of 80 (Statistics in Medicine 17:873, table II, method 10): 0.2000, 0.0524 to 0.3339."""
    found = within.share(sample([1] * 48 + [0] * 32), sample([1] * 56 + [0] * 14))
    # Sorted ones and zeros are as dependent as values can be; the printed interval is of independent ones.
    p_a, p_b = found.a, found.b
    low_a, high_a = within.wilson(p_a, 80)
    low_b, high_b = within.wilson(p_b, 70)
    assert p_b - p_a == pytest.approx(0.2)
    assert p_b - p_a - np.hypot(p_b - low_b, high_a - p_a) == pytest.approx(0.0524, abs=5e-5)
    assert p_b - p_a + np.hypot(high_b - p_b, p_a - low_a) == pytest.approx(0.3339, abs=5e-5)
    shuffled = np.random.default_rng(1)
    mixed = within.share(
        sample(shuffled.permutation([1] * 48 + [0] * 32)), sample(shuffled.permutation([1] * 56 + [0] * 14))
    )
    assert mixed.low <= 0.0524 + 5e-5
    assert mixed.high >= 0.3339 - 5e-5


def test_benjamini_and_hochberg_s_own_example():
    """Their fifteen p-values (1995, section 4): four are called at 5 %."""
    p = [
        0.0001,
        0.0004,
        0.0019,
        0.0095,
        0.0201,
        0.0278,
        0.0298,
        0.0344,
        0.0459,
        0.3240,
        0.4262,
        0.5719,
        0.6528,
        0.7590,
        1.0,
    ]
    found = discovery.adjusted(p)
    assert [level <= 0.05 for level in found] == [True] * 4 + [False] * 11
    assert found[3] == pytest.approx(0.0095 * 15 / 4)


@given(st.lists(st.floats(0, 1), max_size=30))
def test_adjusted_levels_are_never_below_their_own_and_keep_the_order(p):
    """Asking more questions makes nothing surer."""
    found = discovery.adjusted(p)
    assert all(level >= value - 1e-12 for level, value in zip(found, p, strict=True))
    ordered = [found[i] for i in np.argsort(p)]
    assert ordered == sorted(ordered)


@pytest.mark.parametrize(("p", "n"), [(0.5, 1000), (0.95, 1000)])
def test_intervals_of_a_quantile_s_difference_hold_the_truth(p, n):
    """Two independent exponential samples of one law: 95 % promised, at least 54 of 60 held (57 expected; binomial 2 % point)."""
    held = 0
    for run in range(RUNS):
        rng = np.random.default_rng((1, run))
        found = within.quantile(sample(rng.exponential(size=n)), sample(rng.exponential(size=n)), p)
        held += found.low <= 0 <= found.high
    assert held >= 54


def test_neighbours_that_resemble_one_another_count_for_less():
    """AR(1) with ρ 0.8: an indicator at the median is worth a quarter of its requests or so; independent values nearly all."""
    rng = np.random.default_rng(3)
    for rho, low, high in ((0.0, 0.55, 1.0), (0.8, 0.1, 0.55)):
        shares = []
        for _ in range(20):
            z = sample(correlated(rng, 3000, rho))
            shares.append(effective(z, (z.values <= 0).astype(np.float64)).n / 3000)
        assert low <= np.median(shares) <= high


def test_what_all_blocks_share_is_no_dependence_within_them():
    """Levels that differ from block to block, as a drift makes them, take nothing from the effective number."""
    rng = np.random.default_rng(4)
    values = rng.normal(size=3000) + np.repeat(np.arange(10) * 5.0, 300)
    found = effective(sample(values, 10), values)
    assert found.n > 1500
    assert effective(sample(values), values).n < 100


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.floats(0.001, 1000), st.floats(-500, 500))
def test_units_and_origin_change_no_verdict(seed, scale, shift):
    """Both sides in other units, or both moved: the difference scales, its p-value stays."""
    rng = np.random.default_rng(seed)
    a, b = rng.exponential(size=400), 1.1 * rng.exponential(size=400)
    order = [block % 2 == 1 for block in range(4)]
    plain = difference.of_quantile(sample(a, 4), sample(b, 4), 0.5, order)
    other = difference.of_quantile(sample(a * scale + shift, 4), sample(b * scale + shift, 4), 0.5, order)
    assert other.estimate == pytest.approx(plain.estimate * scale, rel=1e-6, abs=1e-9)
    assert other.p_value == pytest.approx(plain.p_value, rel=1e-3, abs=1e-9)
    assert other.low == pytest.approx(plain.low * scale, rel=1e-3, abs=1e-6 * max(1, scale))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_who_is_called_the_baseline_only_turns_the_sign(seed):
    """B against A is A against B, mirrored, up to the draws of the bootstrap."""
    rng = np.random.default_rng(seed)
    a, b = sample(rng.exponential(size=400), 4), sample(1.2 * rng.exponential(size=400), 4)
    order = [False, True, False, True]
    there = difference.of_quantile(a, b, 0.5, order)
    back = difference.of_quantile(b, a, 0.5, [not first for first in order])
    assert back.estimate == pytest.approx(-there.estimate)
    assert back.high - back.low == pytest.approx(there.high - there.low, rel=0.15)


def test_a_drift_in_a_line_is_no_scatter_of_the_blocks():
    """Each turn is 1 ms slower than the one before it, A B, B A: the difference is 0, and blocks say that they are sure of it."""
    a, b, first = [], [], []
    for block in range(10):
        of_b = block % 2 == 1
        first.append(of_b)
        a += [100.0 + 2 * block + of_b] * 20
        b += [100.0 + 2 * block + (not of_b)] * 20
    between = paired.jackknife(sample(a, 10), sample(b, 10), first, np.mean)
    assert np.mean(a) == np.mean(b)
    assert between.error == pytest.approx(0, abs=1e-9)
    assert between.dof == 8


def test_blocks_that_scatter_more_than_requests_widen_the_interval():
    """Single requests agree to 0.1 ms, blocks differ by 10 ms now this way and now that: nothing is shown, and the reason is told."""
    rng = np.random.default_rng(5)
    wobble = np.repeat([10, -12, 9, 14, -11, -9, 8, 12, -10, -9], 50)
    a = sample(100 + 0.1 * rng.normal(size=500), 10)
    b = sample(100.5 + wobble + 0.1 * rng.normal(size=500), 10)
    found = difference.of_mean(a, b, [block % 2 == 1 for block in range(10)])
    assert found.from_blocks
    assert found.low < 0 < found.high
    assert found.p_value > 0.05


def test_two_few_requests_bound_no_high_quantile():
    """A p99 takes 368 independent requests, a median six; less is None and not a guess."""
    rng = np.random.default_rng(6)
    few, many = sample(rng.normal(size=300)), sample(rng.normal(size=3000))
    assert within.quantile(few, many, 0.99) is None
    assert within.quantile(few, many, 0.5) is not None
    assert within.bounded(368, 0.99)
    assert not within.bounded(360, 0.99)
    assert within.quantile(sample([]), many, 0.5) is None


def test_fewer_than_four_blocks_are_not_paired():
    """Two degrees of freedom are spent on the mean and the order; blocks that one side lacks pair nothing either."""
    three = sample(range(300), 3)
    assert paired.jackknife(three, three, [False, True, False], np.mean) is None
    assert paired.jackknife(sample(range(400), 4), sample(range(500), 5), [False] * 4, np.mean) is None


def test_identical_sides_differ_by_nothing():
    """All requests alike: the difference is 0 with no width, and is not called one."""
    same = sample([5.0] * 400, 4)
    found = difference.of_quantile(same, same, 0.5, [False, True, False, True])
    assert (found.estimate, found.low, found.high, found.p_value) == (0, 0, 0, 1)
