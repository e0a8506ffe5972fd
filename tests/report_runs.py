"""Run folders in every state that a report must bear, and a verdict that does not depend on the rules of the day."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from fabricate import START_NS, S, answer, beat, request, step, write

from analysis import database
from analysis.report import model
from analysis.validity import Rule, Verdict
from generator.run_dir import RunDir

VALID = Verdict(
    "VALID", [], [Rule("lateness", "INVALID", 0, "p99 0.05 ms", "at most 1 ms", "fewer requests a worker", False)]
)
INVALID = Verdict(
    "INVALID",
    ["worker 1 was lost; limit: 0 lost"],
    [
        Rule("worker_lost", "INVALID", None, "worker 1 was lost", "0 lost", "look into workers.log", True),
        Rule("exact_share", "WARN", 0, "91 % of chunks", "at least 98 %", "spread the starts", True),
    ],
)

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&<!--\u2028[red]{{ 7*7 }}"
"""Ends scripts, attributes and comments, opens elements, and speaks to the template and to rich."""


def judged(run: RunDir, verdict: Verdict = VALID) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """An open connection, the report and the manifest. The caller closes the connection."""
    manifest = run.read_manifest()
    con = database.open_runs([run])
    return con, model.build(con, manifest, verdict), manifest


def small(path: Path) -> RunDir:
    """Two open steps of 10 s. The first: TTFT 10, 20, 30, 40 ms, gaps of 10 ms, all ok. The second: one ok, one refused, one lost."""
    good = [answer(i, at_ms=100.0 * i, ttft_ms=10.0 * (i + 1), gaps_ms=(10.0,) * 4) for i in range(4)]
    later = {"scheduled_ns": START_NS + 20 * S, "step_id": 1}
    last = answer(0, ttft_ms=50.0, gaps_ms=(20.0,) * 2, **later)
    refused = request(
        1,
        **later,
        outcome="rate_limited",
        http_status=429,
        error_type="rate_limit_error",
        error_message="slow down",
        finish_reason=None,
    )
    refused |= {"output_tokens": None}
    lost = request(
        2, **later, outcome="lost", http_status=None, finish_reason=None, issued_ns=None, sent_ns=None, done_ns=None
    )
    lost |= dict.fromkeys(("first_byte_ns", "headers_ns", "connection_id", "stamp_source"))
    steps = [step(0, name="10/s", offered=4, planned_arrivals=4)]
    steps.append(step(1, name="30/s", start_ns=START_NS + 20 * S, rate_rps=30.0, offered=3, planned_arrivals=3))
    answers = [*good, last]
    return write(
        path,
        steps=steps,
        requests=[*(row for row, _ in answers), refused, lost],
        tokens=[t for _, rows in answers for t in rows],
        health=[beat(second=s) for s in range(31)],
        name="small",
        thresholds=["p50(ttft) < 40ms"],
        versions={"duckdb": "2.0.0"},
    )


def empty(path: Path) -> RunDir:
    """Interrupted before anything was sent: not even a step."""
    return write(path, interrupted=True)


def failed(path: Path) -> RunDir:
    """One step, no request ok: the target refused every connection."""
    rows = [
        request(i, at_ms=i, outcome="connect_error", http_status=None, sent_ns=None, error_type="refused")
        for i in range(3)
    ]
    return write(path, steps=[step(offered=3)], requests=rows, health=[beat(second=s) for s in range(11)])


def single(path: Path) -> RunDir:
    """One request, ok, of one token: no TPOT, no gaps."""
    row, tokens = answer(gaps_ms=())
    return write(
        path, steps=[step(offered=1)], requests=[row], tokens=tokens, health=[beat(second=s) for s in range(11)]
    )


def unstreamed(path: Path) -> RunDir:
    """Answers came whole: they have no token rows, and end when the body does."""
    rows = [request(i, at_ms=100 * i, streamed=False, output_tokens=5, token_source="usage") for i in range(5)]
    return write(path, steps=[step(offered=5)], requests=rows, health=[beat(second=s) for s in range(11)])


def hostile(path: Path) -> RunDir:
    """Every text that a scenario, a model or a target can choose is an attack."""
    text = {
        "error_type": HOSTILE,
        "error_message": HOSTILE,
        "finish_reason": HOSTILE,
        "model": HOSTILE,
        "response_id": HOSTILE,
    }
    refused = request(
        0, outcome="stream_error", workload=HOSTILE, tags=f"{HOSTILE}={HOSTILE}", session_id=0, turn=1, turns=1, **text
    )
    row, tokens = answer(1, at_ms=5.0, finish_reason=HOSTILE, model=HOSTILE)
    steps = [
        step(0, name=HOSTILE, cell=HOSTILE, offered=2),
        step(1, name=f"{HOSTILE} 2", start_ns=START_NS + 20 * S, offered=1),
    ]
    other, more = answer(0, step_id=1, scheduled_ns=START_NS + 20 * S)
    return write(
        path,
        steps=steps,
        requests=[refused, row, other],
        tokens=[*tokens, *more],
        health=[beat(second=s) for s in range(31)],
        name=HOSTILE,
        warnings=[HOSTILE],
        scenario_digest=HOSTILE,
        versions={HOSTILE: HOSTILE},
        host={"hostname": HOSTILE, "model": HOSTILE},
        targets={HOSTILE: {"url": HOSTILE, "api": HOSTILE, "model": HOSTILE}},
    )


def talking(path: Path) -> RunDir:
    """Two workloads in one step: one asks once, with a tag; the other has three sessions of two turns: completed, failed, cut."""
    talk = {"workload": "talk", "turns": 2}
    rows = [
        answer(0, at_ms=0, workload="ask", tags="tenant=a", ttft_ms=20),
        answer(2, at_ms=100, session_id=2, turn=1, **talk, input_tokens_wanted=512),
        answer(3, at_ms=900, session_id=2, turn=2, **talk, ttft_ms=80, input_tokens=1100, input_tokens_wanted=None),
        answer(4, at_ms=200, session_id=4, turn=1, **talk),
        answer(6, at_ms=9900, session_id=6, turn=1, **talk),
    ]
    failed = request(
        5, at_ms=950, session_id=4, turn=2, **talk, outcome="timeout", http_status=None, error_type="total"
    )
    return write(
        path,
        steps=[step(0, offered=6, planned_arrivals=4, session_turns=2, input_tokens=None)],
        requests=[*(row for row, _ in rows), failed],
        tokens=[t for _, tokens in rows for t in tokens],
        health=[beat(second=s) for s in range(11)],
    )


def compared(path: Path, slower_ms: float = 5.0, turns: int = 4, each: int = 40, **keys: Any) -> RunDir:
    """Two targets in turns, old and new, A B, B A: TTFTs of 40 to 60 ms, of new ``slower_ms`` more, the same in every turn."""
    steps, rows = [], []
    for step_id in range(2 * turns):
        block, second = divmod(step_id, 2)
        arm = ("old", "new")[second ^ block % 2]
        start_ns = START_NS + step_id * 10 * S
        steps.append(step(step_id, name="steady", arm=arm, block=block, start_ns=start_ns, duration_s=8, offered=each))
        for number in range(each):
            ttft_ms = 40 + (number * 7 + block * 3) % each * 20 / each + (slower_ms if arm == "new" else 0)
            due = {"step_id": step_id, "scheduled_ns": start_ns + number * 200_000_000, "target": arm}
            rows.append(answer(number, ttft_ms=ttft_ms, **due))
    return write(
        path,
        steps=steps,
        requests=[row for row, _ in rows],
        tokens=[t for _, tokens in rows for t in tokens],
        health=[beat(second=s) for s in range(20 * turns)],
        targets={arm: {"url": f"http://127.0.0.1/{arm}", "api": "openai-chat", "model": "m"} for arm in ("old", "new")},
        **keys,
    )


def limited(path: Path) -> RunDir:
    """Two open steps against a token bucket of 20 requests that gets 10 a second: 10/s, then 20/s; it says so in headers and messages."""
    rows, there, last_s = [], 20.0, 0.0
    for step_id, (rate, start_s, seconds) in enumerate(((10, 0.0, 40), (20, 45.0, 20))):
        for number in range(rate * seconds):
            t_s = start_s + number / rate + 0.4 / rate * math.sin(number)
            there, last_s = min(20.0, there + 10 * (t_s - last_s)), t_s
            told: dict[str, Any] = {"step_id": step_id, "limit_requests": 600, "remaining_requests": 588}
            told |= {"reset_requests_s": 1.2, "input_tokens_wanted": 100, "output_tokens_wanted": 8}
            if there < 1:
                told |= {"outcome": "rate_limited", "http_status": 429, "finish_reason": None, "retry_after_s": 0.1}
                told |= {"stated_dimension": "RPM", "stated_limit": 600, "stated_wait_s": (1 - there) / 10}
            there -= there >= 1
            rows.append(request(number, at_ms=t_s * 1000, **told))
    steps = [
        step(0, 40.0, name="10/s", offered=400),
        step(1, 20.0, name="20/s", start_ns=START_NS + 45 * S, offered=400),
    ]
    return write(path, steps=steps, requests=rows, health=[beat(second=s) for s in range(66)], name="limited")


def aimed(path: Path) -> RunDir:
    """Three rates against an SLO: all good; TTFT, TPOT or both too slow, one refused, one cut; then the run was stopped by a threshold."""
    slow: tuple[dict[str, Any], ...] = (
        {"ttft_ms": 60},
        {"gaps_ms": (40.0,) * 3},
        {"ttft_ms": 60, "gaps_ms": (40.0,) * 3},
    )
    plans = [[{}] * 40, [*[{}] * 20, *slow * 6], [slow[0]] * 10]
    steps, rows = [], []
    for step_id, requests in enumerate(plans):
        start_ns = START_NS + step_id * 20 * S
        rate = 10.0 * 2**step_id
        steps.append(step(step_id, name=f"{rate:g}/s", start_ns=start_ns, rate_rps=rate, offered=len(requests)))
        for number, keys in enumerate(requests):
            due_ns = start_ns + number * 100_000_000
            rows.append(answer(number, **({"ttft_ms": 40.0} | keys), step_id=step_id, scheduled_ns=due_ns))
    later = {"step_id": 1, "scheduled_ns": START_NS + 25 * S}
    refused = request(38, **later, outcome="rate_limited", http_status=429, finish_reason=None)
    cut = request(39, **later, outcome="cancelled", error_type="drain", finish_reason=None)
    rule = {
        "text": "p50(ttft) < 50ms",
        "steps": [2],
        "workload": None,
        "target": None,
        "tags": [],
        "abort": True,
        "delay_ns": 0,
    }
    stop = {
        "rule": "p50(ttft) < 50ms",
        "step_id": 2,
        "step": "40/s",
        "requests": 10,
        "wrong": 10,
        "figure": 1.0,
        "limit": 0.5,
    }
    stop |= {
        "told": "10 of 10 requests that had ended had ttft of at least 50 ms, 100.00%; 50.00% may",
        "run_s": 41.5,
        "step_s": 1.5,
    }
    return write(
        path,
        steps=steps,
        requests=[*(row for row, _ in rows), refused, cut],
        tokens=[t for _, tokens in rows for t in tokens],
        health=[beat(second=s) for s in range(51)],
        slo={"ttft_ms": 50.0, "tpot_ms": 30.0, "attainment": 0.9},
        slo_preset="mlperf/made-up",
        thresholds=[rule, "goodput > 2/s"],
        aborted=stop,
    )


def warming(path: Path) -> RunDir:
    """A step whose warm-up outlasts it: all that was sent is warm-up."""
    rows = [request(n, at_ms=n * 100.0, phase="warmup") for n in range(5)]
    return write(path, steps=[step(0, 1.0, warmup_ns=3600 * S, offered=5)], requests=rows, health=[beat(second=0)])


STATES = {
    "aimed": aimed,
    "talking": talking,
    "compared": compared,
    "empty": empty,
    "failed": failed,
    "single": single,
    "unstreamed": unstreamed,
    "small": small,
    "limited": limited,
    "warming": warming,
}
