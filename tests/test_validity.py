"""The verdict: a good run is VALID; each rule has a run that breaks it and nothing else, so that no rule is silent or loud."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import numpy as np
import pytest

from analysis import database, validity
from tests.fabricate import MS, START_NS, US, S, answer, beat, realistic, request, step, write

SECOND_STEP_NS = START_NS + 20 * S


def good():
    """An open step, Poisson at 30/s for 10 s, and a closed one of 2 slots with 15 requests each; one worker, kernel stamps."""
    rng = np.random.default_rng(2)
    offsets_ms = np.cumsum(rng.exponential(1000 / 30, 400))
    offsets_ms = offsets_ms[offsets_ms < 10_000]
    pairs = [
        answer(n, at_ms=at, ttft_ms=50 + rng.exponential(5), gaps_ms=rng.normal(10, 0.2, 15))
        for n, at in enumerate(offsets_ms)
    ]
    for n in range(30):
        gaps = rng.normal(10, 0.2, 15)
        pairs.append(
            answer(
                n,
                step_id=1,
                scheduled_ns=SECOND_STEP_NS + n % 2 * 110 * MS + n // 2 * 220 * MS,
                ttft_ms=50,
                gaps_ms=gaps,
            )
        )
    run = {
        "steps": [
            step(0, name="open", rate_rps=30.0, offered=len(offsets_ms), planned_arrivals=len(offsets_ms)),
            step(1, 4, name="closed", concurrency=2, start_ns=SECOND_STEP_NS, offered=30, planned_arrivals=30),
        ],
        "requests": [row for row, _ in pairs],
        "tokens": [chunk for _, chunks in pairs for chunk in chunks],
        "health": [beat(0, s) for s in range(-1, 26)]
        + [beat(-1, s, reads=0, loop_lag_ns_p99=None) for s in range(-1, 26)],
    }
    # Connections are made for the first two requests only.
    for row in run["requests"][:2]:
        row["connected_ns"] = row["issued_ns"] + 500 * US
        row["sent_ns"] = row["connected_ns"] + 10 * US
    return run


GOOD = good()
RULES = Path(validity.__file__).parent / "rules"


def judged(tmp_path, run, **manifest):
    folder = write(tmp_path / "run", **run, **manifest)
    with database.open_runs([folder]) as con:
        return validity.judge(con, folder.read_manifest())


def broken(verdict, level=None):
    return {(r.name, r.step_id) for r in verdict.rules if r.broken and level in (None, r.level)}


def test_a_good_run_is_valid(tmp_path):
    """Thirty closed requests and 300 Poisson ones on a healthy machine: no reason, no warning, and every rule tells its figure."""
    verdict = judged(tmp_path, GOOD)
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


def late(run, step_id, by_ns, share):
    """Some requests issued, and so everything after, that much later."""
    rows = [r for r in run["requests"] if r["step_id"] == step_id]
    for row in rows[2 :: round(1 / share)]:
        for name in ("issued_ns", "sent_ns"):
            row[name] += by_ns


def open_lateness(run):
    late(run, 0, 2 * MS, 0.05)


def closed_lateness(run):
    late(run, 1, 2 * MS, 0.2)


def send_delay(run):
    for row in run["requests"][2:300:20]:
        row["sent_ns"] += 2 * MS


def offered_load(run):
    for row in run["requests"][10:20]:
        drop(run, row)


def drop(run, row):
    row.update(outcome="dropped", issued_ns=None, sent_ns=None, first_byte_ns=None, headers_ns=None, http_status=None)
    run["tokens"] = [t for t in run["tokens"] if t["request_id"] != row["request_id"]]


def one_dropped(run):
    drop(run, run["requests"][10])


def lost(run):
    row = run["requests"][10]
    drop(run, row)
    row.update(outcome="lost", done_ns=None)


def stopped(run):
    """SIGSTOP for 3 s: no health rows meanwhile."""
    run["health"] = [
        h for h in run["health"] if h["worker_id"] < 0 or not START_NS + 3 * S <= h["t_ns"] < START_NS + 6 * S
    ]


def never_woken(run):
    """SIGSTOP to the end: the last rows never came."""
    run["health"] = [h for h in run["health"] if h["worker_id"] < 0 or h["t_ns"] < START_NS + 21 * S]


def paused_between_steps(run):
    run["health"] = [
        h for h in run["health"] if h["worker_id"] < 0 or not START_NS + 13 * S <= h["t_ns"] < START_NS + 16 * S
    ]


def clock_step(run):
    for row in run["health"]:
        if row["t_ns"] > START_NS + 5 * S:
            row["clock_offset_ns"] += 2 * MS


def clock_slew(run):
    for row in run["health"]:
        row["clock_offset_ns"] += (row["t_ns"] - START_NS) * 400 // 1_000_000


def twice(run):
    run["requests"].append(dict(run["requests"][5]))


def uncertain_first(run):
    """First chunks of a fifth of the answers merged with what came 15 ms later."""
    for t in run["tokens"]:
        if t["request_id"] < 60 and t["chunk_index"] == 0:
            t["exact"] = False


def uncertain_gaps(run):
    """Every twelfth chunk merged with the next."""
    for t in run["tokens"]:
        if t["chunk_index"] == 7 and t["request_id"] % 2:
            t["exact"] = False


def few_uncertain_gaps(run):
    for t in run["tokens"]:
        if t["chunk_index"] == 15:
            t["exact"] = False


def process_stamps(run):
    uncertain_gaps(run)
    for row in run["requests"]:
        row["stamp_source"] = "process"


def inexact(run):
    """Many merged chunks, but so close together that no percentile can move far."""
    for t in run["tokens"]:
        t["t_ns"] = (
            next(r for r in run["requests"] if r["request_id"] == t["request_id"])["scheduled_ns"]
            + 50 * MS
            + t["chunk_index"] * 300 * US
        )
        t["exact"] = t["chunk_index"] % 3 == 0
    for row in run["requests"]:
        row["done_ns"] = row["scheduled_ns"] + 60 * MS
        row["first_byte_ns"] = row["headers_ns"] = row["scheduled_ns"] + 49 * MS


def busy(run):
    for row in run["health"]:
        if row["worker_id"] == 0:
            row["cpu_s"] = 1.0 + (row["t_ns"] - START_NS) / S * 0.9


def lagging(run):
    run["health"][8]["loop_lag_ns_p99"] = 40 * MS


def resent(run):
    run["requests"][9]["resent"] = True


def bunched(run):
    """The same requests, sent in bursts: each with the last of its tenth of a second."""
    for row in run["requests"]:
        if row["step_id"] == 0:
            moved = -(row["scheduled_ns"] - START_NS) % (200 * MS)
            for name in (
                "scheduled_ns",
                "issued_ns",
                "sent_ns",
                "connected_ns",
                "first_byte_ns",
                "headers_ns",
                "done_ns",
            ):
                if row[name] is not None:
                    row[name] += moved
            for t in run["tokens"]:
                if t["request_id"] == row["request_id"]:
                    t["t_ns"] += moved


def descriptors(run):
    row = run["requests"][10]
    drop(run, row)
    row.update(
        outcome="connect_error", issued_ns=row["scheduled_ns"], error_message="OSError: [Errno 24] Too many open files"
    )


def mixed_sources(run):
    run["requests"][10]["token_source"] = "chunks"


def unrecorded_step(run):
    del run["steps"][1]


def unstamped(run):
    for row in run["health"]:
        row["process_stamps"] = row["reads"] // 50 if row["reads"] and row["reads"] > 0 else 0


INVALID = [
    (open_lateness, {("lateness", 0)}),
    (closed_lateness, {("lateness", 1)}),
    (send_delay, {("send_delay", 0)}),
    (offered_load, {("offered_load", 0)}),
    (lost, {("workers_alive", None)}),
    (stopped, {("workers_running", None)}),
    (never_woken, {("workers_running", None)}),
    (clock_step, {("clock_steady", None)}),
    (twice, {("check_request_ids_unique", None), ("check_offered_all_recorded", None)}),
    (uncertain_first, {("ttft_certain", 0), ("icl_certain", 0)}),
    (uncertain_gaps, {("icl_certain", 0), ("icl_certain", 1)}),
]

WARN = [
    (one_dropped, {("in_flight_cap", 0)}),
    (process_stamps, {("process_stamps", 0), ("process_stamps", 1)}),
    (inexact, {("exact_share", 0), ("exact_share", 1)}),
    (lagging, {("loop_lag", None)}),
    (resent, {("resent", 0)}),
    (descriptors, {("limit_descriptors", 0)}),
    (mixed_sources, {("token_sources", 0)}),
    (unrecorded_step, {("steps_recorded", None)}),
    (unstamped, {("kernel_stamps", None)}),
]


@pytest.mark.parametrize(("change", "rules"), INVALID, ids=[c.__name__ for c, _ in INVALID])
def test_what_makes_a_run_invalid(change, rules, tmp_path):
    """Exactly the rule that the change is about is broken, and the reason names it in words."""
    run = copy.deepcopy(GOOD)
    change(run)
    verdict = judged(tmp_path, run)
    assert broken(verdict, "INVALID") == rules
    assert verdict.verdict == "INVALID"
    assert len(verdict.reasons) == len(broken(verdict, "INVALID"))


@pytest.mark.parametrize(("change", "rules"), WARN, ids=[c.__name__ for c, _ in WARN])
def test_what_is_only_told(change, rules, tmp_path):
    """A warning does not fail the run."""
    run = copy.deepcopy(GOOD)
    change(run)
    verdict = judged(tmp_path, run)
    assert broken(verdict, "WARN") == rules
    assert verdict.verdict == "VALID", verdict.reasons


@pytest.mark.parametrize("change", [paused_between_steps, clock_slew, few_uncertain_gaps], ids=lambda c: c.__name__)
def test_what_does_no_harm(change, tmp_path):
    """Silence between steps, a slewed clock, last chunks that share their read with the end: all are as they should be."""
    run = copy.deepcopy(GOOD)
    change(run)
    verdict = judged(tmp_path, run)
    assert (verdict.verdict, verdict.reasons) == ("VALID", [])


def test_a_busy_worker_is_warned_of_with_the_wait_it_predicts(tmp_path):
    """CPU above 80 % of a core; and as rate × CPU a request passes one half, the queue's own wait."""
    run = copy.deepcopy(GOOD)
    busy(run)
    verdict = judged(tmp_path, run)
    assert {("worker_cpu", None), ("rho", 0)} <= broken(verdict, "WARN")
    assert verdict.verdict == "VALID"


def test_a_bunched_process_is_not_poisson(tmp_path):
    """Sends in bursts fail a test of the arrival process, which is told with its p."""
    run = copy.deepcopy(GOOD)
    bunched(run)
    verdict = judged(tmp_path, run)
    assert ("arrivals_kolmogorov_smirnov", 0) in broken(verdict, "WARN")


def test_a_lost_worker_of_the_manifest_is_enough(tmp_path):
    """The coordinator saw it die, whatever the rows say."""
    verdict = judged(tmp_path, GOOD, lost_workers=[1])
    assert broken(verdict, "INVALID") == {("workers_alive", None)}


def test_an_interrupt_alone_is_no_fault(tmp_path):
    """What was done till then stands; the interruption is told."""
    verdict = judged(tmp_path, GOOD, interrupted=True)
    assert (verdict.verdict, broken(verdict, "WARN")) == ("VALID", {("interrupted", None)})


def test_a_share_met_by_too_few_is_withheld(tmp_path):
    """300 requests without a miss do not prove 99.9 %, and say how many would."""
    verdict = judged(tmp_path, GOOD, slo={"ttft_ms": 5000, "attainment": 0.999})
    rules = [r for r in verdict.rules if r.name == "early_stopping"]
    assert {r.step_id for r in rules} == {0, 1}
    assert "4,603" in rules[0].limit
    assert verdict.verdict == "VALID"


def test_percentiles_of_too_few_are_withheld_by_name(tmp_path):
    """The closed step's thirty requests bound no p99; nothing fails for it."""
    verdict = judged(tmp_path, GOOD)
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
    bad = copy.deepcopy(GOOD)
    open_lateness(bad)
    for rows in bad.values():
        for row in rows:
            row["run_id"] = "bad"
    folders = [write(tmp_path / "run-1", **GOOD), write(tmp_path / "bad", **bad, run_id="bad")]
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
    }
    assert {parts.get(name, name): level for name, level in levels.items()}.items() <= told.items()
    assert len(levels) == len(
        set(told) - {"limit_ports", "arrivals_kolmogorov_smirnov", "arrivals_autocorrelation", "ttft_certain"}
    )
