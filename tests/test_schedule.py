"""The schedule: its laws, its ends, that it repeats, and that sharding only deals it out."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator import schedule
from generator.job import MANY, Length, Step, WorkloadSpec

SPEC = WorkloadSpec("synthetic", Length("fixed", 10), Length("fixed", 10))


def step(arrivals="poisson", rate=100.0, end=None, duration_s=None, requests=None, burstiness=None, seed=(42, 0)):
    return Step(
        step_id=0,
        name="x",
        target="target",
        arrivals=arrivals,
        workload=SPEC,
        seed=seed,
        rate_rps=rate,
        rate_end_rps=end,
        burstiness=burstiness,
        duration_ns=MANY if duration_s is None else round(duration_s * 1e9),
        requests=MANY if requests is None else requests,
    )


def ks_distance(sample, distribution):
    """Kolmogorov's distance between a sample and a continuous distribution function."""
    x = np.sort(sample)
    f = distribution(x)
    n = len(x)
    return max((np.arange(1, n + 1) / n - f).max(), (f - np.arange(n) / n).max())


def ks_limit(n):
    """Of the distance at α = 0.001; with a fixed seed a test passes always or never."""
    return 1.95 / math.sqrt(n)


STEPS = st.builds(
    step,
    arrivals=st.sampled_from(["poisson", "constant", "gamma"]),
    rate=st.floats(0.1, 500),
    end=st.none() | st.floats(0, 500),
    duration_s=st.floats(0.01, 20),
    burstiness=st.floats(0.05, 20),
    seed=st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 10_000)),
)
COUNTED = st.builds(
    step,
    arrivals=st.sampled_from(["poisson", "constant", "gamma"]),
    rate=st.floats(0.1, 500),
    requests=st.integers(1, 2_000),
    burstiness=st.floats(0.05, 20),
    seed=st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 10_000)),
)


@given(STEPS)
@settings(max_examples=60, deadline=None)
def test_offsets_are_sorted_int64_within_the_step(this):
    """Every offset is an int64 in [0, duration), in order."""
    due = schedule.offsets(this)
    assert due.dtype == np.int64
    assert (np.diff(due) >= 0).all()
    assert len(due) == 0 or (due[0] >= 0 and due[-1] < this.duration_ns)


@given(COUNTED)
@settings(max_examples=40, deadline=None)
def test_an_end_by_number_gives_that_number(this):
    """A step of N requests has N arrivals, whatever its law."""
    assert len(schedule.offsets(this)) == this.requests


@given(STEPS)
@settings(max_examples=30, deadline=None)
def test_the_same_seed_gives_the_same_schedule(this):
    """Drawing twice gives equal offsets."""
    assert np.array_equal(schedule.offsets(this), schedule.offsets(this))


@given(st.lists(st.integers(0, 2**62), max_size=300), st.integers(1, 64))
def test_shards_are_the_schedule_dealt_out(times, workers):
    """Arrival n goes to worker n mod W with its offset: put together again, the shards are the schedule, each arrival once."""
    arrivals = np.array(sorted(times), dtype=np.int64)
    whole = np.full(len(arrivals), -1, dtype=np.int64)
    for index in range(workers):
        numbers, offsets = schedule.shard(arrivals, index, workers)
        assert (numbers % workers == index).all()
        assert (whole[numbers] == -1).all()
        whole[numbers] = offsets
    assert np.array_equal(whole, arrivals)


def test_steps_of_one_run_do_not_repeat_each_other():
    """Two steps alike but for their number have schedules of their own, and so have two seeds."""
    one, two, other = (schedule.offsets(step(requests=100, seed=s)) for s in [(42, 0), (42, 1), (43, 0)])
    assert not np.array_equal(one, two)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize(
    ("rate", "duration_s", "count"),
    [(20, 1, 20), (20, 1.01, 21), (0.1, 30, 3), (3, 1, 3), (1 / 3, 9, 3), (0.05, 10, 1)],
)
def test_constant_arrivals_start_at_zero_and_keep_their_gap(rate, duration_s, count):
    """Constant arrivals are due at k/rate for every k with k/rate < duration."""
    due = schedule.offsets(step("constant", rate, duration_s=duration_s))
    assert len(due) == count
    assert np.abs(due - np.arange(count) / rate * 1e9).max() <= 1


def test_poisson_gaps_are_exponential_and_independent():
    """Gaps follow 1 − exp(−λx); their mean, their CV and the correlation of neighbours are those of a Poisson process."""
    gaps = np.diff(schedule.offsets(step(rate=200, requests=20_000))) / 1e9
    assert ks_distance(gaps, lambda x: 1 - np.exp(-200 * x)) < ks_limit(len(gaps))
    assert gaps.mean() == pytest.approx(1 / 200, rel=0.03)
    assert gaps.std() / gaps.mean() == pytest.approx(1, rel=0.04)
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 3.3 / math.sqrt(len(gaps))


def test_poisson_counts_have_the_dispersion_of_a_poisson_process():
    """The variance of counts in bins over their mean is 1; a process that is re-anchored or shared out badly fails here."""
    due = schedule.offsets(step(rate=100, duration_s=400))
    counts = np.bincount(due // 200_000_000, minlength=2000)
    assert counts.var() / counts.mean() == pytest.approx(1, abs=3.3 * math.sqrt(2 / len(counts)))
    assert len(due) == pytest.approx(40_000, abs=3.3 * 200)


@pytest.mark.parametrize("shape", [0.25, 1, 4])
def test_gamma_gaps_have_their_shape(shape):
    """Mean 1/λ and CV 1/√shape; shape 1 is the exponential law."""
    gaps = np.diff(schedule.offsets(step("gamma", 50, requests=40_000, burstiness=shape))) / 1e9
    assert gaps.mean() == pytest.approx(1 / 50, rel=0.05)
    assert gaps.std() / gaps.mean() == pytest.approx(shape**-0.5, rel=0.05)
    if shape == 1:
        assert ks_distance(gaps, lambda x: 1 - np.exp(-50 * x)) < ks_limit(len(gaps))


@pytest.mark.parametrize(("start", "end"), [(5, 50), (50, 5), (0, 40), (40, 0)])
def test_a_poisson_ramp_is_a_poisson_process_after_rescaling(start, end):
    """Λ of the arrivals has gaps of Exp(1): the ramp is exact, not a staircase; and the count is Poisson(Λ(T))."""
    duration_s = 400
    due = schedule.offsets(step(rate=start, end=end, duration_s=duration_s)) / 1e9
    tau = start * due + (end - start) / duration_s * due**2 / 2
    gaps = np.diff(tau)
    assert ks_distance(gaps, lambda x: 1 - np.exp(-x)) < ks_limit(len(gaps))
    total = (start + end) / 2 * duration_s
    assert len(due) == pytest.approx(total, abs=3.3 * math.sqrt(total))


@pytest.mark.parametrize("arrivals", ["constant", "gamma"])
def test_other_laws_ride_the_same_ramp(arrivals):
    """After rescaling, constant arrivals are one apart and gamma gaps keep mean 1 and their CV."""
    due = schedule.offsets(step(arrivals, 10, end=90, duration_s=200, burstiness=0.5)) / 1e9
    gaps = np.diff(10 * due + 80 / 200 * due**2 / 2)
    if arrivals == "constant":
        assert np.abs(gaps - 1).max() < 1e-6
    else:
        assert gaps.mean() == pytest.approx(1, rel=0.05)
        assert gaps.std() == pytest.approx(2**0.5, rel=0.06)


@given(st.floats(0, 1000), st.floats(0, 1000), st.floats(0.01, 1e5), st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_the_inverse_of_a_ramp_undoes_its_integral(start, end, duration_s, shares):
    """Λ(Λ⁻¹(τ)) = τ for all ramps, falling and flat ones included, and times lie within the step."""
    if start + end < 1e-3:
        return
    total = (start + end) / 2 * duration_s
    tau = np.array(sorted(shares)) * total
    t = schedule.inverse_ramp(tau, start, end, duration_s)
    back = start * t + (end - start) / duration_s * t**2 / 2
    assert np.allclose(back, tau, rtol=1e-6, atol=1e-6 * total)
    assert (t <= duration_s * (1 + 1e-6)).all()


def test_a_trace_keeps_its_gaps():
    """Offsets are the trace's times over the speed, cut by duration or by number."""
    times = np.array([0.0, 0.5, 2.0, 2.0, 7.25])
    whole = schedule.trace_offsets(times, 2, step("trace", None))
    assert whole.tolist() == [0, 250_000_000, 1_000_000_000, 1_000_000_000, 3_625_000_000]
    assert len(schedule.trace_offsets(times, 2, step("trace", None, duration_s=1))) == 2
    assert len(schedule.trace_offsets(times, 1, step("trace", None, requests=4))) == 4


def test_a_closed_step_has_no_schedule():
    """Offsets of a closed loop are refused: they depend on the answers."""
    with pytest.raises(ValueError, match="no rate"):
        schedule.offsets(step("closed", None))


def test_a_schedule_that_no_memory_holds_is_refused_before_it_is_drawn():
    """More than MOST_ARRIVALS raises at once."""
    with pytest.raises(ValueError, match="more than"):
        schedule.offsets(step(rate=1e6, duration_s=86_400))


def test_a_golden_schedule():
    """The first offsets of seed 42: a change here changes every run that is repeated by its seed."""
    assert schedule.offsets(step(rate=100, requests=4)).tolist() == [6856527, 16447651, 26858409, 28354113]
    bursts = step("gamma", 5, end=50, duration_s=10, burstiness=0.5)
    assert schedule.offsets(bursts)[:4].tolist() == [402731399, 613107853, 615126961, 1098684060]
