"""Prompts and lengths: pure in (seed, arrival), as long as asked, unlike each other from the first word."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator import workload
from generator.job import Correction, Length, Step, WorkloadSpec
from generator.run_dir import RunDir
from generator.workload import lengths, synthetic

SEEDS = st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 9_999))


def step(input_tokens=None, output_tokens=None, dataset=None, prefix=0, seed=(42, 0)):
    spec = WorkloadSpec("w", input_tokens or Length("fixed", 32), output_tokens, dataset, prefix)
    return Step(0, "closed 4", "target", "closed", spec, seed, concurrency=4)


@pytest.fixture
def run(tmp_path):
    (tmp_path / "plan").mkdir()
    return RunDir(tmp_path)


def test_the_word_list_is_what_the_spelling_needs():
    """2,048 distinct words of 4 to 10 small letters: 11 bits each."""
    words = synthetic.words()
    assert len(words) == len(set(words)) == 2048
    assert all(w.isascii() and w.isalpha() and w.islower() and 4 <= len(w) <= 10 for w in words)


@given(SEEDS, st.integers(0, 10**9), st.integers(1, 3000), st.integers(0, 200))
@settings(max_examples=60, deadline=None)
def test_a_prompt_has_the_words_that_were_asked_for(seed, n, count, prefix):
    """Words are counted exactly, the shared prefix included, and joined by single spaces."""
    text = synthetic.Synthetic(seed, prefix).text(n, count)
    assert len(text.split(" ")) == count
    assert set(text.split(" ")) <= set(synthetic.words())


@given(SEEDS, st.integers(0, 10**9))
@settings(max_examples=30, deadline=None)
def test_a_prompt_is_pure_in_seed_and_number(seed, n):
    """Two workers make the same prompt of the same arrival."""
    assert synthetic.Synthetic(seed).text(n, 50) == synthetic.Synthetic(seed).text(n, 50)


def test_prompts_longer_than_the_long_text():
    """A prompt of 200,000 words goes round the text a dozen times and still counts right."""
    assert len(synthetic.Synthetic((1, 0)).text(7, 200_000).split()) == 200_000


@given(st.sets(st.integers(0, 2**66 - 1), min_size=2, max_size=200))
def test_the_mixing_is_a_bijection(values):
    """Different values stay different and within 66 bits."""
    mixed = {synthetic.mix(v) for v in values}
    assert len(mixed) == len(values)
    assert max(mixed) < 2**66


@given(
    st.integers(0, 2**63 - 1),
    st.sets(st.tuples(st.integers(0, 9_999), st.integers(0, 10**9)), min_size=2, max_size=100),
)
def test_no_two_arrivals_of_a_run_are_spelt_alike(seed, arrivals):
    """(step, arrival) → six words is one to one, so nothing needs remembering."""
    assert len({synthetic.spell((seed, s), n) for s, n in arrivals}) == len(arrivals)


def test_neighbours_differ_from_the_first_word():
    """First words of 4,096 neighbours are spread over the list as chance would: no cache can hold a common beginning."""
    source = synthetic.Synthetic((42, 3))
    firsts = [source.text(n, 20).split()[0] for n in range(4096)]
    expected = 2048 * (1 - math.exp(-2))
    assert len(set(firsts)) == pytest.approx(expected, rel=0.05)
    assert len({source.text(n, 6) for n in range(4096)}) == 4096


def test_runs_and_steps_have_other_prompts():
    """Another seed or another step begins otherwise."""
    texts = {synthetic.Synthetic(seed).text(5, 30) for seed in [(1, 0), (1, 1), (2, 0)]}
    assert len(texts) == 3


def test_a_shared_prefix_is_shared_and_what_follows_is_not():
    """All prompts begin with the same words, then each goes its own way at once; the wanted length includes the prefix."""
    source = synthetic.Synthetic((42, 0), 10)
    texts = [source.text(n, 30).split() for n in range(50)]
    assert len({tuple(t[:10]) for t in texts}) == 1
    assert len({tuple(t[10:16]) for t in texts}) == 50
    assert source.text(1, 4).split()[:3] == texts[0][:3]


def test_the_probes_correction_sets_the_number_of_words(run):
    """Words = (tokens − overhead) / tokens a word: a target that adds 8 and counts 1.25 a word gets (508 − 8) / 1.25 = 400."""
    prompt = workload.make(step(Length("fixed", 508)), run, Correction(8, 1.25)).prompt(3)
    assert (prompt.words, prompt.input_tokens, prompt.output_tokens) == (400, 508, None)
    assert len(prompt.text.split()) == 400


def test_a_length_below_the_templates_is_warned_of():
    """A warning where the overhead leaves fewer than six words, none where there is room or the prompts come from a file."""
    assert "none that short" in workload.too_short(step(Length("fixed", 8)), Correction(30, 1))
    assert "fewer than six words" in workload.too_short(step(Length("uniform", low=34, high=90)), Correction(30, 1))
    assert workload.too_short(step(Length("fixed", 64)), Correction(30, 1)) is None
    spec = replace(step().workload, input_tokens=None, dataset="p.jsonl")
    assert workload.too_short(replace(step(), workload=spec), Correction(30, 1)) is None


LAWS = [
    (Length("fixed", 77), 77.0),
    (Length("uniform", low=10, high=30), 20.0),
    (Length("normal", mean=500, sd=50, low=1, high=10_000), 500.0),
    (Length("lognormal", mean=400, sd=300, low=1, high=1_000_000), 400.0),
    (Length("zipf", value=1.0, low=1, high=4), 4 / (1 + 1 / 2 + 1 / 3 + 1 / 4)),
]


@pytest.mark.parametrize(("length", "mean"), LAWS, ids=[length.law for length, _ in LAWS])
def test_lengths_have_their_laws_mean(length, mean):
    """100,000 draws average to the law's mean within 1 %, and so does what the plan says."""
    drawn = lengths.draw(length, np.random.default_rng(1), 100_000)
    assert drawn.dtype == np.int64
    assert drawn.mean() == pytest.approx(mean, rel=0.01)
    assert lengths.mean(length) == pytest.approx(mean, rel=0.01)


def test_the_spread_of_bells_is_that_of_the_tokens():
    """sd is of the tokens themselves, for lognormal too, not of their logarithms."""
    for law in ("normal", "lognormal"):
        drawn = lengths.draw(Length(law, mean=1000, sd=200, low=1, high=10**6), np.random.default_rng(1), 100_000)
        assert drawn.std() == pytest.approx(200, rel=0.02)


def test_zipf_shares():
    """P(k) ∝ 1/k² on {1, 2, 3}: 36/49, 9/49, 4/49."""
    drawn = lengths.draw(Length("zipf", value=2, low=1, high=3), np.random.default_rng(1), 100_000)
    assert np.bincount(drawn)[1:] / 100_000 == pytest.approx([36 / 49, 9 / 49, 4 / 49], abs=0.005)


@given(st.integers(1, 1000), st.integers(0, 1000), st.sampled_from(["normal", "lognormal", "uniform", "zipf"]))
@settings(deadline=None)
def test_lengths_stay_within_their_bounds(low, width, law):
    """Every draw lies in [low, high]."""
    length = Length(law, value=1.1, mean=500.0, sd=400.0, low=low, high=low + width)
    drawn = lengths.draw(length, np.random.default_rng(1), 200)
    assert low <= drawn.min() <= drawn.max() <= low + width


@given(SEEDS, st.lists(st.integers(0, 100_000), min_size=1, max_size=30))
@settings(max_examples=30, deadline=None)
def test_lengths_do_not_depend_on_the_order_of_asking(seed, numbers):
    """A length is a function of (seed, stream, arrival): asked in any order, from any worker, it is the same."""
    length = Length("uniform", low=1, high=10**6)
    forward, backward = lengths.Drawn(length, seed, 1), lengths.Drawn(length, seed, 1)
    assert [forward[n] for n in numbers] == [backward[n] for n in reversed(numbers)][::-1]
    assert [forward[n] for n in numbers] != [lengths.Drawn(length, seed, 2)[n] for n in numbers]


def test_input_and_output_lengths_come_with_the_prompt(run):
    """Both are drawn, independently of each other."""
    both = workload.make(
        step(Length("uniform", low=20, high=90), Length("uniform", low=20, high=90)), run, Correction()
    )
    prompts = [both.prompt(n) for n in range(500)]
    assert all(p.words == p.input_tokens == len(p.text.split()) for p in prompts)
    pairs = np.array([(p.input_tokens, p.output_tokens) for p in prompts])
    assert abs(np.corrcoef(pairs.T)[0, 1]) < 3.3 / math.sqrt(500)


def test_lengths_of_a_trace_are_the_arrivals_own(run):
    """A step whose lengths come from a trace reads them from the plan's array."""
    table = np.array([[100, 7], [20, 9]], dtype=np.int32)
    np.save(run.lengths_path(0), table)
    replay = workload.make(step(Length("trace"), Length("trace")), run, Correction())
    assert [(replay.prompt(n).input_tokens, replay.prompt(n).output_tokens) for n in (0, 1)] == [(100, 7), (20, 9)]


def test_a_dataset_is_read_in_order_and_cycled(run, tmp_path):
    """Arrival n has prompt n mod N; the target is asked for the wanted output length."""
    file = tmp_path / "p.jsonl"
    file.write_text("".join(json.dumps({"prompt": p, "id": 1}) + "\n\n" for p in ("one", "zwei\u2028", "三")))
    made = workload.make(step(dataset=str(file), output_tokens=Length("fixed", 5)), run, Correction())
    assert [made.prompt(n).text for n in (0, 1, 2, 3, 5)] == ["one", "zwei\u2028", "三", "one", "三"]
    assert (made.prompt(0).input_tokens, made.prompt(0).output_tokens, made.prompt(0).words) == (None, 5, None)
