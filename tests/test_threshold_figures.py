"""Thresholds against runs whose figures are known by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from analysis import catalog, database, thresholds
from console import cli
from generator.thresholds import Rule
from tests import fabricate

TTFT_MS = (10.0, 20.0, 30.0, 40.0, 50.0)


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """Step 0: five good answers with TTFT 10 to 50 ms and gaps of 1, 2 and 3 ms, one 429, one never sent, one probe; lateness
    50 µs but for one request that was 2 ms late. Step 1: nothing was recorded."""
    answers = [
        fabricate.answer(n, at_ms=100.0 * n, ttft_ms=ms, gaps_ms=(1.0, 2.0, 3.0)) for n, ms in enumerate(TTFT_MS)
    ]
    requests = [row for row, _ in answers]
    requests[0]["issued_ns"] = requests[0]["scheduled_ns"] + 2 * fabricate.MS
    requests.append(fabricate.request(5, at_ms=500.0, outcome="rate_limited", http_status=429))
    requests.append(fabricate.request(6, at_ms=600.0, outcome="dropped", issued_ns=None, sent_ns=None, done_ns=None))
    requests.append(fabricate.request(-1, step_id=-1, phase="probe", outcome="server_error"))
    run = fabricate.write(
        tmp_path / "run-1",
        steps=[fabricate.step(0), fabricate.step(1, start_ns=fabricate.START_NS + 60 * fabricate.S)],
        requests=requests,
        tokens=[token for _, tokens in answers for token in tokens],
        slo={"ttft_ms": 35.0},
    )
    return run.path


def judged(path: Path, rule: str) -> list[tuple[float | None, bool | None]]:
    with database.open_runs([fabricate.RunDir(path)]) as connection:
        return [(found["figure"], found["holds"]) for found in thresholds.judge(connection, [rule])]


@pytest.mark.parametrize(
    ("rule", "figure"),
    [
        ("p50(ttft) < 1s", 30.0),
        ("p75(ttft) < 1s", 40.0),
        ("p90(ttft) < 1s", 46.0),  # interpolated: 40 + 0.6 · 10
        ("mean(ttft) < 1s", 30.0),
        ("max(ttft) < 1s", 50.0),
        ("min(e2e) < 1s", 16.0),
        ("mean(tpot) < 1s", 2.0),
        ("p50(icl) < 1s", 2.0),
        ("p95(icl) < 1s", 3.0),
        ("mean(icl) < 1s", 2.0),
        ("max(icl) < 1s", 3.0),
        ("max(lateness) < 1s", 2.0),
        ("share(rate_limited) < 100%", 1 / 7),
        ("share(failed) < 100%", 2 / 7),
        ("rate(requests) < 100/s", 0.5),
        ("rate(output_tokens) < 100/s", 2.0),
        ("rate(goodput) < 100/s", 0.3),
        ("attainment < 100%", 3 / 7),
    ],
)
def test_figures_are_those_worked_out_by_hand(known: Path, rule: str, figure: float) -> None:
    """Percentiles and means over good requests, lateness over all that were issued, shares over all that were due; no probes."""
    (first, holds), _ = judged(known, rule)
    assert first == pytest.approx(figure)
    assert holds


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        ("max(ttft) < 50ms", False),
        ("max(ttft) <= 50ms", True),
        ("max(ttft) > 50ms", False),
        ("max(ttft) >= 50ms", True),
        ("share(failed) < 28%", False),
        ("share(failed) < 29%", True),
    ],
)
def test_a_rule_holds_or_fails_at_its_limit(known: Path, rule: str, holds: bool) -> None:
    """Strict and non-strict comparisons differ at the limit itself."""
    assert judged(known, rule)[0][1] is holds


@pytest.mark.parametrize("rule", ["p99(ttft) < 1h", "share(failed) < 100%", "attainment >= 0%"])
def test_a_figure_that_does_not_exist_breaks_its_rule(known: Path, rule: str) -> None:
    """A step without requests cannot pass: that nothing was measured is no success."""
    assert judged(known, rule)[1] == (None, False)


@pytest.fixture
def slow_ones(tmp_path: Path) -> Path:
    """Step 0: 100 answers, of which 3 took 900 ms; step 1: 100, of which 7 did; step 2: 400, of which 3 did."""
    rows = []
    for step_id, (n, slow) in enumerate([(100, 3), (100, 7), (400, 3)]):
        for number in range(n):
            late = number % 13 == 0 and number // 13 < slow
            took_ns = (900 if late else 50 + number % 7) * fabricate.MS
            row = fabricate.request(number, step_id, at_ms=20.0 * number, streamed=False)
            rows.append(row | {"done_ns": row["scheduled_ns"] + took_ns})
    return fabricate.write(tmp_path / "run-1", steps=[fabricate.step(n) for n in range(3)], requests=rows).path


@pytest.mark.parametrize(
    ("rule", "states"),
    [
        ("p99(e2e) < 800ms", [None, False, True]),
        ("p99(e2e) < 1s", [None, None, True]),
        ("p99(e2e) > 1s", [None, None, False]),
        ("p99(e2e) >= 1ms", [None, None, True]),
        ("p98(e2e) < 800ms", [False, False, True]),
        ("p99.9(e2e) < 1s", [None, None, None]),
        ("p1(e2e) >= 10ms", [None, None, True]),
    ],
)
def test_a_percentile_of_too_few_neither_passes_nor_fails(
    slow_ones: Path, rule: str, states: list[bool | None]
) -> None:
    """What the report withholds proves nothing, and its figure is not told here either; a rule that so many break is broken all the same: 7
    of 100 where 1 may come once in 10,000 times, 3 once in 12."""
    with database.open_runs([fabricate.RunDir(slow_ones)]) as connection:
        found = thresholds.judge(connection, [rule])
    assert [f["holds"] for f in found] == states
    for f in found:
        assert (f["withheld"] is None) == (f["holds"] is not None)
        assert f["holds"] is not None or f["figure"] is None
    if rule == "p99(e2e) < 800ms":
        assert found[0]["withheld"] == "n too small: 100 of 299"


def test_gaps_of_few_prove_nothing_by_their_number(known: Path) -> None:
    """Fifteen gaps of five answers: those of one answer resemble one another, so that even all on the wrong side fail no p99."""
    assert judged(known, "p99(icl) < 1ms")[0] == (None, None)


def test_a_step_that_was_not_steady_says_nothing_of_its_p99(tmp_path: Path) -> None:
    """Latency rises all through the step, so that its p99 is a matter of when it ended: no rule on it passes; a median is what it was, and a
    limit that most of the step was beyond is broken."""
    rows = []
    for number in range(600):
        row = fabricate.request(number, at_ms=15.0 * number, streamed=False)
        rows.append(row | {"done_ns": row["scheduled_ns"] + int((50 + number + number % 5) * fabricate.MS)})
    run = fabricate.write(tmp_path / "run-1", steps=[fabricate.step(0)], requests=rows)
    with database.open_runs([run]) as connection:
        found = thresholds.judge(connection, ["p99(e2e) < 800ms", "p50(e2e) < 800ms", "p99(e2e) < 200ms"])
    assert [f["holds"] for f in found] == [None, True, False]
    assert found[0]["withheld"].startswith("not steady")


def test_not_enough_data_is_told_in_every_form_and_is_no_success(
    slow_ones: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 99: a pipeline does not go on because nobody could tell. Text says why, JUnit has an error and no failure, Prometheus nothing."""
    rule = ["--threshold", "{rule: p99(e2e) < 1s, step: 0}"]
    assert cli.main(["report", str(slow_ones), *rule]) == 99
    told = capsys.readouterr().out
    assert "threshold p99(e2e) < 1s: NOT ENOUGH DATA in step 0 (step 0): n too small: 100 of 299" in told
    assert cli.main(["report", str(slow_ones), *rule, "--format", "junit"]) == 99
    suite = ET.fromstring(capsys.readouterr().out)[0]
    errors = suite.findall("testcase/error")
    assert suite.get("errors") == "1" == str(len(errors))
    assert errors[0].get("message") == "n too small: 100 of 299; limit 1000"
    assert cli.main(["report", str(slow_ones), *rule, "--format", "prometheus"]) == 99
    assert not [line for line in capsys.readouterr().out.splitlines() if line.startswith("openloop_threshold_held{")]
    assert cli.main(["report", str(slow_ones), *rule, "--format", "html"]) == 99
    assert "not enough data" in capsys.readouterr().out


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """One step of 10 s. Workload chat, tags tenant=a and tier=1: TTFT 10, 20 ms, gaps of 1 ms, one 429. Workload code to another target,
    tenant=b: TTFT 90 ms, gaps of 5 ms. Within an SLO of 15 ms: one."""
    chat = {"workload": "chat", "tags": "tenant=a,tier=1"}
    code = {"workload": "code", "target": "other", "tags": "tenant=b"}
    answers = [
        fabricate.answer(0, at_ms=0, ttft_ms=10, gaps_ms=(1.0, 1.0), **chat),
        fabricate.answer(1, at_ms=100, ttft_ms=20, gaps_ms=(1.0, 1.0), **chat),
        fabricate.answer(2, at_ms=200, ttft_ms=90, gaps_ms=(5.0,), **code),
    ]
    run = fabricate.write(
        tmp_path / "run-1",
        steps=[fabricate.step(0)],
        requests=[*(row for row, _ in answers), fabricate.request(3, at_ms=300, outcome="rate_limited", **chat)],
        tokens=[token for _, tokens in answers for token in tokens],
        slo={"ttft_ms": 15.0},
    )
    return run.path


@pytest.mark.parametrize(
    ("text", "about", "figure"),
    [
        ("max(ttft) < 1s", {"tags": ("tenant=a",)}, 20.0),
        ("max(ttft) < 1s", {"tags": ("tenant=b",)}, 90.0),
        ("max(ttft) < 1s", {"tags": ("tenant=a", "tier=1")}, 20.0),
        ("mean(ttft) < 1s", {"workload": "chat"}, 15.0),
        ("mean(ttft) < 1s", {"target": "other"}, 90.0),
        ("mean(ttft) < 1s", {"target": "target", "workload": "code"}, None),
        ("share(failed) < 1%", {"workload": "chat"}, 1 / 3),
        ("share(failed) < 1%", {"workload": "code"}, 0.0),
        ("attainment > 0%", {"workload": "chat"}, 1 / 3),
        ("goodput > 0/s", {"workload": "chat"}, 0.1),
        ("goodput > 0/s", {"workload": "code"}, 0.0),
        ("rate(good_tokens) > 0/s", {"workload": "chat"}, 0.3),
        ("rate(good_tokens) > 0/s", {}, 0.3),
        ("rate(requests) > 0/s", {"workload": "chat"}, 0.2),
        ("rate(output_tokens) > 0/s", {"workload": "code"}, 0.2),
        ("p50(icl) < 1s", {"workload": "chat"}, 1.0),
        ("max(icl) < 1s", {"workload": "code"}, 5.0),
        ("mean(icl) < 1s", {"workload": "code"}, 5.0),
        ("min(fluidity) > 0%", {"workload": "code"}, 0.5),
        ("mean(fluidity) > 0%", {}, (1 + 2 / 3 + 1 / 2) / 3),
    ],
)
def test_a_rule_hears_of_its_own_requests_alone(
    shared: Path, text: str, about: dict[str, Any], figure: float | None
) -> None:
    """By tag, workload and target: the same figures, over fewer requests. (Fluidity against 15 ms, then 50 ms for each chunk.)"""
    with database.open_runs([fabricate.RunDir(shared)]) as connection:
        (found,) = thresholds.judge(connection, [Rule(text, (0,), **about)])
    assert found["figure"] == (None if figure is None else pytest.approx(figure))


def test_percentiles_of_gaps_are_interpolated_as_the_reports_are(tmp_path: Path) -> None:
    """Between gaps of 10 and 1,000 ms lies their median, in a rule as in the report; so for the requests of one workload."""
    row, tokens = fabricate.answer(gaps_ms=(10.0, 1000.0), workload="chat")
    run = fabricate.write(tmp_path / "run-1", steps=[fabricate.step(0)], requests=[row], tokens=tokens)
    with database.open_runs([run]) as connection:
        (reported,) = catalog.run(connection, "icl_percentiles").dicts()
        rules = [Rule(f"p{p}(icl) < 1h", workload=only) for p in (50, 75) for only in (None, "chat")]
        found = [f["figure"] for f in thresholds.judge(connection, rules)]
    assert (reported["p50_ms"], reported["p75_ms"]) == (505.0, 752.5)
    assert found == pytest.approx([505.0, 505.0, 752.5, 752.5])


def test_fluidity_is_judged_by_the_deadlines_of_the_report(tmp_path: Path) -> None:
    """Answers that are slow, and wholly fluent by the run's own deadlines, keep a rule on fluidity: the two cannot differ."""
    answers = [fabricate.answer(n, at_ms=100.0 * n, ttft_ms=900, gaps_ms=(90.0, 90.0)) for n in range(20)]
    run = fabricate.write(
        tmp_path / "run-1",
        steps=[fabricate.step(0)],
        requests=[row for row, _ in answers],
        tokens=[token for _, tokens in answers for token in tokens],
        slo={"fluidity": 0.9, "fluidity_first_ms": 1000.0, "fluidity_next_ms": 100.0},
    )
    with database.open_runs([run]) as connection:
        (summary,) = catalog.run(connection, "fluidity_summary").dicts()
        (found,) = thresholds.judge(connection, ["mean(fluidity) >= 90%"])
    assert found["figure"] == summary["mean_fluidity"] == 1.0
    assert found["holds"]


def test_a_rule_of_some_steps_says_nothing_of_others(known: Path) -> None:
    """Nor does it fail for a step that was never reached."""
    with database.open_runs([fabricate.RunDir(known)]) as connection:
        found = thresholds.judge(connection, [Rule("max(ttft) < 1s", (1, 7))])
    assert [f["step_id"] for f in found] == [1]


def test_what_rules_can_be_narrowed_to(shared: Path) -> None:
    """Steps, workloads, targets and tags as they were recorded."""
    with database.open_runs([fabricate.RunDir(shared)]) as connection:
        found = thresholds.parts(connection)
    assert {(p.step_id, p.step, p.workload, p.target, p.tags) for p in found} == {
        (0, "step 0", "chat", "target", frozenset({"tenant=a", "tier=1"})),
        (0, "step 0", "code", "other", frozenset({"tenant=b"})),
    }


@pytest.mark.parametrize(
    ("rules", "code", "said"),
    [
        (["max(ttft) < 1s"], 0, "threshold max(ttft) < 1s: held in step 0"),
        (["max(ttft) < 1ms"], 99, "threshold max(ttft) < 1ms: FAILED in step 0"),
        (["{rule: max(ttft) < 30ms, tag: {tenant: a}}"], 0, "threshold max(ttft) < 30ms [tenant=a]: held in step 0"),
        (["max(ttft) < 1"], 2, "a duration with its unit is wanted"),
        (["{rule: max(ttft) < 1s, workload: chta}"], 2, "workload: no workload 'chta'; nearest: 'chat'"),
        (["{rule: max(ttft) < 1s, abort: true}"], 2, "abort stops a run that is going"),
        (["{rule: max(ttft) < 1s, stpe: 0}"], 2, "known: rule, step, tag"),
        (["{rule: [}"], 2, "no YAML value"),
    ],
)
def test_a_finished_run_is_held_against_new_rules(
    shared: Path, rules: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """``report --threshold`` ends with 99 where one fails, with 2 and the nearest word where one means nothing; the folder stays as it was."""
    before = (shared / "manifest.json").read_bytes()
    assert cli.main(["report", str(shared), *(word for rule in rules for word in ("--threshold", rule))]) == code
    told = capsys.readouterr()
    assert said in told.out + told.err
    assert (shared / "manifest.json").read_bytes() == before
