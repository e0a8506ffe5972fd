"""Steady state: MSER-5 and the slope are what they are said to be, a queue that grows is found, and noise is left in peace."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analysis import catalog, database, validity
from tests.fabricate import beat, request, step, write


def queue(arrivals_s, service_s):
    """Sojourn times of one server, first come first served."""
    free, took = 0.0, []
    for at, work in zip(arrivals_s, service_s, strict=True):
        free = max(free, at) + work
        took.append(free - at)
    return np.array(took)


def made(tmp_path, arrivals_s, took_s, **columns):
    """A run of one step: whole answers, each ``took_s`` after it was due."""
    rows = [request(n, at_ms=at * 1000, streamed=False, done_ns=None) for n, at in enumerate(arrivals_s)]
    for row, took in zip(rows, took_s, strict=True):
        row["done_ns"] = row["scheduled_ns"] + round(took * 1e9)
    seconds = float(arrivals_s[-1]) + 0.001
    health = [beat(second=s) for s in range(int(seconds) + 2)]
    return write(tmp_path / "run", steps=[step(0, seconds, offered=len(rows), **columns)], requests=rows, health=health)


def judged(run):
    """The rows of ``steadiness`` by series, and the rule of step 0."""
    with database.open_runs([run]) as con:
        rows = {r["series"]: r for r in catalog.run(con, "steadiness").dicts()}
        verdict = validity.judge(con, run.read_manifest())
    return rows, next(r for r in verdict.rules if r.name == "steady"), verdict


def poisson(rng, rate, n):
    return np.cumsum(rng.exponential(1 / rate, n))


def mser_5(values):
    """White, Cobb & Spratt's definition, by its loops."""
    z = values[: len(values) // 5 * 5].reshape(-1, 5).mean(1)
    k = len(z)
    spread = [((z[d:] - z[d:].mean()) ** 2).sum() / (k - d) ** 2 for d in range(k // 2 + 1)]
    return int(np.argmin(spread))


def slope_t(values):
    """Kiefer, Vogelsang & Bunzel's statistic of the slope of 30 means, by its definition."""
    sizes = np.full(30, len(values) // 30) + (np.arange(30) < len(values) % 30)
    y = np.array([part.mean() for part in np.split(values, np.cumsum(sizes)[:-1])])
    x = np.arange(30) - 14.5
    slope = x @ y / (x @ x)
    partial = np.cumsum(x * (y - y.mean() - slope * x))
    return slope * (x @ x) / np.sqrt(2 * (partial @ partial) / 30)


def test_the_sql_is_the_definition(tmp_path):
    """Cut, means and t of the SQL equal those of loops over the same series, for a series with a beginning of its own."""
    rng = np.random.default_rng(3)
    took = rng.gamma(4, 0.01, 400) + 0.2 * np.exp(-np.arange(400) / 20)
    arrivals = poisson(rng, 20, 400)
    took = np.round(took * 1e9) / 1e9
    row = judged(made(tmp_path, arrivals, took))[0]["ttft"]
    cut = 5 * mser_5(took)
    assert cut > 0
    assert row["before"] == pytest.approx(took[:cut].mean() * 1000)
    assert row["after"] == pytest.approx(took[cut:].mean() * 1000)
    assert row["warmup_s"] == pytest.approx(arrivals[cut], abs=1e-6)
    assert row["t"] == pytest.approx(slope_t(took[cut:]))


def test_the_slopes_limit_is_the_quantile_that_it_is_said_to_be():
    """Of 30 independent normal means, 8.7 is exceeded once in 200 times and 4.6 on either side once in 10."""
    rng = np.random.default_rng(0)
    drawn = np.array([slope_t(rng.standard_normal(30)) for _ in range(20_000)])
    assert (drawn > 8.7).mean() == pytest.approx(0.005, abs=0.0015)
    assert (abs(drawn) > 4.6).mean() == pytest.approx(0.10, abs=0.006)


def test_noise_is_steady(tmp_path):
    """A queue at half of its capacity is steady: nothing is withheld for it, and the row tells what was seen."""
    rng = np.random.default_rng(5)
    arrivals = poisson(rng, 10, 600)
    rows, rule, _ = judged(made(tmp_path, arrivals, queue(arrivals, rng.exponential(0.05, 600))))
    assert (rows["ttft"]["steady"], rows["in_flight"]["steady"], rule.broken) == (True, True, False)
    assert "TTFT" in rule.figure
    assert "in flight" in rule.figure


def test_a_growing_queue_is_not_steady(tmp_path):
    """Half as much again as the target can serve: both series rise, p99 is withheld, the run stays VALID, and the advice says why."""
    rng = np.random.default_rng(6)
    arrivals = poisson(rng, 15, 600)
    run = made(tmp_path, arrivals, queue(arrivals, rng.exponential(0.1, 600)), rate_rps=15.0)
    rows, rule, verdict = judged(run)
    assert rows["ttft"]["rising"]
    assert rows["in_flight"]["rising"]
    assert rule.broken
    assert "cannot keep up" in rule.advice
    assert verdict.verdict == "VALID"
    with database.open_runs([run]) as con:
        withheld = catalog.run(con, "withheld").dicts()
    assert {"rule": "steady", "figure": "p99", "metric": "e2e"}.items() <= next(
        r for r in withheld if r["metric"] == "e2e" and r["figure"] == "p99"
    ).items()
    assert not any(r["rule"] == "steady" and r["metric"] == "lateness" for r in withheld)


def test_what_is_withheld_for_it_is_in_no_other_table(tmp_path):
    """p99 of a growing queue is blank by workload, by turn and on the curve, too: one of them would print what the next one withholds."""
    rng = np.random.default_rng(6)
    arrivals = poisson(rng, 15, 600)
    took = queue(arrivals, rng.exponential(0.1, 600))
    run = made(tmp_path, arrivals, took, rate_rps=15.0)
    table = pq.read_table(run.table_path("requests"))
    turns = pa.array([1] * len(table), table.schema.field("turn").type)
    pq.write_table(table.set_column(table.schema.get_field_index("turn"), "turn", turns), run.table_path("requests"))
    with database.open_runs([run]) as con:
        assert catalog.run(con, "unsteady_steps").dicts() == [{"run_id": "run-1", "step_id": 0}]
        for name in ("by_workload", "turns"):
            (row,) = catalog.run(con, name).dicts()
            assert row["e2e_p50_ms"] == pytest.approx(np.median(took) * 1000, rel=1e-6)
            assert row["e2e_p99_ms"] is None
        curve = {round(row["q"], 4): row["e2e_ms"] for row in catalog.run(con, "percentile_curve").dicts()}
    assert curve[0.975] is not None
    assert curve[0.99] is None


def test_a_slow_drift_is_not_steady(tmp_path):
    """A fifth slower by the end, under a jitter of a tenth: TTFT rises though nothing queues."""
    rng = np.random.default_rng(7)
    took = 0.1 * np.linspace(1, 1.2, 500) * rng.gamma(100, 0.01, 500)
    rows, rule, _ = judged(made(tmp_path, poisson(rng, 10, 500), took))
    assert rows["ttft"]["rising"]
    assert rule.broken


def test_what_is_certain_but_small_matters_to_nobody(tmp_path):
    """Three per cent over a step with hardly any noise are certain, and are let be."""
    rng = np.random.default_rng(8)
    took = 0.1 * np.linspace(1, 1.03, 500) * rng.gamma(10_000, 0.0001, 500)
    rows, rule, _ = judged(made(tmp_path, poisson(rng, 10, 500), took))
    assert rows["ttft"]["t"] > 8.7
    assert not rule.broken


def test_a_constant_target_is_steady(tmp_path):
    """No noise at all divides by nothing: there is no slope, and nothing to cut off."""
    rows, rule, _ = judged(made(tmp_path, np.arange(200) / 10, np.full(200, 0.05)))
    assert (rows["ttft"]["t"], rows["ttft"]["warmup_s"], rule.broken) == (0, 0, False)


def test_a_slow_beginning_suggests_a_warm_up(tmp_path):
    """The first twenty of five hundred take three times as long: the step is steady, and the advice names the time to cut."""
    rng = np.random.default_rng(9)
    took = rng.gamma(25, 0.004, 500) * np.where(np.arange(500) < 20, 3, 1)
    rows, rule, _ = judged(made(tmp_path, np.arange(500) / 10, took))
    assert not rule.broken
    assert rows["ttft"]["warmup_s"] == pytest.approx(2.0, abs=0.6)
    assert "warmup: 2" in rule.advice


def test_a_step_that_ends_before_it_settles_is_not_steady(tmp_path):
    """TTFT falls through the whole step: MSER-5 finds no end of the warm-up, and that is no steady state although nothing rises."""
    rng = np.random.default_rng(10)
    took = 0.1 * np.linspace(3, 1, 400) * rng.gamma(100, 0.01, 400)
    rows, rule, _ = judged(made(tmp_path, poisson(rng, 10, 400), took))
    assert rows["ttft"]["unsettled"]
    assert rule.broken
    assert "longer" in rule.advice


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"rate_end_rps": 40.0}, "a ramp is not meant"),
        ({"arrivals": "trace", "rate_rps": None}, "a trace repeats"),
        ({"concurrency": 2, "concurrency_end": 20}, "a ramp is not meant"),
    ],
)
def test_what_should_not_be_steady_is_not_judged(columns, words, tmp_path):
    """Ramps and traces are told apart, and nothing is withheld for them."""
    rng = np.random.default_rng(6)
    arrivals = poisson(rng, 15, 200)
    rows, rule, _ = judged(made(tmp_path, arrivals, queue(arrivals, rng.exponential(0.1, 200)), **columns))
    assert (rows, rule.broken) == ({}, False)
    assert words in rule.figure


def test_too_few_to_judge_say_so(tmp_path):
    """Under a hundred requests nothing is claimed either way."""
    _, rule, _ = judged(made(tmp_path, np.arange(50) / 10, np.full(50, 0.05)))
    assert not rule.broken
    assert "50 requests, fewer than 100" in rule.figure
