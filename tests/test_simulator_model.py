"""The timing models, alone: hand-computed cases, and the four promises of simulator/model.py over drawn arrivals."""

from __future__ import annotations

import statistics
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.model import LAWS, BatchTiming, Drift, FixedTiming, Jitter, Model, Sequence

NO_JITTER = 0.0
Arrival = tuple[int, int, int]  # t_ns, input tokens, events

ARRIVALS = st.lists(
    st.tuples(st.integers(0, 3_000), st.integers(0, 50), st.integers(1, 6)), min_size=1, max_size=25
).map(sorted)
TIMES = st.lists(st.integers(0, 6_000), max_size=20)

UNTIMED = settings(deadline=None)


def fixed(cv: float = NO_JITTER, seed: int = 1, drift: float = 0.0) -> FixedTiming:
    jitter = Jitter(seed, cv, "gamma", draws=64)
    return FixedTiming(ttft_ns=100, ttft_per_token_ns=2, itl_ns=10, jitter=jitter, drift=Drift(drift))


def batch(
    cv: float = NO_JITTER, seed: int = 1, max_batch: int = 2, prefill_tokens_max: int = 1_000, drift: float = 0.0
) -> BatchTiming:
    return BatchTiming(
        max_batch=max_batch,
        prefill_base_ns=100,
        prefill_per_token_ns=1,
        prefill_tokens_max=prefill_tokens_max,
        decode_base_ns=10,
        decode_per_sequence_ns=5,
        jitter=Jitter(seed, cv, "gamma", draws=64),
        drift=Drift(drift),
    )


def drive(model: Model, arrivals: list[Arrival], looks: list[int]) -> list[tuple[int, int]]:
    """(due_ns, arrival) in the order of coming out, with ``due`` asked at each look and then at every time it names."""
    found: list[tuple[int, int]] = []
    steps = sorted([(t, 0, i) for i, (t, _, _) in enumerate(arrivals)] + [(t, 1, 0) for t in looks])
    for t, is_look, i in steps:
        if is_look:
            found += [(due_ns, s.key) for due_ns, _, s in model.due(t)]
        else:
            model.arrive(i, *arrivals[i])
    while (at := model.next_ns()) is not None:
        found += [(due_ns, s.key) for due_ns, _, s in model.due(at)]
    return found


@pytest.mark.parametrize("make", [fixed, batch])
@pytest.mark.parametrize("cv", [NO_JITTER, 0.3])
@UNTIMED
@given(arrivals=ARRIVALS, looks=TIMES)
def test_every_sequence_gets_its_events_in_order(make, cv, arrivals, looks):
    """Conservation and order: as many events as asked for, none before its arrival, all in order of time."""
    found = drive(make(cv), arrivals, looks)
    for i, (t, _, events) in enumerate(arrivals):
        mine = [due for due, key in found if key == i]
        assert len(mine) == events
        assert mine[0] >= t
    by_time = [due for due, _ in found]
    assert by_time == sorted(by_time)


@pytest.mark.parametrize("make", [fixed, batch])
@UNTIMED
@given(arrivals=ARRIVALS, looks=TIMES, others=TIMES)
def test_what_is_due_does_not_depend_on_when_one_looks(make, arrivals, looks, others):
    """The same arrivals and seed give the same times, however often and whenever ``due`` is called."""
    assert drive(make(0.3), arrivals, looks) == drive(make(0.3), arrivals, others)


@pytest.mark.parametrize("make", [fixed, batch])
@UNTIMED
@given(arrivals=ARRIVALS, data=st.data())
def test_a_cancelled_sequence_gets_nothing_more(make, arrivals, data):
    """After cancel no event of the sequence comes out, and the others still get all of theirs."""
    model = make()
    last = arrivals[-1][0]
    sequences: list[Sequence] = [model.arrive(i, *arrival) for i, arrival in enumerate(arrivals)]
    before = [s.key for _, _, s in model.due(last + data.draw(st.integers(0, 400)))]
    gone = data.draw(st.integers(0, len(arrivals) - 1))
    model.cancel(sequences[gone])
    after = []
    while (at := model.next_ns()) is not None:
        after += [s.key for _, _, s in model.due(at)]
    assert gone not in after
    for i, (_, _, events) in enumerate(arrivals):
        assert i == gone or (before + after).count(i) == events


def test_fixed_times_by_hand():
    """TTFT 100 + 2 a token, then one event every 10; neighbours change nothing."""
    found = drive(fixed(), [(0, 5, 3), (7, 0, 2)], [])
    assert found == [(107, 1), (110, 0), (117, 1), (120, 0), (130, 0)]


def test_batch_alone_by_hand():
    """A prefill of 100 + 1·20, then decodes of 10 + 5·1."""
    assert drive(batch(), [(1_000, 20, 3)], []) == [(1_120, 0), (1_135, 0), (1_150, 0)]


def test_batch_prefill_goes_first_and_stalls_the_others():
    """One arrives while the first decodes: from the next iteration's start its prefill holds the first one up."""
    found = drive(batch(), [(0, 0, 4), (105, 0, 2)], [])
    # 0: prefill → 100; decode 100–115; prefill of the second 115–215; decodes of two take 20; the second ends at 235
    assert found == [(100, 0), (115, 0), (215, 1), (235, 0), (235, 1), (250, 0)]


def test_batch_queue_by_hand():
    """With a batch of 2, the third waits until one of the first two has ended."""
    model = batch()
    sequences = [model.arrive(i, 0, 0, 2) for i in range(3)]
    assert model.waiting == 2  # an idle engine starts on the first alone
    found = []
    while (at := model.next_ns()) is not None:
        found += [(due, s.key) for due, _, s in model.due(at)]
    # prefills 0–100 and 100–200 fill the batch; decode of two 200–220; prefill of the third 220–320; decode 320–335
    assert found == [(100, 0), (200, 1), (220, 0), (220, 1), (320, 2), (335, 2)]
    assert [s.started_ns for s in sequences] == [0, 100, 220]


def test_batch_prefills_what_fits_the_token_budget():
    """Sequences that wait together share a prefill up to the budget; one above it goes alone."""
    model = batch(max_batch=8, prefill_tokens_max=50)
    for i, tokens in enumerate([0, 30, 20, 1, 80]):
        model.arrive(i, 0, tokens, 1)
    found = []
    while (at := model.next_ns()) is not None:
        found += [(due, s.key) for due, _, s in model.due(at)]
    # 0 alone (100); 30 + 20 (150); 1 (101), since 1 + 80 is too much; 80 (180)
    assert found == [(100, 0), (250, 1), (250, 2), (351, 3), (531, 4)]


@UNTIMED
@given(arrivals=ARRIVALS, max_batch=st.integers(1, 4))
def test_the_batch_is_never_exceeded(arrivals, max_batch):
    """At no time do more than max_batch sequences run; waiting ones start first come, first served."""
    model = batch(max_batch=max_batch)
    sequences = []
    for i, arrival in enumerate(arrivals):
        model.due(arrival[0] - 1)
        assert model.running <= max_batch
        sequences.append(model.arrive(i, *arrival))
    while (at := model.next_ns()) is not None:
        assert model.running <= max_batch
        model.due(at)
    starts = [s.started_ns for s in sequences]
    assert all(a <= b for a, b in pairwise(starts))


@pytest.mark.parametrize("law", LAWS)
def test_jitter_has_mean_one_and_the_given_variation(law):
    """Every law's factors have mean 1 and the coefficient of variation that was asked for, to sampling error."""
    factors = Jitter(7, 0.2, law).factors
    assert statistics.fmean(factors) == pytest.approx(1, abs=0.005)
    assert statistics.pstdev(factors) == pytest.approx(0.2, rel=0.03)
    assert min(factors) >= 0


def test_another_seed_gives_other_times():
    """The seed decides the jitter."""
    arrivals = [(0, 0, 4)]
    assert drive(fixed(0.3, seed=1), arrivals, []) != drive(fixed(0.3, seed=2), arrivals, [])


def test_a_sequence_without_events_is_refused():
    """An answer has at least one event, so that it can end."""
    with pytest.raises(ValueError, match="at least one"):
        fixed().arrive("x", 0, 0, 0)


MINUTE_NS = 60_000_000_000


@pytest.mark.parametrize(("make", "first_ns"), [(fixed, 100), (batch, 100)])
def test_drift_makes_later_answers_slower(make, first_ns):
    """At 50 % a minute the first token takes as long as ever at first, half as long again after a minute, twice as long after two."""
    arrivals = [(MINUTE_NS * k + 7, 0, 1) for k in range(3)]
    found = drive(make(drift=0.5), arrivals, [])
    assert [due - MINUTE_NS * k - 7 for k, (due, _) in enumerate(found)] == [first_ns, first_ns * 1.5, first_ns * 2]
