"""Rules that a run is to pass: what they mean, and what is said of one that means nothing."""

import pytest

from generator import thresholds
from generator.thresholds import Threshold


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
        ("average(ttft) < 1s", "unknown statistic 'average'; nearest"),
        ("p99(ttfb) < 1s", "unknown word 'ttfb'; nearest: 'ttft'"),
        ("share(limited) < 1%", "unknown word 'limited'; nearest: 'rate_limited'"),
        ("rate(tokens) > 1/s", "unknown word 'tokens'; nearest: 'good_tokens'"),
        ("p99(ttft) < 800", "with its unit"),
        ("share(ok) > 99", "between 0% and 100%"),
        ("rate(requests) > 5", "such as 20/s"),
        ("attainment > high", "a share is wanted"),
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
