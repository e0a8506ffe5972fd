"""Several runs as one: the law of their spread on virtual runs, and merged figures of recorded ones."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis import database
from analysis.differences.laws import fisher_tail, student_cdf
from analysis.repeats import judge
from analysis.repeats.estimate import STRETCHES, Estimate, of_flow, of_mean, of_quantile, of_rate
from analysis.repeats.spread import decompose
from benchmarks.repeats import Law, judged
from tests import fabricate
from tests.fabricate import Load


@pytest.mark.parametrize(("f", "within"), [(0.1, 4), (1.0, 9), (3.0, 81), (20.0, 18), (1.01, 1_000_000)])
def test_fishers_law_with_two_degrees_of_freedom(f: float, within: int) -> None:
    """There the tail has a closed form: (1 + 2F/d)^(−d/2)."""
    assert fisher_tail(f, 2, within) == pytest.approx((1 + 2 * f / within) ** (-within / 2), rel=1e-9)


@pytest.mark.parametrize("t", [0.5, 1.0, 2.0, 5.0])
def test_fishers_law_is_the_square_of_students(t: float) -> None:
    """F with 1 and d degrees of freedom is t² with d."""
    assert fisher_tail(t * t, 1, 17) == pytest.approx(2 * student_cdf(-t, 17), rel=1e-9)


def flat(value: float, parts: list[float] | None = None) -> Estimate:
    return Estimate(value, np.array(parts if parts is not None else [0.0] * STRETCHES), 100)


def test_two_runs_by_hand() -> None:
    """10 and 14: sd √8; with parts of ±1 in each stretch the error variance of a run is (10/9)/10, F their ratio, t with one degree."""
    waver = [1.0, -1.0] * 5
    found = decompose([flat(10, waver), flat(14, waver)], paired=False)
    assert found is not None
    assert found.total_sd == pytest.approx(math.sqrt(8))
    assert found.within_sd == pytest.approx(math.sqrt(1 / 9))
    assert found.between_sd == pytest.approx(math.sqrt(8 - 1 / 9))
    assert found.within_share == pytest.approx(1 / 72)
    assert found.half_width == pytest.approx(12.7062047 * 2, rel=1e-6)
    assert found.by_runs


def test_what_the_schedule_does_to_all_runs_is_taken_out_when_paired() -> None:
    """The same parts in every run are the schedule's: paired, no noise is left; unpaired, all of it is."""
    waver = [3.0, -3.0] * 5
    runs = [flat(10, waver), flat(10, waver), flat(10, waver)]
    paired, alone = decompose(runs, paired=True), decompose(runs, paired=False)
    assert paired is not None
    assert alone is not None
    assert (paired.within_sd, paired.half_width) == (0, 0)
    assert alone.within_sd == pytest.approx(1.0)
    assert alone.half_width > 0
    assert not alone.by_runs


def test_runs_that_agree_by_chance_are_no_surer_than_their_noise() -> None:
    """Equal figures with noise in each: the interval is as wide as the noise asks."""
    rng = np.random.default_rng(1)
    found = decompose([flat(10, list(rng.normal(0, 1, STRETCHES))) for _ in range(3)], paired=False)
    assert found is not None
    assert found.total_sd == 0
    assert found.half_width > 0
    assert found.p_value is None
    assert not found.shown


def test_one_run_has_no_spread_and_short_ones_no_noise() -> None:
    """None; and where parts are missing, the interval by runs alone."""
    assert decompose([flat(10)], paired=False) is None
    short = decompose([Estimate(10, None, 5), Estimate(12, None, 5)], paired=False)
    assert short is not None
    assert short.within_share is None
    assert not short.shown
    assert short.half_width == pytest.approx(12.7062047, rel=1e-6)


@pytest.mark.parametrize("same", [True, False])
def test_runs_that_are_alike_are_rarely_called_different(same: bool) -> None:
    """A queue under load, whose requests hang together: at most one in ten of 60 groups of five, and noise explains most."""
    law, rng = Law(400, 0.0, same), np.random.default_rng(7)
    found = [spread for _ in range(60) if (spread := group(law, 5, 0.5, rng)) is not None]
    assert len(found) >= 50
    assert sum(s.shown for s in found) <= 6
    assert np.median([s.within_share for s in found]) > 0.5


@pytest.mark.parametrize("same", [True, False])
def test_runs_that_differ_are_told_and_by_how_much(same: bool) -> None:
    """Shifts of 10 ms (sd) between runs: found in nearly all groups, and the variance between runs is right on average."""
    law, rng = Law(400, 10.0, same), np.random.default_rng(8)
    found = [spread for _ in range(60) if (spread := group(law, 5, 0.5, rng)) is not None]
    assert sum(s.shown for s in found) >= 54
    assert math.sqrt(np.mean([(s.between_sd or 0) ** 2 for s in found])) == pytest.approx(10, rel=0.25)


@pytest.mark.parametrize(("same", "shift_ms"), [(True, 0.0), (True, 5.0), (False, 0.0), (False, 5.0)])
def test_the_interval_holds_the_truth(same: bool, shift_ms: float) -> None:
    """p50 of five runs of 400 requests: in at least 88 % of 60 groups, of a schedule or of all of them as the seeds are. (95 % is the aim;
    benchmarks/repeats.py measures it with more.)
    """
    law, rng = Law(400, shift_ms, same), np.random.default_rng(9)
    inside = 0
    for _ in range(60):
        due = law.schedule(rng)
        runs = [law.run(rng, due if same else law.schedule(rng)) for _ in range(5)]
        many = [law.run(rng, due if same else law.schedule(rng))[0] for _ in range(100)]
        seen = judged(runs, 0.5, same=same)
        assert seen is not None
        inside += abs(seen[0] - np.quantile(np.concatenate(many), 0.5)) <= seen[1].half_width
    assert inside >= 53


def group(law: Law, count: int, p: float, rng: np.random.Generator):
    due = law.schedule(rng)
    seen = judged([law.run(rng, due if law.same else law.schedule(rng)) for _ in range(count)], p, same=law.same)
    return None if seen is None else seen[1]


def test_parts_are_what_each_stretch_adds() -> None:
    """Of a mean: stretches of 1 and of 3 in turns are −1 and +1 about 2. Of a rate: the stretch's own less the mean."""
    at = (np.arange(100) + 0.5) / 100
    values = np.where(at * 10 % 2 < 1, 1.0, 3.0)
    mean = of_mean(values, at)
    assert mean.value == 2
    assert mean.parts == pytest.approx([-1, 1] * 5)
    rate = of_rate(10.0, np.concatenate([at, at[:10], [1.5, -0.1]]), 10.0)
    assert rate.parts == pytest.approx([9.0] + [-1.0] * 9)


def test_what_came_by_the_second_is_spread_over_its_second() -> None:
    """Seconds that do not fit the stretches: a steady flow has no parts, whatever the cuts."""
    edges = np.clip(np.column_stack([np.arange(-0.3, 27), np.arange(-0.3, 27) + 1]) / 27, 0, 1)
    flow = of_flow(10.0, edges, np.diff(edges, axis=1)[:, 0] * 270, 27.0)
    assert flow.parts == pytest.approx([0.0] * STRETCHES, abs=1e-9)


def test_a_quantiles_parts_are_in_its_unit() -> None:
    """Exponential latencies, independent: the parts' standard error is near the textbook's, sqrt(p(1 − p)/n)/f, and n is worth nearly n."""
    rng = np.random.default_rng(3)
    errors, worth = [], []
    for _ in range(100):
        found = of_quantile(rng.exponential(100.0, 1000), (np.arange(1000) + 0.5) / 1000, 0.9)
        assert found.parts is not None
        errors.append(found.parts.var(ddof=1) / STRETCHES)
        worth.append(1 / (found.effective or 1))
    assert math.sqrt(np.mean(errors)) == pytest.approx(100 * math.sqrt(0.9 / 0.1 / 1000), rel=0.15)
    assert 1 / np.mean(worth) == pytest.approx(1000, rel=0.25)


def runs_of(tmp_path, waits_ms, *, requests=400):
    """Recorded runs of one load at 40/s, with exponential waits of these means."""
    made = []
    for number, wait in enumerate(waits_ms, 1):
        load = Load(requests, rate_rps=40, tokens=4, wait_ms=wait)
        made.append(fabricate.realistic(tmp_path / f"g-r{number}", [load], seed=number, workers=1))
    return made


def merged_of(runs, **options):
    with database.open_runs(runs) as con:
        return judge.judge(con, [run.run_id for run in runs], **({"same": False} | options))


def one(found, figure):
    return next(row for row in found["figures"] if row["figure"] == figure)


def test_percentiles_are_of_all_requests_and_not_averages(tmp_path) -> None:
    """One slow run of three: the merged p90 is that of the 1,200 requests, which no mean of three p90 is."""
    runs = runs_of(tmp_path, [20, 20, 200])
    found = merged_of(runs)
    with database.open_runs(runs) as con:
        by_hand = con.execute(
            "SELECT quantile_cont((first - scheduled_ns) / 1e6, 0.9) FROM (SELECT run_id, request_id, min(t_ns) AS first FROM tokens GROUP BY ALL) "
            "JOIN requests USING (run_id, request_id)"
        ).fetchall()[0][0]
    row = one(found, "p90(ttft)")
    each = [r["value"] for r in row["runs"]]
    assert row["value"] == pytest.approx(by_hand, rel=1e-9)
    assert abs(row["value"] - sum(each) / 3) > 0.05 * row["value"]
    assert found["loads"][0]["ttft_ms"]["p90"] == pytest.approx(by_hand, rel=1e-9)
    assert found["loads"][0]["ttft_ms"]["n"] == 1200


def test_a_slow_run_is_told_and_like_runs_are_not(tmp_path) -> None:
    """Waits ten times as long in one run: TTFT differs; TPOT, which nothing was done to, does not."""
    found = merged_of(runs_of(tmp_path, [20, 20, 20, 200]))
    assert one(found, "p50(ttft)")["spread"]["shown"]
    assert not one(found, "p50(tpot)")["spread"]["shown"]
    assert one(found, "p50(ttft)")["half_width_share"] > one(found, "p50(tpot)")["half_width_share"]


def test_gaps_are_merged_from_their_counts(tmp_path) -> None:
    """The merged percentile of gaps between chunks is that of all gaps, to the microsecond that they are kept to."""
    runs = runs_of(tmp_path, [20, 30], requests=100)
    found = merged_of(runs)["loads"][0]["icl_ms"]
    with database.open_runs(runs) as con:
        gaps = con.execute(
            "SELECT quantile_cont(gap, 0.9), count(*) FROM (SELECT (t_ns - lag(t_ns) OVER (PARTITION BY run_id, request_id ORDER BY chunk_index)) "
            "/ 1e6 AS gap FROM tokens) WHERE gap IS NOT NULL"
        ).fetchall()[0]
    assert found["p90"] == pytest.approx(gaps[0], abs=0.001)
    assert found["n"] == gaps[1]


def test_a_tail_takes_enough_requests_in_each_run(tmp_path) -> None:
    """p99 of 100 a run: the merged value of 300 is shown, its interval is withheld, and a rule on it is not reached."""
    found = merged_of(
        runs_of(tmp_path, [20, 20, 20], requests=100), rules=["ci(p99(ttft)) < 90%", "ci(p50(ttft)) < 90%"]
    )
    row = one(found, "p99(ttft)")
    assert row["value"] is not None
    assert row["low"] is None
    assert "299" in row["withheld"]
    assert [rule["reached"] for rule in found["until"]] == [False, True]


def test_no_miss_in_any_run_is_no_certainty(tmp_path) -> None:
    """All of 3 × 60 requests ok: a share of 1 in each run, and Wilson's lower end of 180 of 180, not 1, below it."""
    row = one(merged_of(runs_of(tmp_path, [20, 20, 20], requests=60)), "share(ok)")
    assert (row["value"], row["high"]) == (1, 1)
    assert row["low"] == pytest.approx(180 / (180 + 1.959964**2), rel=1e-6)
    assert row["half_width_share"] == pytest.approx(1 - row["low"])
    assert row["spread"]["interval_by"] == "requests"


def test_a_rule_is_not_asked_of_two_runs(tmp_path) -> None:
    """However narrow: two may agree by chance."""
    found = merged_of(runs_of(tmp_path, [20, 20]), rules=["ci(p50(tpot)) < 100%"])
    assert not found["until"][0]["reached"]


def test_what_only_some_runs_measured_is_left_out(tmp_path) -> None:
    """A load that a run lacks is named, and merged by nobody."""
    runs = runs_of(tmp_path, [20, 20], requests=60)
    runs.append(fabricate.realistic(tmp_path / "other", [Load(60, rate_rps=40, tokens=4)] * 2, run_id="other"))
    found = merged_of(runs)
    assert found["left_out"] == ["step 1 · 40/s"]
    assert [load["requests"] for load in found["loads"]] == [180]
