"""`repeat` and `until` as a person writes them: rules, numbers, mappings, flags, and what is refused with which words."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.repeats import judge
from generator import repetition, until
from generator.errors import ScenarioError
from generator.planning import plan
from generator.scenario import reading, repeat
from generator.workload.synthetic import spell


@pytest.mark.parametrize(
    ("text", "figure", "limit"),
    [
        ("ci(p99(ttft)) < 5%", "p99(ttft)", 0.05),
        (" ci( p99.9( e2e ) )<=0.1 ", "p99.9(e2e)", 0.1),
        ("ci(mean(tpot)) < 100%", "mean(tpot)", 1.0),
        ("ci(goodput) < 2%", "rate(goodput)", 0.02),
        ("ci(rate(output_tokens)) < 1%", "rate(output_tokens)", 0.01),
        ("ci(attainment) < 1%", "attainment", 0.01),
    ],
)
def test_rules(text: str, figure: str, limit: float) -> None:
    """A figure, and how narrow its interval is to be; `goodput` is short for its rate."""
    rule = until.parse(text)
    assert (rule.figure.text, rule.limit) == (figure, limit)


@pytest.mark.parametrize(
    ("text", "below", "at", "above"),
    [("ci(p99(ttft)) < 5%", True, False, False), ("ci(p99(ttft)) <= 5%", True, True, False)],
)
def test_at_the_limit_the_two_operators_differ(text: str, below: bool, at: bool, above: bool) -> None:
    """`<=` is not read as `<`: an interval exactly as wide as the limit is narrow enough for it, in what the analysis says, too."""
    rule = until.parse(text)
    assert [rule.reached(share) for share in (0.0499, 0.05, 0.0501)] == [below, at, above]
    row = {"figure": "p99(ttft)", "load": "s", "arm": None, "runs": [{}] * until.LEAST, "withheld": None}
    told = [judge._reached(rule, [row | {"half_width_share": share}])["reached"] for share in (0.0499, 0.05, 0.0501)]
    assert told == [below, at, above]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("p99(ttft) < 5%", "a rule such as 'ci(p99(ttft)) < 5%'"),
        ("ci(p99(ttft)) > 5%", "a rule such as"),
        ("ci(p99(tfft)) < 5%", "nearest: 'ttft'"),
        ("ci(p99) < 5%", "p99 of what? Write p99(ttft)"),
        ("ci(rate) < 5%", "Write rate(requests)"),
        ("ci(rate(output_token)) < 5%", "nearest: 'output_tokens'"),
        ("ci(goodputs) < 5%", "nearest: 'goodput'"),
        ("ci(max(ttft)) < 5%", "no interval of 'max'"),
        ("ci(p99(icl)) < 5%", "unknown word 'icl'"),
        ("ci(p0(ttft)) < 5%", "p0 is the smallest"),
        ("ci(p0.00000000000000000001(ttft)) < 5%", "is the smallest of so many"),
        ("ci(p99.99999999999999999999(ttft)) < 5%", "is the largest of so many"),
        ("ci(goodput(ttft)) < 5%", "goodput is of nothing else"),
        ("ci(p99(ttft)) < 5ms", "a share is wanted"),
        ("ci(p99(ttft)) < 5", "a share lies between"),
        ("ci(p99(ttft)) < 0%", "width 0"),
        ("ci(p99 ttft) < 5%", "is no figure"),
    ],
)
def test_what_is_no_rule_says_what_is(text: str, said: str) -> None:
    """The nearest word, or an example."""
    with pytest.raises(ValueError, match=r"(?s).*") as e:
        until.parse(text)
    assert said in str(e.value)


def test_both_tails_take_as_many() -> None:
    """p99 and p1 are 299 requests from having a bound, the median 5."""
    assert [until.least_n(p) for p in (0.99, 0.01, 0.5, None)] == [299, 299, 5, 1]


@given(st.text(max_size=40))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Any text is a rule or a ValueError."""
    with contextlib.suppress(ValueError):
        assert 0 < until.parse(text).limit <= 1


def asked(flags: dict[str, str], *sets: str) -> repeat.RepeatForm | None:
    return repeat.asked(reading.load("quick", flags, list(sets)).form)


def test_how_often() -> None:
    """Once unless said; a number; at most twenty with a rule."""
    assert asked({}) is None
    assert asked({"repeat": "1"}) is None
    five, rule = asked({"repeat": "5"}), asked({"until": "ci(p99(ttft)) < 5%"})
    assert five is not None
    assert rule is not None
    assert (five.times, five.pause, five.seeds, rule.times) == (5, 0, "same", 20)


def test_a_flags_number_keeps_the_files_other_keys(tmp_path) -> None:
    """`--repeat 4` over `repeat: {times: 9, pause: 10s, seeds: fresh}`; `--repeat 1` runs once whatever the file's rules are."""
    file = tmp_path / "s.yaml"
    file.write_text(
        "target: {url: simulator}\nworkload: {input_tokens: 8, output_tokens: 4}\nsteps: [{rate: 5/s, duration: 2s}]\n"
        "repeat: {times: 9, pause: 10s, seeds: fresh, within: 1h}\nuntil: ci(p50(ttft)) < 5%\n"
    )
    found = repeat.asked(reading.load(str(file), {"repeat": "4"}, []).form)
    assert found is not None
    assert (found.times, found.pause, found.seeds, found.within) == (4, 10 * 10**9, "fresh", 3600 * 10**9)
    assert repeat.asked(reading.load(str(file), {"repeat": "1"}, []).form) is None


@pytest.mark.parametrize(
    ("flags", "sets", "said"),
    [
        ({"repeat": "0"}, (), "--repeat: repeat"),
        ({"repeat": "1001"}, (), "less than or equal to 1000"),
        ({"repeat": "2", "until": "ci(p50(ttft)) < 5%"}, (), "takes 3 at least"),
        ({}, ("repeat={pause: 3s}",), "how often? Give times, or until"),
        ({}, ("repeat={times: 3, pauze: 3s}",), "nearest: 'pause'"),
        ({}, ("repeat={times: 3, seeds: frsh}",), "nearest: 'fresh'"),
        ({"until": "ci(goodput) < 2%"}, (), "needs an slo"),
        ({"until": "ci(p99(tfft)) < 2%"}, (), "--until: until.0"),
    ],
)
def test_what_cannot_be_repeated_is_refused(flags: dict[str, str], sets: tuple[str, ...], said: str) -> None:
    """With the place, the key and the fix."""
    with pytest.raises(ScenarioError) as e:
        asked(flags, *sets)
    assert said in str(e.value)


def test_no_two_repetitions_have_a_prompt_in_common() -> None:
    """The words that a prompt begins with differ between all repetitions, for equal steps and arrivals, and from the neighbouring seeds'."""
    for seed in (0, 1, 42, 2**32 - 1, 2**63 - 1):
        seeds = [seed + d for d in (0, 1, 2)]
        seeds += [s for k in range(2, repeat.MOST + 1) if (s := repetition.text_seed(seed, k)) is not None]
        assert len({spell((s, 3), 7) for s in seeds}) == len(seeds)


def test_a_repetition_has_the_plans_arrivals_and_other_words() -> None:
    """The text's seed is no part of the schedule's: only `words_seed` moves."""
    step = plan.make(reading.load("quick", {}, []), "x").plan.steps[0]
    other = replace(step, text_seed=repetition.text_seed(step.seed[0], 2))
    assert other.seed == step.seed
    assert step.words_seed == step.seed
    assert other.words_seed != step.seed
    assert other.words_seed[1] == step.seed[1]
