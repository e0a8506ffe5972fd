"""Rules that a run is to pass: what they mean, and what is said of one that means nothing."""

import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator import thresholds
from generator.thresholds import Part, Rule, Threshold


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("p99(ttft) < 800ms", ("p99", "ttft", "<", 800.0)),
        ("p99.9(e2e)<=1.5s", ("p99.9", "e2e", "<=", 1500.0)),
        (" mean( tpot ) < 50ms ", ("mean", "tpot", "<", 50.0)),
        ("share(rate_limited) < 1%", ("share", "rate_limited", "<", 0.01)),
        ("share(failed) <= 0.05", ("share", "failed", "<=", 0.05)),
        ("rate(goodput) > 600/min", ("rate", "goodput", ">", 10.0)),
        ("attainment >= 99%", ("attainment", "", ">=", 0.99)),
        ("goodput > 18/s", ("rate", "goodput", ">", 18.0)),
        ("rate(good_tokens) >= 60/min", ("rate", "good_tokens", ">=", 1.0)),
        ("p5(fluidity) >= 90%", ("p5", "fluidity", ">=", 0.9)),
    ],
)
def test_rules(text, rule):
    """Latencies are in ms, shares within [0, 1], rates per second."""
    assert thresholds.parse(text) == Threshold(text, *rule)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fast", "a rule such as"),
        ("p99(ttft) = 1s", "a rule such as"),
        ("p99 < 1s", r"p99 of what\? Write p99\(ttft\)"),
        ("p999(ttft) < 1s", "unknown statistic 'p999'; nearest: 'p99'"),
        ("p0(ttft) < 1s", r"p0 is the smallest of all; write min\(ttft\)"),
        ("p00.0(fluidity) > 1%", r"write min\(fluidity\)"),
        ("p0.00000000000000000001(ttft) < 1s", r"write min\(ttft\)"),
        ("p99.99999999999999999999(ttft) < 1s", r"is the largest of all; write max\(ttft\)"),
        ("average(ttft) < 1s", "unknown statistic 'average'; nearest"),
        ("p99(ttfb) < 1s", "unknown word 'ttfb'; nearest: 'ttft'"),
        ("share(limited) < 1%", "unknown word 'limited'; nearest: 'rate_limited'"),
        ("rate(tokens) > 1/s", "unknown word 'tokens'; nearest: 'good_tokens'"),
        ("p99(ttft) < 800", "with its unit"),
        ("share(ok) > 99", "between 0% and 100%"),
        ("rate(requests) > 5", "such as 20/s"),
        ("attainment > high", "a share is wanted"),
        ("goodput(ttft) > 5/s", "goodput is of nothing else; write goodput > 5/s"),
    ],
)
def test_a_bad_rule_shows_a_good_one(text, said):
    """Every fault is a ValueError with the nearest valid word or an example."""
    with pytest.raises(ValueError, match=said):
        thresholds.parse(text)


@pytest.mark.parametrize(
    ("text", "figure", "held"),
    [
        ("p99(ttft) < 800ms", 799.9, True),
        ("p99(ttft) < 800ms", 800.0, False),
        ("p99(ttft) <= 800ms", 800.0, True),
        ("attainment > 99%", 0.99, False),
        ("attainment >= 99%", 0.99, True),
        ("p99(ttft) < 800ms", float("inf"), False),
    ],
)
def test_what_holds(text, figure, held):
    """The figure stands on the left of the sign."""
    assert thresholds.parse(text).holds(figure) is held


WORDS = st.sampled_from(
    ("p99", "p99.9", "p0", "p100", "mean", "max", "share", "rate", "attainment", "goodput", "(", ")", "ttft", "fluidity", "rate_limited", "failed",
     "goodput", "<", "<=", ">=", "=", "800ms", "1%", "0.5", "18/s", "-1", "nan", "1e999", " ")
)  # fmt: skip


@given(st.one_of(st.text(max_size=40), st.lists(WORDS, max_size=8).map("".join)))
def test_any_text_is_a_rule_or_an_error(text):
    """Nothing but ValueError comes out of a parser of what a person typed; what it takes means something and can be judged."""
    try:
        rule = thresholds.parse(text)
    except ValueError:
        return
    assert rule.text == text
    assert rule.limit >= 0
    assert rule.holds(rule.limit) is (rule.operator in ("<=", ">="))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("goodput > 18/s", "a rate is known when its step is over; attainment >= 90% is its like"),
        ("rate(requests) > 18/s", "a rate is known when its step is over"),
        ("p99(icl) < 1s", "icl is computed from the chunks, when the run is over"),
        ("p5(fluidity) > 90%", "fluidity is computed from the chunks"),
        ("max(ttft) > 1s", "what is still to come can mend it"),
        ("min(ttft) < 1s", "what is still to come can mend it"),
        ("attainment < 90%", "where it is too low"),
    ],
)
def test_what_cannot_stop_a_run_says_why(text, said):
    """A rule that could not be judged while the run goes on must not look as if it were."""
    with pytest.raises(ValueError, match=said):
        thresholds.refuse_abort(thresholds.parse(text))


@pytest.mark.parametrize(
    "text",
    [
        "p99(ttft) < 1s",
        "max(e2e) < 9s",
        "min(tpot) > 1ms",
        "share(ok) > 99%",
        "attainment >= 9%",
        "mean(lateness) < 1s",
    ],
)
def test_what_can_stop_a_run(text):
    """Percentiles, means and extremes of what a finished request tells, shares and attainment."""
    thresholds.refuse_abort(thresholds.parse(text))


PARTS = (
    Part(0, "warm", "chat", "a", frozenset({"tenant=x", "tier=1"})),
    Part(1, "hot", "chat", "a", frozenset({"tenant=x", "tier=1"})),
    Part(1, "hot", "code", "b", frozenset({"tenant=y"})),
    Part(2, "hot", "code", "b", frozenset({"tenant=y"})),
)


@pytest.mark.parametrize(
    ("selectors", "steps"),
    [
        ({}, None),
        ({"step": "hot"}, (1, 2)),
        ({"step": 0}, (0,)),
        ({"workload": "chat"}, (0, 1)),
        ({"target": "b"}, (1, 2)),
        ({"tag": {"tenant": "x"}}, (0, 1)),
        ({"tag": {"tier": "1", "tenant": "x"}, "step": "hot"}, (1,)),
    ],
)
def test_a_rule_is_judged_where_its_requests_are(selectors, steps):
    """Steps that have none of its requests are left out; without a selector it is judged in all."""
    assert thresholds.narrowed("p99(ttft) < 1s", PARTS, **selectors).steps == steps


@pytest.mark.parametrize(
    ("selectors", "key", "said"),
    [
        ({"step": "hto"}, "step", "no step 'hto'; nearest: 'hot' (there are: hot, warm)"),
        ({"step": 3}, "step", "there is no step 3; the run has steps 0 to 2"),
        ({"workload": "chta"}, "workload", "no workload 'chta'; nearest: 'chat' (there are: chat, code)"),
        ({"target": "c"}, "target", "no target 'c'"),
        ({"tag": {"tenant": "z"}}, "tag", "no tag 'tenant=z'; nearest: 'tenant="),
        ({"step": "warm", "workload": "code"}, "step", "no requests match all of them together"),
        ({"tag": {"tenant": "y", "tier": "1"}}, "tag", "no requests match all of them together"),
    ],
)
def test_a_selector_that_nothing_matches_names_the_nearest(selectors, key, said):
    """A rule about nothing would always hold, so it is refused, and the key to blame is told."""
    with pytest.raises(thresholds.UnmatchedError) as error:
        thresholds.narrowed("p99(ttft) < 1s", PARTS, **selectors)
    assert error.value.key == key
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        (Rule("p99(ttft) < 1s"), "p99(ttft) < 1s"),
        (Rule("p99(ttft) < 1s", (1,), abort=True, delay_ns=5), "p99(ttft) < 1s"),
        (
            Rule("p99(ttft) < 1s", (1, 2), "chat", "a", ("tenant=x",)),
            "p99(ttft) < 1s [tenant=x, workload chat, target a]",
        ),
    ],
)
def test_a_rule_survives_the_manifest(rule, named):
    """Written as JSON and read again it is the same; one that is its text alone is written as that."""
    back = json.loads(json.dumps(thresholds.stored(rule)))
    assert thresholds.restored(back) == rule
    assert (back == rule.text) is (rule == Rule(rule.text))
    assert thresholds.named(rule) == named
    assert set(asdict(rule)) >= {"text", "steps"}
