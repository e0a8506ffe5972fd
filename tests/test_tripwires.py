"""Rules that may stop a run: what counts on which side, when that is proof, and a run that is stopped."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from plans import MS, WORDS, S, plan, step

from console import cli, exits
from generator import tripwires
from generator.apis.api import Answer
from generator.job import Plan
from generator.thresholds import Rule
from generator.tripwires import CHANCE, Tripwires, likely


def made(tmp_path: Path, *rules: Rule, **fields: Any) -> tuple[Tripwires, Plan]:
    planned = plan(step(0), step(1), thresholds=rules, **({"workers": 2} | fields))
    found = tripwires.opened(tmp_path / "t.bin", planned, create=True)
    assert found is not None
    return found, planned


def ended(ttft_ms: float | None = 10.0, **fields: Any) -> Any:
    """A stream that is over, as far as a tripwire looks: due at 1 s, 11 tokens, the last of them 100 ms after the first."""
    first_ns = None if ttft_ms is None else S + round(ttft_ms * MS)
    last_ns = None if first_ns is None else first_ns + 100 * MS
    answer = Answer(streamed=True, output_tokens=11, first_row_ns=first_ns, last_row_ns=last_ns)
    usual = {
        "phase": "main",
        "step": step(0),
        "step_id": 0,
        "cancel": None,
        "prompt": SimpleNamespace(spec=None),
        "target": SimpleNamespace(name="t"),
        "answer": answer,
        "scheduled_ns": S,
        "issued_ns": S + 2 * MS,
        "sent_ns": S + 3 * MS,
        "done_ns": S + 500 * MS,
    }
    return SimpleNamespace(**(usual | fields))


def long_ago(*step_ids: int) -> dict[int, int]:
    return dict.fromkeys(step_ids or (0, 1), 3600 * S)


@pytest.mark.parametrize(
    ("rule", "right", "wrong"),
    [
        ("p50(ttft) < 20ms", (ended(19.9), "ok"), (ended(20.0), "ok")),
        ("p50(ttft) <= 20ms", (ended(20.0), "ok"), (ended(20.1), "ok")),
        ("p50(ttft) > 20ms", (ended(20.1), "ok"), (ended(20.0), "ok")),
        ("p50(ttft_wire) < 20ms", (ended(22.9), "ok"), (ended(23.0), "ok")),
        ("p50(e2e) < 120ms", (ended(19.9), "ok"), (ended(20.0), "ok")),
        ("p50(tpot) < 10.1ms", (ended(), "ok"), (ended(answer=Answer(streamed=True, output_tokens=3, first_row_ns=1, last_row_ns=21 * MS)), "ok")),
        ("p50(ntpot) < 11ms", (ended(20.9), "ok"), (ended(21.0), "ok")),
        ("p50(lateness) < 3ms", (ended(), "timeout"), (ended(issued_ns=S + 3 * MS), "timeout")),
        ("max(ttft) < 20ms", (ended(19.9), "ok"), (ended(20.0), "ok")),
        ("share(rate_limited) < 10%", (ended(), "ok"), (ended(), "rate_limited")),
        ("share(failed) < 10%", (ended(), "ok"), (ended(), "dropped")),
        ("share(ok) > 90%", (ended(), "ok"), (ended(), "server_error")),
        ("attainment >= 90%", (ended(50.0), "ok"), (ended(50.1), "ok")),
        ("attainment >= 90%", (ended(50.0), "ok"), (ended(10.0), "rate_limited")),
    ],
)  # fmt: skip
def test_what_is_on_the_wrong_side(rule: str, right: Any, wrong: Any, tmp_path: Path) -> None:
    """A hundred requests on the right side break nothing; three times as many on the wrong side do, and are told."""
    wires, _ = made(tmp_path, Rule(rule, abort=True), slo={"ttft_ms": 50.0, "attainment": 0.5, "icl_ms": 1.0})
    for _ in range(100):
        wires.closed(*right, 0)
    assert wires.broken(long_ago()) is None
    for _ in range(300):
        wires.closed(*wrong, 1)
    broken = wires.broken(long_ago())
    assert broken is not None
    assert (broken.rule.text, broken.step_id, broken.requests, broken.wrong) == (rule, 0, 400, 300)
    assert broken.figure == pytest.approx(0.75)
    assert "300 of 400 requests" in broken.told


@pytest.mark.parametrize(
    "stream",
    [
        ended(99.0, phase="warmup"),
        ended(99.0, step=None, phase="probe"),
        ended(99.0, cancel=object()),
        ended(None),
    ],
)
def test_what_does_not_count(stream: Any, tmp_path: Path) -> None:
    """Warm-up, probes, what is given up on purpose, and answers that have no such figure."""
    wires, _ = made(tmp_path, Rule("p50(ttft) < 20ms", abort=True))
    for _ in range(100):
        wires.closed(stream, "ok", 0)
    assert wires.broken(long_ago()) is None


def test_what_ends_first_is_no_fair_sample(tmp_path: Path) -> None:
    """Five refusals are all that has ended, but of 1,000 requests: less than 1 %. Once the others have ended badly, too, it is broken."""
    wires, _ = made(tmp_path, Rule("share(failed) < 1%", abort=True), Rule("p50(ttft) < 20ms", abort=True))
    for _ in range(1000):
        wires.sent(ended(), 0)
    for _ in range(5):
        wires.closed(ended(), "rate_limited", 0)
    assert wires.broken(long_ago()) is None
    for _ in range(40):
        wires.closed(ended(), "rate_limited", 0)
    found = wires.broken(long_ago())
    assert found is not None
    assert (found.requests, found.wrong) == (1000, 45)
    assert "45 of 1,000 requests, those in flight included, failed" in found.told


def test_failed_requests_have_no_latency(tmp_path: Path) -> None:
    """As in the report, a percentile is over what ended ok."""
    wires, _ = made(tmp_path, Rule("p50(ttft) < 20ms", abort=True))
    for _ in range(100):
        wires.closed(ended(99.0), "timeout", 0)
    assert wires.broken(long_ago()) is None


def test_reasoning_leaves_tpot_to_the_analysis(tmp_path: Path) -> None:
    """Which of the tokens were shown is not known when the request ends: such a request is left out, not guessed at."""
    wires, _ = made(tmp_path, Rule("p50(tpot) < 1ms", abort=True))
    answer = Answer(streamed=True, output_tokens=11, reasoning_tokens=5, first_row_ns=S, last_row_ns=2 * S)
    for _ in range(100):
        wires.closed(ended(answer=answer), "ok", 0)
    assert wires.broken(long_ago()) is None


def test_a_mean_needs_more_than_a_few_and_a_margin(tmp_path: Path) -> None:
    """Thirty requests at least, and the limit beyond what their spread explains."""
    wires, _ = made(tmp_path, Rule("mean(ttft) < 20ms", abort=True))
    for n in range(29):
        wires.closed(ended(100.0 + n), "ok", 0)
    assert wires.broken(long_ago()) is None
    wires.closed(ended(100.0), "ok", 1)
    broken = wires.broken(long_ago())
    assert broken is not None
    assert broken.figure == pytest.approx((sum(100.0 + n for n in range(29)) + 100.0) / 30)

    wide, _ = made(tmp_path / "", Rule("mean(e2e) < 121ms", abort=True))
    for n in range(40):
        wide.closed(ended(2.0 if n % 2 else 42.0), "ok", 0)  # 122 ms ± 3 ms
    assert wide.broken(long_ago()) is None


def test_steps_workloads_targets_and_tags_are_told_apart(tmp_path: Path) -> None:
    """A rule hears of the requests that it is about alone, and steps that overlap stay apart."""
    spec = SimpleNamespace(name="chat", tags="tenant=a,tier=1")
    rules = (
        Rule("p50(ttft) < 20ms", (1,), abort=True),
        Rule("p50(ttft) < 21ms", (0, 1), "chat", abort=True),
        Rule("p50(ttft) < 22ms", (0,), None, "other", abort=True),
        Rule("p50(ttft) < 23ms", (0,), None, None, ("tenant=b",), abort=True),
        Rule("p50(ttft) < 24ms", (0,), None, None, ("tier=1", "tenant=a"), abort=True),
        Rule("p50(ttft) < 25ms"),
    )
    wires, _ = made(tmp_path, *rules)
    for _ in range(100):
        wires.closed(ended(99.0), "ok", 0)
    assert wires.broken(long_ago()) is None
    for _ in range(100):
        wires.closed(ended(99.0, prompt=SimpleNamespace(spec=spec)), "ok", 0)
    broken = wires.broken(long_ago())
    assert broken is not None
    assert (broken.rule, broken.step_id) == (rules[1], 0)
    assert wires.broken(long_ago(1)) is None
    wires.closed(ended(99.0, step=step(1), step_id=1), "ok", 0)
    assert wires.broken(long_ago(1)) is None
    for _ in range(20):
        wires.closed(ended(99.0, step=step(1), step_id=1), "ok", 0)
    broken = wires.broken(long_ago(1))
    assert broken is not None
    assert (broken.rule, broken.step_id) == (rules[0], 1)
    assert WORDS.tags is None


def test_a_rule_waits_for_its_delay(tmp_path: Path) -> None:
    """It is first judged when so much of the step is over."""
    wires, _ = made(tmp_path, Rule("share(failed) <= 0%", abort=True, delay_ns=5 * S))
    wires.closed(ended(), "timeout", 0)
    assert wires.broken({0: 5 * S - 1}) is None
    assert wires.broken({0: 5 * S}) is not None


def test_nothing_is_counted_where_no_rule_asks(tmp_path: Path) -> None:
    """Rules that do not stop a run cost it nothing: there is not even a file."""
    assert tripwires.opened(tmp_path / "t.bin", plan(step(), thresholds=(Rule("p99(ttft) < 1s"),)), create=True) is None
    assert not (tmp_path / "t.bin").exists()


@pytest.mark.parametrize("n", [1, 2, 7, 50])
@pytest.mark.parametrize("allowed", [0.0, 0.001, 0.01, 0.3, 0.99, 1.0])
def test_how_likely_so_many_are_is_the_binomial_tail(n: int, allowed: float) -> None:
    """Against the sum of all terms, above what is expected; below that it is no less than certain."""
    for wrong in range(n + 1):
        tail = sum(math.comb(n, k) * allowed**k * (1 - allowed) ** (n - k) for k in range(wrong, n + 1))
        assert likely(wrong, n, allowed) == (pytest.approx(tail, rel=1e-6, abs=1e-300) if wrong > n * allowed else 1.0)


@pytest.mark.parametrize(("wrong", "n"), [(101, 100), (1, 0), (0, 0)])
def test_counts_that_tear_are_no_fault(wrong: int, n: int) -> None:
    """Another process counts on while its numbers are read: more wrong ones than requests are all of them."""
    assert likely(wrong, n, 0.01) == (1.0 if n == 0 else likely(n, n, 0.01))


def test_a_rule_that_holds_rarely_stops_a_run() -> None:
    """Asked after each of 2,000 requests of which half as many are wrong as may be, it stops 1 of 300 runs at most."""
    draw = random.Random(7)
    stopped = 0
    for _ in range(300):
        wrong = 0
        for n in range(1, 2001):
            wrong += draw.random() < 0.005
            if wrong and likely(wrong, n, 0.01) < CHANCE:
                stopped += 1
                break
    assert stopped <= 1


SCENARIO = """
target: {url: simulator, simulator: {ttft: 80ms, itl: 2ms, jitter: 0}}
workload: {input_tokens: 16, output_tokens: 4}
probe: 0
workers: 2
steps:
  - {name: warm, rate: 40/s, duration: 1s}
  - {name: hot, rate: 60/s, duration: 60s}
  - {name: never, rate: 40/s, duration: 60s}
slo: {ttft: 1s, attainment: 90%}
thresholds:
  - {rule: p95(ttft) < 40ms, step: hot, abort: true, delay: 500ms}
  - {rule: share(failed) < 50%, abort: true}
  - attainment >= 50%
"""


def test_a_broken_rule_stops_the_run_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No more arrivals, answers in flight come to their end, later steps are not run; sealed, exit code 99, told in every report."""
    (tmp_path / "s.yaml").write_text(SCENARIO)
    code = cli.main(
        ["run", str(tmp_path / "s.yaml"), "--runs-dir", str(tmp_path), "--run-id", "r", "--no-live", "--json"]
    )
    report = json.loads(capsys.readouterr().out)
    stop = report["run"]["aborted"]
    assert (stop["rule"], stop["step_id"], stop["step"]) == ("p95(ttft) < 40ms", 1, "hot")
    assert stop["wrong"] <= stop["requests"]
    assert stop["step_s"] >= 0.5
    assert [s["name"] for s in report["steps"]] == ["warm", "hot"]
    hot = report["steps"][1]
    assert stop["requests"] <= hot["requests"] < 3000
    assert hot["outcomes"] == {"ok": hot["requests"]}
    found = {(t["rule"], t["step_id"]): t for t in report["thresholds"]}
    assert set(found) == {
        ("p95(ttft) < 40ms", 1),
        ("share(failed) < 50%", 0),
        ("share(failed) < 50%", 1),
        ("attainment >= 50%", 0),
        ("attainment >= 50%", 1),
    }
    assert [key for key, t in found.items() if t["aborted"]] == [("p95(ttft) < 40ms", 1)]
    assert [key for key, t in found.items() if not t["holds"]] == [("p95(ttft) < 40ms", 1)]
    # On a busy machine the generator itself may have been late, which goes before.
    assert code == (exits.THRESHOLD if report["verdict"]["verdict"] == "VALID" else exits.INVALID)
    assert not (tmp_path / "r" / "tripwires.bin").exists()
    manifest = json.loads((tmp_path / "r" / "manifest.json").read_text())
    assert manifest["aborted"] == stop
    assert any("is broken" in note and "no more arrivals" in note for note in manifest["notes"])
    assert cli.main(["report", "r", "--runs-dir", str(tmp_path), "--format", "junit"]) == 0
    (suite,) = ET.fromstring(capsys.readouterr().out)
    (case,) = [c for c in suite.findall("testcase") if c.get("name") == "p95(ttft) < 40ms in hot"]
    failure = case.find("failure")
    assert failure is not None
    assert (failure.get("message") or "").startswith("stopped the run ")
    assert "had ttft of at least 40 ms" in (failure.text or "")
    assert cli.main(["report", "r", "--runs-dir", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "stopped by a threshold" in told
    assert "threshold p95(ttft) < 40ms: STOPPED THE RUN in step 1 (hot)" in told
    assert "STOPPED" not in told.replace("STOPPED THE RUN in step 1 (hot)", "", 1)
