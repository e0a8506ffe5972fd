"""Options → settings, and what a wrong option is told; fault shares."""

from __future__ import annotations

from collections import Counter

import pytest

from simulator.faults import FaultLaw, FaultSource
from simulator.ratelimit import Limit
from simulator.settings import OPTIONS, Settings, SettingsError, from_options

MINUTE_NS = 60_000_000_000


@pytest.mark.parametrize(
    ("options", "field", "value"),
    [
        ({"ttft": "50ms"}, "ttft_ns", 50_000_000),
        ({"itl": "1.5 s"}, "itl_ns", 1_500_000_000),
        ({"ttft_per_token": "20us"}, "ttft_per_token_ns", 20_000),
        ({"itl": 0}, "itl_ns", 0),
        ({"keep_alive": "2min"}, "keep_alive_ns", 120_000_000_000),
        ({"jitter": "10%"}, "jitter", 0.1),
        ({"jitter": 0.25}, "jitter", 0.25),
        ({"drift": "150%"}, "drift", 1.5),
        ({"max-batch": 8}, "max_batch", 8),
        ({"base": "api/v2/"}, "base", "/api/v2"),
        ({"base": "/"}, "base", ""),
        ({"api_key": None}, "api_key", None),
        ({"fault": "reset=0.01, 500=2%"}, "faults", FaultLaw((("reset", 0.01), ("500", 0.02)))),
        ({"rpm": 600}, "limits", (Limit("requests", 600, MINUTE_NS, "bucket"),)),
        (
            {"rpm": 600, "limit_window": "1s", "limit_law": "fixed"},
            "limits",
            (Limit("requests", 10, 1_000_000_000, "fixed"),),
        ),
        (
            {"tpm": "90_000", "limits": "sliding requests 10/1s"},
            "limits",
            (Limit("tokens", 90_000, MINUTE_NS, "bucket"), Limit("requests", 10, 1_000_000_000, "sliding")),
        ),
    ],
)
def test_values_are_read_with_their_units(options, field, value):
    """Text or what YAML makes of it becomes the field's value."""
    assert getattr(from_options(options), field) == value


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tftt": "1ms"}, ["'tftt'", "nearest: ttft"]),
        ({"ttft": 50}, ["ttft", "50", "units"]),
        ({"ttft": "50 parsecs"}, ["ttft", "parsecs", "ms"]),
        ({"ttft": "-1ms"}, ["ttft", "not a duration"]),
        ({"jitter": "120%"}, ["jitter", "more than 100%"]),
        ({"jitter_law": "gama"}, ["jitter_law", "nearest: gamma"]),
        ({"processes": 0}, ["processes", "at least 1"]),
        ({"max_batch": True}, ["max_batch", "whole number"]),
        ({"port": 70_000}, ["port", "65535"]),
        ({"port": -1}, ["port", "no port", "65535"]),
        ({"fault": "rest=0.1"}, ["fault", "nearest: reset"]),
        ({"fault": "reset"}, ["fault", "share", "reset=0.01"]),
        ({"fault": "reset=0.7,500=0.7"}, ["fault", "more than 1"]),
        ({"limits": "buckt requests 1/1s"}, ["limits", "nearest: bucket"]),
        ({"limits": "ten a second"}, ["limits", "write it like"]),
        ({"rpm": 10, "limit_window": "1s"}, ["limit_window", "rpm=10"]),
        ({"limit_law": "fixed"}, ["limit_law", "rpm"]),
        ({"processes": 2, "rpm": 5}, ["processes=1"]),
        ({"processes": 2, "timing": "batch"}, ["processes=1"]),
        ({"tls_cert": "a.pem"}, ["tls_cert", "tls_key"]),
        ({"tokens_per_word": "-1"}, ["tokens_per_word", "above 0"]),
        ({"charge": "inputs"}, ["charge", "nearest: input"]),
    ],
)
def test_wrong_options_are_told_key_and_remedy(options, words):
    """An error names the option and what would be right."""
    with pytest.raises(SettingsError) as caught:
        from_options(options)
    for word in words:
        assert word in str(caught.value)


def test_every_option_reaches_a_setting():
    """No option is parsed and then forgotten, and no setting is out of reach."""
    windowed = {"rpm", "tpm", "limit_law", "limit_window", "limits"}
    reached = {option.field or key for key, option in OPTIONS.items() if key not in windowed} | {"limits"}
    assert reached == set(Settings.__dataclass_fields__)


def test_fault_shares_hold_and_repeat():
    """Over many draws each fault has its share, and the seed decides which request has which."""
    law = FaultLaw((("reset", 0.1), ("500", 0.3)))
    source = FaultSource(law, 3)
    drawn = [source.draw() for _ in range(20_000)]
    counts = Counter(drawn)
    assert counts["reset"] / 20_000 == pytest.approx(0.1, abs=0.01)
    assert counts["500"] / 20_000 == pytest.approx(0.3, abs=0.015)
    again = FaultSource(law, 3)
    assert [again.draw() for _ in range(100)] == drawn[:100]
