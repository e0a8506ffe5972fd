"""Requests given up by plan: which ones, when, what is kept of them, and that neither a closed loop nor a verdict minds."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import OFFSETS, plan, step
from test_end_to_end import openloop
from whole_runs import going, rows, simulator, with_url
from wiring import EVENTS, KINDS, Visit, Wiring, at, faked, opened, run, target

from generator import clock, job
from generator.job import Cancel, Target
from generator.pacer import Pacer
from generator.sending.cancelling import Cancelling, Lots
from generator.stream import Stream
from generator.transport.fake import FakeTransport, Script

MS = 1_000_000
TARGET = Target("t", "http://fake/v1", "openai-chat", "m")


@settings(deadline=None)
@given(st.integers(0, 2**63 - 1), st.integers(0, 50), st.lists(st.integers(0, 10**8), min_size=1, max_size=30))
def test_which_ones_depends_on_the_seed_and_the_number_alone(seed: int, key: int, numbers: list[int]) -> None:
    """Neither the order of asking nor who asks changes it, and a larger share takes all that a smaller one takes."""
    lots, others = Lots(), Lots()
    forward = [lots.of((seed, key), n) for n in numbers]
    backward = [others.of((seed, key), n) for n in reversed(numbers)]
    assert forward == backward[::-1]
    for n in numbers:
        few, many = (lots.hit(Cancel(share, 1), (seed, key), n) for share in (0.1, 0.6))
        assert many or not few
        assert lots.hit(Cancel(1.0, 1), (seed, key), n)


def test_the_share_is_the_share() -> None:
    """Of 20,480 arrivals with a share of 10 %, within five standard deviations; steps draw apart."""
    lots = Lots()
    hits = [[lots.hit(Cancel(0.1, 1), (7, step_key), n) for n in range(20_480)] for step_key in (0, 1)]
    for found in hits:
        assert abs(sum(found) - 2048) < 5 * (20_480 * 0.09) ** 0.5
    assert hits[0] != hits[1]


class Cuts:
    """A fake transport whose streams may be given up; ``cut`` keeps who was, and with what words."""

    def __init__(self, script: Script) -> None:
        self.fake = FakeTransport(lambda _: script)
        self.wiring: Wiring = faked(self.fake)
        self.pacer = Pacer()
        self.told: list[tuple[Stream, str]] = []
        self.loop = asyncio.new_event_loop()
        self.cancelling = Cancelling(self.loop, self.wiring.intake, self.pacer, self._cut)

    def _cut(self, stream: Stream, message: str, now_ns: int) -> None:
        self.fake.drop(stream)
        stream.failed("cancelled", "planned", message, now_ns)
        self.told.append((stream, message))

    def send(self, cancel: Cancel, number: int = 1) -> Stream:
        stream = self.wiring.stream(TARGET, number)
        stream.cancel = cancel
        self.fake.send(stream)
        self.cancelling.follow(stream)
        return stream

    def at(self, stream: Stream, ms: float) -> None:
        now_ns = stream.issued_ns + round(ms * MS)
        self.fake.advance(now_ns)
        self.cancelling.look(now_ns)


TOKENS = Script(reads=tuple((50 * MS + n * 10 * MS, event) for n, event in enumerate(EVENTS)), connect_ns=20 * MS)


@pytest.fixture
def cuts() -> Any:
    made = Cuts(TOKENS)
    yield made
    made.loop.close()


def test_the_time_counts_from_the_send(cuts: Cuts) -> None:
    """Not from the arrival: what the connection took is not the user's patience. What came before the cut is kept."""
    stream = cuts.send(Cancel(0.5, after_ns=45 * MS))
    for ms in (0, 46, 64.9):
        cuts.at(stream, ms)
        assert cuts.told == []
    cuts.at(stream, 65)
    assert cuts.told == [(stream, "given up by plan 0.045 s after it was sent")]
    cuts.wiring.intake.flush()
    assert cuts.wiring.closed == [(stream, "cancelled")]
    assert stream.failure is not None
    assert (stream.failure.outcome, stream.failure.error_type) == ("cancelled", "planned")
    cuts.at(stream, 10_000)
    assert len(cuts.told) == 1


def test_rows_that_came_before_a_cut_by_time_are_recorded(cuts: Cuts) -> None:
    """The cut takes nothing back."""
    stream = cuts.send(Cancel(0.5, after_ns=65 * MS))
    cuts.at(stream, 20)
    cuts.at(stream, 86)  # sent at 20, reads at 70 and 80 ms; the first of them is the role alone
    cuts.wiring.intake.flush()
    assert cuts.wiring.closed == [(stream, "cancelled")]
    assert len(cuts.wiring.tokens(stream)) == 1


def test_rows_are_counted_as_soon_as_they_came(cuts: Cuts) -> None:
    """The usual hold before decoding does not apply: after the read with the wanted row, the next look cuts."""
    stream = cuts.send(Cancel(0.5, after_tokens=2))
    cuts.at(stream, 85)
    assert (cuts.told, len(cuts.wiring.tokens(stream))) == ([], 1)
    cuts.at(stream, 91)
    assert cuts.told == [(stream, "given up by plan after 2 token rows")]
    cuts.wiring.intake.flush()
    assert len(cuts.wiring.tokens(stream)) == 2
    assert cuts.wiring.closed == [(stream, "cancelled")]


@pytest.mark.parametrize("cancel", [Cancel(1.0, after_ns=10_000 * MS), Cancel(1.0, after_tokens=100)])
def test_what_ends_first_ends_well(cuts: Cuts, cancel: Cancel) -> None:
    """A plan that comes too late leaves the answer as it was."""
    stream = cuts.send(cancel)
    cuts.at(stream, 5_000)
    cuts.at(stream, 20_000)
    cuts.wiring.intake.flush()
    assert cuts.told == []
    assert cuts.wiring.closed == [(stream, "ok")]


def test_what_is_sent_a_second_time_is_patient_anew(cuts: Cuts) -> None:
    """A stream whose reused connection was dead is not under way until it is sent again."""
    stream = cuts.send(Cancel(1.0, after_ns=45 * MS))
    cuts.at(stream, 20)
    stream.resend(cuts.fake, stream.issued_ns)
    cuts.cancelling.look(stream.issued_ns + 70 * MS)
    assert cuts.told == []
    stream.sent_ns = stream.issued_ns + 60 * MS
    cuts.cancelling.look(stream.issued_ns + 104 * MS)
    assert cuts.told == []
    cuts.cancelling.look(stream.issued_ns + 105 * MS)
    assert [told for told, _ in cuts.told] == [stream]


def test_a_due_send_goes_before_counting(cuts: Cuts) -> None:
    """Streams are not decoded while an arrival waits; nothing is forgotten over it."""
    stream = cuts.send(Cancel(1.0, after_tokens=1))
    cuts.fake.advance(stream.issued_ns + 81 * MS)
    cuts.pacer.at(clock.monotonic_ns() - 1)
    cuts.cancelling.look(clock.monotonic_ns())
    assert cuts.told == []
    cuts.pacer.rest()
    cuts.cancelling.look(clock.monotonic_ns())
    assert [told for told, _ in cuts.told] == [stream]


@KINDS
@pytest.mark.parametrize("cancel", [Cancel(1.0, after_ns=30 * MS), Cancel(1.0, after_tokens=1)])
def test_real_transports_close_the_connection(kind: str, cancel: Cancel) -> None:
    """The target sees the end of its connection, and the next request goes over another one."""
    gone: list[int] = []

    async def play(visit: Visit) -> None:
        await visit.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 100000\r\n\r\n")
        await visit.write(*EVENTS[:2])
        assert await visit.reader.read() == b""
        gone.append(visit.number)
        visit.hang_up()

    async def work() -> None:
        async with target(play) as (port, visits), opened(kind, at(port)) as wiring:

            def cut(stream: Stream, message: str, now_ns: int) -> None:
                wiring.transport.drop(stream)
                stream.failed("cancelled", "planned", message, now_ns)

            loop = asyncio.get_running_loop()
            cancelling = Cancelling(loop, wiring.intake, Pacer(), cut)
            for number in (1, 2):
                stream = wiring.stream(at(port), number)
                stream.cancel = cancel
                wiring.transport.send(stream)
                cancelling.follow(stream)
                await wiring.until_closed(number)
                await wiring.until(lambda number=number: len(gone) == number)
                assert wiring.closed[-1] == (stream, "cancelled")
                assert len(wiring.tokens(stream)) <= 1
            assert len({visit.peer for visit in visits}) == 2

    run(work())


@pytest.mark.parametrize("transport", ["socket", "aiohttp"])
def test_whole_runs(tmp_path: Path, transport: job.TransportName) -> None:
    """Open and closed steps: exactly the drawn arrivals end as planned, all others well, and the target saw just these leave; slots go
    on; rows before the cut stay."""
    long = replace(step().workload, output_tokens=job.Length("fixed", value=400))
    by_time = replace(long, cancel=Cancel(0.3, after_ns=80 * MS))
    by_rows = replace(long, cancel=Cancel(0.3, after_tokens=3))
    made = plan(
        step(0, workload=by_time),
        step(1, workload=by_rows),
        step(2, workload=by_rows, concurrency=4, requests=40),
        workers=2,
        probe=0,
        transport=transport,
    )
    truth = tmp_path / "truth"
    with simulator("--ttft", "10ms", "--itl", "1ms", "--truth", str(truth)) as url:
        made = with_url(made, url)
        with going(tmp_path, made, url, {0: OFFSETS, 1: OFFSETS}) as left:
            left.end()
            found = rows(left.run)
            tokens = rows(left.run, "tokens")
    seen = pq.read_table(
        truth / "truth-requests-0.parquet", columns=["x_request_id", "outcome", "ended_ns"]
    ).to_pylist()
    left_early = {row["x_request_id"]: row["ended_ns"] for row in seen if row["outcome"] == "gone"}
    lots = Lots()
    assert len(found) == 240
    for row in found:
        step_of, n = divmod(row["request_id"], 10**9)
        plan_of = made.steps[step_of].workload.cancel
        assert plan_of is not None
        drawn = lots.hit(plan_of, made.steps[step_of].seed, n)
        assert row["cancel_planned"] is drawn
        assert row["outcome"] == ("cancelled" if drawn else "ok"), row
        if drawn:
            assert row["error_type"] == "planned"
            assert row["done_ns"] >= row["sent_ns"] + (plan_of.after_ns or 0)
            came = sum(t["request_id"] == row["request_id"] for t in tokens)
            assert came < 400
            assert came >= (plan_of.after_tokens or 0)
            assert left_early.pop(f"r-{row['request_id']}") >= row["sent_ns"] + (plan_of.after_ns or 0)
    assert left_early == {}
    assert {row["step_id"] for row in found if row["outcome"] == "cancelled"} == {0, 1, 2}


def test_a_report_tells_of_them_and_no_rule_minds(tmp_path: Path) -> None:
    """All that was due was sent, no check speaks, nothing failed: only the clock of a busy machine could make the run INVALID."""
    scenario = {
        "target": {"url": "simulator", "simulator": {"ttft": "5ms", "itl": "1ms"}},
        "workload": {"output_tokens": 300, "cancel": {"share": "40%", "after": "100ms"}},
        "seed": 5,
        "drain": "60s",
        "steps": [{"rate": "50/s", "requests": 60}, {"concurrency": 4, "requests": 40}],
        "thresholds": ["share(failed) <= 0%", "attainment >= 100%"],
        "slo": {"e2e": "50s"},
    }
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(scenario))
    result = openloop("run", str(tmp_path / "s.yaml"), "--runs-dir", str(tmp_path / "runs"), "--no-live", "--json")
    report = json.loads(result.stdout)
    lots = Lots()
    meant = [sum(lots.hit(Cancel(0.4, 1), (5, step), n) for n in range(count)) for step, count in ((0, 60), (1, 40))]
    for number, (told, count) in enumerate(zip(report["steps"], (60, 40), strict=True)):
        assert told["given_up"] == {"planned": meant[number], "cut": meant[number]}
        assert told["requests"] == told["ok"] == count - meant[number]
        assert (told["success_rate"], told["attainment"], told["sent_share"]) == (1.0, 1.0, 1.0)
        assert told["outcomes"] == {"ok": told["ok"]}
        assert told["offered"] == count
    assert report["errors"] == []
    assert all(found["holds"] for found in report["thresholds"])
    timed = {"lateness", "send_delay", "ttft_certain", "icl_certain", "workers_running"}
    assert {
        rule["name"] for rule in report["verdict"]["rules"] if rule["broken"] and rule["level"] == "INVALID"
    } <= timed
    text = openloop("report", str(next((tmp_path / "runs").iterdir()))).stdout
    assert f"{sum(meant)} further requests were to be given up on purpose" in " ".join(text.split())
