"""The verdict: a good run is VALID; each rule has a run that breaks it and nothing else, so that no rule is silent or loud."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import numpy as np
import pytest

from analysis import catalog, database, validity
from analysis.rules.rule import percent
from tests import spoilt
from tests.fabricate import MS, START_NS, beat, realistic, request, step, token, write

RULES = Path(validity.__file__).parent / "rules"


def judged(tmp_path, run, **manifest):
    folder = write(tmp_path / "run", **run, **manifest)
    with database.open_runs([folder]) as con:
        return validity.judge(con, folder.read_manifest())


def broken(verdict, level=None):
    return {(r.name, r.step_id) for r in verdict.rules if r.broken and level in (None, r.level)}


def test_a_good_run_is_valid(tmp_path):
    """Thirty closed requests and 300 Poisson ones on a healthy machine: no reason, no warning, and every rule tells its figure."""
    verdict = judged(tmp_path, spoilt.GOOD)
    assert (verdict.verdict, verdict.reasons, broken(verdict, "WARN")) == ("VALID", [], set())
    assert {
        "offered_load",
        "lateness",
        "send_delay",
        "workers_alive",
        "workers_running",
        "clock_steady",
        "ttft_certain",
        "icl_certain",
    } <= {r.name for r in verdict.rules}
    assert all(r.figure and r.limit and r.advice for r in verdict.rules)


INVALID = [
    (spoilt.open_lateness, {("lateness", 0)}),
    (spoilt.closed_lateness, {("lateness", 1)}),
    (spoilt.send_delay, {("send_delay", 0)}),
    (spoilt.offered_load, {("offered_load", 0)}),
    (spoilt.lost, {("workers_alive", None)}),
    (spoilt.stopped, {("workers_running", None)}),
    (spoilt.never_woken, {("workers_running", None)}),
    (spoilt.clock_step, {("clock_steady", None)}),
    (spoilt.twice, {("check_request_ids_unique", None), ("check_offered_all_recorded", None)}),
    (spoilt.uncertain_first, {("ttft_certain", 0), ("icl_certain", 0)}),
    (spoilt.uncertain_gaps, {("icl_certain", 0), ("icl_certain", 1)}),
    (spoilt.late_process_stamps, {("process_stamps_late", 0), ("process_stamps_late", 1)}),
]

WARN = [
    (spoilt.one_dropped, {("in_flight_cap", 0)}),
    (spoilt.process_stamps, {("process_stamps", 0), ("process_stamps", 1)}),
    (spoilt.inexact, {("exact_share", 0), ("exact_share", 1)}),
    (spoilt.lagging, {("loop_lag", None)}),
    (spoilt.resent, {("resent", 0)}),
    (spoilt.descriptors, {("limit_descriptors", 0)}),
    (spoilt.mixed_sources, {("token_sources", 0)}),
    (spoilt.short_answers, {("output_length", 0)}),
    (spoilt.long_prompts, {("input_length", 1)}),
    (spoilt.unrecorded_step, {("steps_recorded", None)}),
    (spoilt.unstamped, {("kernel_stamps", None)}),
]


@pytest.mark.parametrize(("change", "rules"), INVALID, ids=[c.__name__ for c, _ in INVALID])
def test_what_makes_a_run_invalid(change, rules, tmp_path):
    """Exactly the rule that the change is about is broken, and the reason names it in words."""
    run = copy.deepcopy(spoilt.GOOD)
    change(run)
    verdict = judged(tmp_path, run)
    assert broken(verdict, "INVALID") == rules
    assert verdict.verdict == "INVALID"
    assert len(verdict.reasons) == len(broken(verdict, "INVALID"))


@pytest.mark.parametrize(("change", "rules"), WARN, ids=[c.__name__ for c, _ in WARN])
def test_what_is_only_told(change, rules, tmp_path):
    """A warning does not fail the run."""
    run = copy.deepcopy(spoilt.GOOD)
    change(run)
    verdict = judged(tmp_path, run)
    assert broken(verdict, "WARN") == rules
    assert verdict.verdict == "VALID", verdict.reasons


@pytest.mark.parametrize(
    "change", [spoilt.paused_between_steps, spoilt.clock_slew, spoilt.few_uncertain_gaps], ids=lambda c: c.__name__
)
def test_what_does_no_harm(change, tmp_path):
    """Silence between steps, a slewed clock, last chunks that share their read with the end: all are as they should be."""
    run = copy.deepcopy(spoilt.GOOD)
    change(run)
    verdict = judged(tmp_path, run)
    assert (verdict.verdict, verdict.reasons) == ("VALID", [])


def test_a_busy_worker_is_warned_of_with_the_wait_it_predicts(tmp_path):
    """CPU above 80 % of a core; and as rate × CPU a request passes one half, the queue's own wait."""
    run = copy.deepcopy(spoilt.GOOD)
    spoilt.busy(run)
    verdict = judged(tmp_path, run)
    assert {("worker_cpu", None), ("rho", 0)} <= broken(verdict, "WARN")
    assert verdict.verdict == "VALID"


def test_room_is_told_of_every_step(tmp_path):
    """A worker that is idle nine tenths of the time has room, and its row says what a queue would predict of it."""
    verdict = judged(tmp_path, spoilt.GOOD)
    rules = [r for r in verdict.rules if r.name == "rho"]
    assert [(r.step_id, r.broken) for r in rules] == [(0, False), (1, False)]
    assert all("ρ 0.10" in r.figure and "of the median TTFT" in r.figure for r in rules)


def test_gaps_that_tcp_makes_are_told(tmp_path):
    """Chunks held for a delayed acknowledgement: gaps of 40 ms among gaps of none, while the mean stays the target's 10 ms."""
    run = copy.deepcopy(spoilt.GOOD)
    spoilt.stalled(run)
    verdict = judged(tmp_path, run)
    rules = {r.step_id: r for r in verdict.rules if r.name == "stalled_gaps"}
    assert {step_id: r.broken for step_id, r in rules.items()} == {0: True, 1: False}
    assert "TCP_NODELAY" in rules[0].advice
    assert verdict.verdict == "VALID", verdict.reasons


def test_misses_in_clumps_prove_less(tmp_path):
    """Two misses of 1,000 prove 99 % where they lie apart, and no longer where they and their neighbours are of one busy moment."""
    rows = [request(n, at_ms=100 * n, streamed=False, done_ns=START_NS + 100 * n * MS + 50 * MS) for n in range(1000)]

    def proved(late):
        run = copy.deepcopy(rows)
        for n in late:
            run[n]["done_ns"] += 500 * MS
        tables = {"steps": [step(0, 100.0, offered=1000)], "requests": run, "health": [beat(0, s) for s in range(102)]}
        folder = tmp_path / f"{len(late)}-{late[1]}"
        verdict = judged(folder, tables, slo={"e2e_ms": 100, "attainment": 0.99})
        return next(r for r in verdict.rules if r.name == "early_stopping")

    apart, together = proved([50, 650]), proved([500, 501])
    assert (apart.broken, together.broken) == (False, True)
    assert "worth" in together.figure


def test_no_miss_at_all_proves_less_where_the_slow_ones_come_in_clumps(tmp_path):
    """1,000 requests within the limit prove 99 % where their latencies lie in any order, and no longer where twenty neighbours at a time
    are slow together: a step between two clumps of misses looks the same."""
    rng = np.random.default_rng(7)
    e2e_ms = np.repeat(rng.uniform(10, 90, 50), 20)

    def proved(name, values):
        rows = [
            request(n, at_ms=100 * n, streamed=False, done_ns=START_NS + 100 * n * MS + int(ms * MS))
            for n, ms in enumerate(values)
        ]
        tables = {"steps": [step(0, 100.0, offered=1000)], "requests": rows, "health": [beat(0, s) for s in range(102)]}
        verdict = judged(tmp_path / name, tables, slo={"e2e_ms": 100, "attainment": 0.99})
        return next(r for r in verdict.rules if r.name == "early_stopping")

    apart, together = proved("apart", rng.permutation(e2e_ms)), proved("together", e2e_ms)
    assert (apart.broken, together.broken) == (False, True)
    assert "0 misses of 1,000, worth 0 of" in together.figure


def test_a_bunched_process_is_not_poisson(tmp_path):
    """Sends in bursts fail a test of the arrival process, which is told with its p."""
    run = copy.deepcopy(spoilt.GOOD)
    spoilt.bunched(run)
    verdict = judged(tmp_path, run)
    assert ("arrivals_kolmogorov_smirnov", 0) in broken(verdict, "WARN")


def test_a_lost_worker_of_the_manifest_is_enough(tmp_path):
    """The coordinator saw it die, whatever the rows say."""
    verdict = judged(tmp_path, spoilt.GOOD, lost_workers=[1])
    assert broken(verdict, "INVALID") == {("workers_alive", None)}


def test_an_interrupt_alone_is_no_fault(tmp_path):
    """What was done till then stands; the interruption is told."""
    verdict = judged(tmp_path, spoilt.GOOD, interrupted=True)
    assert (verdict.verdict, broken(verdict, "WARN")) == ("VALID", {("interrupted", None)})


def half_a_ramp():
    """The first 30 s of Poisson arrivals that were to rise from 10/s to 40/s in a minute: the step ends where the run was cut."""
    expected = np.cumsum(np.random.default_rng(3).exponential(size=2000))
    at_s = (np.sqrt(10**2 + expected * 2 * (40 - 10) / 60) - 10) * 60 / (40 - 10)
    rows = [request(n, at_ms=1000 * s) for n, s in enumerate(at_s[at_s < 30])]
    return {
        "steps": [step(0, duration_s=30.0, rate_end_rps=40.0, offered=len(rows))],
        "requests": rows,
        "health": [beat(second=s) for s in range(32)],
    }


@pytest.mark.parametrize(
    ("manifest", "judged_at_all"),
    [
        ({}, True),
        ({"interrupted": True}, False),
        ({"aborted": {"rule": "p99(ttft) < 1s", "step_id": 0, "told": "2 s", "step_s": 30.0, "run_s": 30.0}}, False),
        ({"budget": {"limit_usd": 1.0, "spent_usd": 1.0, "guessed_usd": 0.0, "stopped": True}}, False),
        ({"budget": {"limit_usd": 9.0, "spent_usd": 1.0, "guessed_usd": 0.0, "stopped": False}}, True),
        ({"ended_early": "the target's certificate was changed"}, False),
    ],
)
def test_a_ramp_that_was_cut_is_held_against_no_law(manifest, judged_at_all, tmp_path):
    """Its slope belongs to the planned length: whatever cut it, half of it is no ramp to the end in half of the time."""
    verdict = judged(tmp_path, half_a_ramp(), **manifest)
    assert any(r.name.startswith("arrivals_") for r in verdict.rules) is judged_at_all
    assert any(name.startswith("arrivals_") for name, _ in broken(verdict, "WARN")) is judged_at_all


def test_a_share_met_by_too_few_is_withheld(tmp_path):
    """300 requests without a miss do not prove 99.9 %, and say how many would."""
    verdict = judged(tmp_path, spoilt.GOOD, slo={"ttft_ms": 5000, "attainment": 0.999})
    rules = [r for r in verdict.rules if r.name == "early_stopping"]
    assert {r.step_id for r in rules} == {0, 1}
    assert "4,603" in rules[0].limit
    assert verdict.verdict == "VALID"


def test_percentiles_of_too_few_are_withheld_by_name(tmp_path):
    """The closed step's thirty requests bound no p99; nothing fails for it."""
    verdict = judged(tmp_path, spoilt.GOOD)
    assert any(r.level == "WITHHELD" and r.step_id == 1 and r.figure.startswith("p99 of e2e") for r in verdict.rules)


@pytest.mark.parametrize(
    "tables",
    [{}, {"steps": [step()]}, {"requests": [request(-1, request_id=-1, step_id=-1, phase="probe")]}],
    ids=["empty", "silent", "probes"],
)
def test_a_run_that_sent_nothing_proves_nothing(tables, tmp_path):
    """An empty record is INVALID, with that reason, and no rule stumbles over it."""
    verdict = judged(tmp_path, tables)
    assert ("recorded", None) in broken(verdict, "INVALID")


def test_a_target_that_fails_does_not_make_the_generator_late(tmp_path):
    """Every request refused or timed out: the generator did its part, so the run is VALID; thresholds and exit code 4 are others' job."""
    rows = [
        request(n, at_ms=100 * n, outcome=o, sent_ns=None, http_status=None)
        for n, o in enumerate(["connect_error"] * 15 + ["timeout"] * 15)
    ]
    verdict = judged(
        tmp_path, {"steps": [step(offered=30)], "requests": rows, "health": [beat(0, s) for s in range(12)]}
    )
    assert (verdict.verdict, verdict.reasons) == ("VALID", [])


def test_a_plausible_run_of_all_kinds_is_valid(tmp_path):
    """Open and closed steps with failures of every kind: failures are the target's, the verdict is the generator's."""
    run = realistic(tmp_path / "plausible")
    with database.open_runs([run]) as con:
        verdict = validity.judge(con, run.read_manifest())
    assert (verdict.verdict, verdict.reasons, broken(verdict, "WARN")) == ("VALID", [], set())


def test_each_run_of_several_is_judged_by_itself(tmp_path):
    """One connection over a good and a bad run: the manifest says which is judged."""
    bad = copy.deepcopy(spoilt.GOOD)
    spoilt.open_lateness(bad)
    for rows in bad.values():
        for row in rows:
            row["run_id"] = "bad"
    folders = [write(tmp_path / "run-1", **spoilt.GOOD), write(tmp_path / "bad", **bad, run_id="bad")]
    with database.open_runs(folders) as con:
        assert [validity.judge(con, f.read_manifest()).verdict for f in folders] == ["VALID", "INVALID"]


def test_every_rule_is_documented():
    """docs/verdict.md names each rule under the level that it has, and none that does not exist."""
    source = "\n".join(p.read_text() for p in sorted(RULES.glob("*.py")))
    made = re.findall(r'Rule\(\s*f?"([^"]+)",\s*"([A-Z]+)"', source)
    levels = {re.sub(r"\{.*\}", "", name): level for name, level in made}
    page = (RULES.parents[1] / "docs" / "verdict.md").read_text()
    told = {}
    for section in page.split("\n## ")[1:]:
        for cells in re.findall(r"^\| (`[^|]*)\|", section, re.MULTILINE):
            told |= dict.fromkeys(re.findall(r"`([a-z_]+)…?`", cells), section.split(":", 1)[0])
    # A name that is made of parts is known by the part that is written out.
    parts = {
        "check_": "check_",
        "limit_": "limit_descriptors",
        "arrivals_": "arrivals_dispersion",
        "_certain": "icl_certain",
        "_length": "output_length",
    }
    assert {parts.get(name, name): level for name, level in levels.items()}.items() <= told.items()
    assert len(levels) == len(
        set(told)
        - {"limit_ports", "input_length", "arrivals_kolmogorov_smirnov", "arrivals_autocorrelation", "ttft_certain"}
    )


def test_a_share_is_told_as_it_is_and_never_across_a_limit() -> None:
    """Four digits, cut off and not rounded up; what floating point leaves of 14.3 % is 14.3 %."""
    assert [percent(x) for x in (0.143, 0.57, 0.99, 0.98996, 0.999, 1.0)] == [
        "14.3 %",
        "57 %",
        "99 %",
        "98.99 %",
        "99.9 %",
        "100 %",
    ]


@pytest.mark.parametrize(("rises", "inexact", "withheld"), [(False, 10, "p99.9"), (True, 60, "p99")])
def test_a_percentile_that_is_not_printed_fails_no_run(rises, inexact, withheld, tmp_path):
    """Of 3,000 answers the slowest ten or sixty have first stamps that could be 200 ms too late: a p99.9 that this could move is withheld,
    and a p99 is, that rises with the step. No other percentile moves, and only what is printed is held against the rule."""
    rows, chunks = [], []
    for n in range(3000):
        late = n % (3000 // inexact) == 0
        ttft_ms = 3000 if late else 300 + n * 0.5 if rises else 300 + n * 7 % 3000 * 0.1
        row = request(n, at_ms=10.0 * n)
        first_ns = row["scheduled_ns"] + round(ttft_ms * MS)
        row |= {"done_ns": first_ns + MS, "last_read_before_ns": first_ns - 200 * MS}
        rows.append(row)
        chunks.append(token(row, 0, first_ns, exact=not late))
    run = write(tmp_path / "run", steps=[step(0, duration_s=30)], requests=rows, tokens=chunks)
    with database.open_runs([run]) as con:
        judged = [r for r in catalog.run(con, "stamp_certainty").dicts() if r["metric"] == "ttft"]
        reasons = {r["figure"]: r["reason"] for r in catalog.run(con, "withheld").dicts() if r["metric"] == "ttft"}
        certain = {r["q"]: r["moved_ms"] <= r["limit_ms"] for r in catalog.run(con, "ttft_bounds").dicts()}
    assert [r["q"] for r in judged] == [0.5, 0.75, 0.9, 0.95, *([] if rises else [0.99])]
    assert all(r["moved_ms"] <= r["limit_ms"] for r in judged)
    assert withheld in reasons
    assert reasons["p99.9"].startswith("not steady" if rises else "inexact stamps could move it by")
    assert not certain[0.99 if rises else 0.999]
