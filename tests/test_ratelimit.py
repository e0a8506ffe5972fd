"""The report's part on rate limits: from a run folder to limiters, and those against what the target declares."""

from __future__ import annotations

import numpy as np
import pytest
from fabricate import MS, START_NS, request, step, write
from report_runs import limited, small

from analysis import database, ratelimit
from analysis.onset import declared, loaded
from analysis.report import limits
from benchmarks.onset import __main__ as blind
from benchmarks.onset import draw, tables


def judged(run):
    with database.open_runs([run]) as con:
        return ratelimit.judge(con)


def test_a_run_without_refusals_has_nothing_to_say(tmp_path):
    """No request was refused, or for money and capacity alone: the key is null."""
    quota = request(0, outcome="quota", http_status=429)
    full = request(1, outcome="overloaded", http_status=503)
    assert judged(write(tmp_path / "a", steps=[step()], requests=[quota, full])) is None
    assert limits.sentences({"rate_limit": None}) == limits.tables({"rate_limit": None}) == []


def test_the_limiter_stands_beside_what_the_target_declares(tmp_path):
    """A bucket of 20 that gets 10 a second; headers and messages say 600 a minute: the size is a thirtieth of it, the refill is it."""
    found = judged(limited(tmp_path / "run-1"))
    (target,) = found["targets"]
    (limiter,) = target["limiters"]
    assert (limiter["law"], limiter["charge"], target["misclassified"]) == ("token bucket", "requests", 0)
    assert limiter["size_low"] <= 20 <= limiter["size_high"]
    assert limiter["refill_per_s_low"] <= 10 <= limiter["refill_per_s_high"]
    assert limiter["onset_rps"] == limiter["refill_per_s"]
    assert {a["charge"] for a in limiter["also"]} >= {"input", "input+max_tokens"}
    headers, message, retry = target["declared"]
    assert headers["refill_ratio"] == pytest.approx(1, rel=0.01)
    assert headers["minute_ratio"] == pytest.approx(1, rel=0.01)
    assert headers["size_ratio"] == pytest.approx(20 / 600, rel=0.02)
    assert (message["dimension"], message["limit"], message["refill_per_s"]) == ("RPM", 600, None)
    assert (retry["wait_s"], retry["limit"], retry["size_ratio"]) == (0.1, None, None)
    (onset,) = found["onset"]
    assert (onset["clean_up_to"], onset["limited_from"]) == (10.0, 20.0)


def test_a_target_that_is_behind_is_told_of(tmp_path):
    """Refusals that take 2 s: requests may have been counted as late as that, against what the analysis assumes. Quick ones: nothing."""
    refused = [
        request(n, at_ms=100 * n, outcome="rate_limited", http_status=429, done_ns=START_NS + (100 * n + 2000) * MS)
        for n in range(5)
    ]
    slow = judged(write(tmp_path / "a", steps=[step()], requests=refused))
    assert slow["assumptions"][0].startswith("Not so of target: a refusal took 2.0 s")
    assert judged(limited(tmp_path / "run-1"))["assumptions"] == list(ratelimit.ASSUMPTIONS)


def test_too_little_is_said_to_be_too_little(tmp_path):
    """One refusal: the steps are told, no limiter is, and the sentence says why."""
    found = judged(small(tmp_path / "run-1"))
    assert [s["rate_limited"] for s in found["steps"]] == [0, 1]
    assert found["targets"][0]["limiters"] == []
    (told,) = limits.sentences({"rate_limit": found})
    assert told.startswith("Not enough data")


def test_of_a_long_run_the_part_around_the_first_refusal_is_used(tmp_path, monkeypatch):
    """Of 800 requests whose first refusal comes in the second step, 200 are looked at, a quarter of them before it."""
    monkeypatch.setattr(loaded, "MOST_REQUESTS", 200)
    monkeypatch.setattr(loaded, "_BEFORE", 50)
    with database.open_runs([limited(tmp_path / "run-1")]) as con:
        seen = loaded.load(con, "target")
    assert len(seen.sent_s) == 200
    assert int(np.argmin(seen.admitted)) == 49


@pytest.mark.parametrize("known", [{"input_tokens": 50}, {"output_tokens_wanted": 8}], ids=["input", "max_tokens"])
def test_a_charge_of_which_a_part_is_not_known_is_not_tried(known, tmp_path):
    """The larger of two lengths, where one of them is not known, is no charge and no other unit of one, as in what a stretch admitted."""
    rows = [request(n, at_ms=100 * n, **known) for n in range(4)]
    with database.open_runs([write(tmp_path / "run", steps=[step()], requests=rows)]) as con:
        seen = loaded.load(con, "target")
    rules = set(seen.charges).union(*seen.alike.values())
    assert not rules & {"max(max_tokens,input)", "input+max_tokens"}


def test_limits_in_other_units_rest_on_charges_that_are_proportional(tmp_path):
    """Requests of several lengths charge max(max_tokens, input) as they charge input where max_tokens is small: no word of one length."""
    found = judged(limited(tmp_path / "run-1"))
    told = " ".join(limits.sentences({"rate_limit": found}))
    assert "In this run these charges are proportional, so that limits in other units look the same:" in told
    assert "of one length" not in told


@pytest.mark.parametrize(("misclassified", "refused"), [(30, 500), (400, 500)])
def test_a_limit_that_no_threshold_shows_says_so(misclassified, refused, tmp_path):
    """The finder says that it went by the level's weight; what it would have treated otherwise may still be few of many refusals."""
    found = judged(limited(tmp_path / "run-1"))
    (target,) = found["targets"]
    assert target["blurred"] is False
    target |= {"misclassified": misclassified, "rate_limited": refused}
    caveat = "longer on their way than its state lasts"
    assert caveat not in limits.sentences({"rate_limit": found})[1]
    target["blurred"] = True
    assert caveat in limits.sentences({"rate_limit": found})[1]


@pytest.mark.parametrize(
    ("said", "dimension"),
    [
        ("TPM", "tokens"),
        ("input tokens per minute", "tokens"),
        ("requests", "requests"),
        ("RPD", "requests"),
        ("ASH", None),
        (None, None),
    ],
)
def test_dimensions_are_read_from_the_words_of_refusals(said, dimension):
    """Providers abbreviate; what is neither requests nor tokens is compared with nothing."""
    assert declared.dimension_of(said) == dimension


def test_the_blind_trial_judges_by_the_truth(tmp_path):
    """A drawn limiter goes into a run folder and comes out right; held against another truth, the same finding is wrong in all it says."""
    limit, traffic, jitter = draw.limit_and_traffic(np.random.default_rng(5), "token bucket", "requests", 1.0)
    run = tables.write(tmp_path / "table-0", traffic, *draw.outcome([limit], traffic))
    row = blind._judged("table 0", run, limit, jitter)
    assert (row["kind"], row["covered"], row["size_covered"]) == ("right", "yes", "yes")
    assert abs(row["refill_error"]) < blind.NEAR
    wrong = draw.Limit("sliding window", "requests", limit.size, limit.refill, 10.0)
    row = blind._judged("table 0", run, wrong, jitter)
    assert (row["kind"], row["covered"], row["refill_error"]) == ("wrong", "no", None)
    assert blind.summary([row]).startswith("kind right 0 of 1, onset covered 0 of 1, refill within 2 % 0 of 1")
