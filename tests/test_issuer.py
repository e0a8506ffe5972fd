"""Who is sent when: both issuers on a clock that the test moves, against a pacer that is a variable."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import MS, S, step

from generator.apis.api import Failure
from generator.job import Pause, Step
from generator.pacer import NEVER
from generator.sending import issuer as issuer_module
from generator.sending.issuer import AHEAD, BATCH, REFUSED_PAUSE_NS, ClosedIssuer, OpenIssuer
from generator.slots import think_ns

START = 1_000 * S


@dataclass
class World:
    """One clock, one pacer, and what was launched. ``answer_ns``: how long after its launch a request's answer ends."""

    now_ns: int = 0
    answer_ns: int | None = None
    cost_ns: int = 0
    prepare_ns: int = 0
    launched: list[tuple[int, int, int, int | None]] = field(default_factory=list)
    prepared: list[tuple[int, int]] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    due_ns: int = NEVER
    source: Any = None
    answers: list[tuple[int, int, int, int | None]] = field(default_factory=list)
    failure: Failure | None = None
    first_byte_ns: int | None = 1

    def follow(self, source: Any, first_ns: int) -> None:
        self.source, self.due_ns = source, first_ns

    def at(self, due_ns: int) -> None:
        self.due_ns = due_ns

    def rest(self) -> None:
        self.source, self.due_ns = None, NEVER

    def fire(self) -> None:
        """As the real pacer does: whatever is due now, once."""
        if self.source is None:
            self.at(NEVER)
        else:
            self.at(self.source(self.now_ns))

    def prepare(self, number: int, scheduled_ns: int) -> None:
        self.prepared.append((number, scheduled_ns))
        self.now_ns += self.prepare_ns

    def launch(self, number: int, scheduled_ns: int, slot: int | None) -> None:
        self.launched.append((self.now_ns, number, scheduled_ns, slot))
        if self.answer_ns is not None:
            heapq.heappush(self.answers, (self.now_ns + self.answer_ns, len(self.launched), number, slot))
        self.now_ns += self.cost_ns

    def run(self, issuer: Any, until_ns: int) -> None:
        """Timer and answers in the order of time, up to ``until_ns``."""
        while True:
            answer_ns = self.answers[0][0] if self.answers else NEVER
            following = min(self.due_ns, answer_ns)
            if following > until_ns:
                self.now_ns = max(self.now_ns, until_ns)
                return
            self.now_ns = max(self.now_ns, following)
            if self.due_ns <= answer_ns:
                self.fire()
            else:
                done_ns, _, number, slot = heapq.heappop(self.answers)
                told = {"failure": self.failure, "first_byte_ns": self.first_byte_ns}
                issuer.left(SimpleNamespace(slot=slot, arrival=number, done_ns=done_ns, **told))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(now_ns=START - S)
    monkeypatch.setattr(issuer_module.clock, "monotonic_ns", lambda: made.now_ns)
    return made


def opened(world: World, made: Step, offsets: list[int], numbers: list[int] | None = None) -> OpenIssuer:
    found = OpenIssuer(
        made, numbers or list(range(len(offsets))), offsets, world, world.prepare, world.launch, world.ended.append
    )  # type: ignore[arg-type]  # a stand-in
    found.begin(START)
    return found


def closed(world: World, made: Step, worker: int = 0, workers: int = 1) -> ClosedIssuer:
    found = ClosedIssuer(made, worker, workers, world, world.launch, world.ended.append)  # type: ignore[arg-type]  # a stand-in
    found.begin(START)
    return found


# -- open loop ----------------------------------------------------------------------------------------------------------


def test_arrivals_go_out_when_they_are_due(world: World) -> None:
    """Each at its offset, by its number, answers or none; issuing ends with the step's duration."""
    issuer = opened(world, step(duration_ns=S), [0, 5, 300 * MS], [1, 3, 5])
    world.run(issuer, START + 10 * S)
    assert world.launched == [
        (START, 1, START, None),
        (START + 5, 3, START + 5, None),
        (START + 300 * MS, 5, START + 300 * MS, None),
    ]
    assert world.ended == [START + S]


@given(
    late_ns=st.integers(0, 3 * S),
    gaps=st.lists(st.integers(0, 20 * MS), min_size=1, max_size=300),
    cost_ns=st.integers(0, MS),
)
@settings(max_examples=60)
def test_a_late_worker_sends_all_the_same(late_ns: int, gaps: list[int], cost_ns: int) -> None:
    """However late and slow the worker, every arrival is sent once, in order, none before its time and each with its own
    schedule: nothing is re-anchored, nothing skipped."""
    offsets = [sum(gaps[: i + 1]) for i in range(len(gaps))]
    world = World(now_ns=START - S, cost_ns=cost_ns)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(issuer_module.clock, "monotonic_ns", lambda: world.now_ns)
        issuer = opened(world, step(duration_ns=10 * S), offsets)
        world.now_ns = START + late_ns
        world.run(issuer, START + 60 * S)
    assert [(n, due) for _, n, due, _ in world.launched] == [(i, START + o) for i, o in enumerate(offsets)]
    assert all(sent >= due for sent, _, due, _ in world.launched)
    assert world.ended == [START + 10 * S]


@given(gaps=st.lists(st.integers(0, 2 * MS), min_size=1, max_size=200), cost_ns=st.integers(0, MS))
@settings(max_examples=60)
def test_arrivals_are_made_ready_once_and_in_order(gaps: list[int], cost_ns: int) -> None:
    """Whatever the gaps, each arrival is made ready at most once, before its time, with its own schedule, and no more than AHEAD of
    them wait."""
    offsets = [sum(gaps[: i + 1]) for i in range(len(gaps))]
    world = World(now_ns=START - S, cost_ns=cost_ns)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(issuer_module.clock, "monotonic_ns", lambda: world.now_ns)
        issuer = opened(world, step(duration_ns=10 * S), offsets)
        assert len(world.prepared) == min(AHEAD, len(offsets))
        waiting = [len(world.prepared)]
        launch = world.launch

        def watched(number: int, scheduled_ns: int, slot: int | None) -> None:
            waiting.append(len([n for n, _ in world.prepared if n > number]))
            launch(number, scheduled_ns, slot)

        patched.setattr(issuer, "_launch", watched)
        world.run(issuer, START + 60 * S)
    numbers = [number for number, _ in world.prepared]
    assert numbers == sorted(set(numbers))
    assert all(scheduled_ns == START + offsets[n] for n, scheduled_ns in world.prepared)
    assert max(waiting) <= AHEAD


def test_what_takes_long_to_make_makes_nothing_late(world: World) -> None:
    """Long prompts are made ready only where there is room for them before the next arrival; where there is none, at their time."""
    world.prepare_ns = 3 * MS
    gaps = [4 * MS, 10 * MS] * 40
    offsets = [sum(gaps[: i + 1]) for i in range(len(gaps))]
    issuer = opened(world, step(duration_ns=10 * S), offsets)
    world.run(issuer, START + 60 * S)
    assert [now_ns - due for now_ns, _, due, _ in world.launched] == [0] * len(offsets)
    assert len(world.prepared) > AHEAD


def test_a_worker_that_is_behind_lets_others_have_a_turn(world: World) -> None:
    """One firing sends at most a batch and asks to be called again at once: reads and control live on under any rate."""
    issuer = opened(world, step(duration_ns=S), list(range(3 * BATCH)))
    world.now_ns = START + S // 2
    world.fire()
    assert len(world.launched) == BATCH
    assert world.due_ns <= world.now_ns
    world.run(issuer, world.now_ns)
    assert len(world.launched) == 3 * BATCH


def test_a_step_by_number_ends_with_its_last_arrival(world: World) -> None:
    """Without a duration issuing is over right after the last one was sent; with no arrivals at all, at once."""
    made = step(duration_ns=issuer_module.MANY, requests=2)
    world.run(opened(world, made, [10, 20]), START + 1000)
    assert world.ended == [START + 21]
    world.run(opened(world, made, []), START + 2000)
    assert world.ended[1:] == [START + 1]


def test_stop_ends_an_open_step_now(world: World) -> None:
    """Arrivals that are not due yet get no row; a second stop says nothing more."""
    issuer = opened(world, step(duration_ns=S), [0, 900 * MS])
    world.run(issuer, START + 100)
    issuer.stop()
    issuer.stop()
    world.run(issuer, START + 10 * S)
    assert [n for _, n, _, _ in world.launched] == [0]
    assert world.ended == [START + 100]


# -- closed loop --------------------------------------------------------------------------------------------------------


def test_a_slot_sends_when_its_answer_ended(world: World) -> None:
    """scheduled_ns is the answer's done_ns, however late this process reads it; the k-th request of slot s is s + C·k."""
    world.answer_ns = 100 * MS
    issuer = closed(world, step(concurrency=2, duration_ns=S))
    world.run(issuer, START + 10 * S)
    first = {slot: [x for x in world.launched if x[3] == slot] for slot in (0, 1)}
    opens = {0: START, 1: START + 25 * MS}
    for slot, rows in first.items():
        assert [n for _, n, _, _ in rows] == [slot + 2 * k for k in range(10)]
        assert [due for _, _, due, _ in rows] == [opens[slot] + k * 100 * MS for k in range(10)]
    assert world.ended == [START + S]


@given(c=st.integers(1, 20), requests=st.integers(1, 90), workers=st.integers(1, 5), answer_ns=st.integers(0, 50 * MS))
@settings(max_examples=60)
def test_a_step_by_number_sends_each_number_once(c: int, requests: int, workers: int, answer_ns: int) -> None:
    """Whatever the number of workers, 0 to N − 1 are sent, once each, and every worker says that issuing ended; one without a
    slot says so as soon as the step begins."""
    sent: list[int] = []
    for worker in range(workers):
        world = World(now_ns=START - S, answer_ns=answer_ns)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(issuer_module.clock, "monotonic_ns", lambda world=world: world.now_ns)
            issuer = closed(world, step(concurrency=c, requests=requests), worker, workers)
            world.run(issuer, START)
            if worker >= min(c, requests):
                assert world.ended == [START + 1]
            world.run(issuer, START + 100 * S)
        assert len(world.ended) == 1
        if world.launched:
            assert world.ended[0] == max(due for _, _, due, _ in world.launched) + 1
        sent += [n for _, n, _, _ in world.launched]
    assert sorted(sent) == list(range(requests))


@pytest.mark.parametrize("pause", [Pause("fixed", 0.05), Pause("exponential", 0.05)])
def test_think_time(world: World, pause: Pause) -> None:
    """It is waited after each answer, counts into scheduled_ns, and is pure in the step's seed and the arrival's number."""
    world.answer_ns = 10 * MS
    made = step(concurrency=1, duration_ns=S, think=pause)
    world.run(closed(world, made), START + 10 * S)
    assert len(world.launched) > 5
    for (sent, n, _, _), (_, _, due, _) in zip(world.launched, world.launched[1:], strict=False):
        assert due == sent + 10 * MS + think_ns(made, n)
    assert all(sent == due for sent, _, due, _ in world.launched)


def test_think_times_have_their_mean() -> None:
    """Exponential times differ from arrival to arrival and from seed to seed; their mean is the one asked for."""
    made = step(concurrency=1, think=Pause("exponential", 0.02))
    found = [think_ns(made, n) for n in range(5000)]
    assert found == [think_ns(made, n) for n in range(5000)]
    assert 0.018 < sum(found) / 5000 / 1e9 < 0.022
    other = step(concurrency=1, think=Pause("exponential", 0.02), seed=(8, 0))
    assert think_ns(other, 1) != think_ns(made, 1)


def test_a_ramp_down_closes_slots(world: World) -> None:
    """A slot past its end lets its answer come and sends no more; the others go on."""
    world.answer_ns = 10 * MS
    world.run(closed(world, step(concurrency=2, concurrency_end=1, duration_ns=S)), START + 10 * S)
    assert max(due for _, _, due, slot in world.launched if slot == 1) < START + S // 2
    assert max(due for _, _, due, slot in world.launched if slot == 0) > START + 900 * MS
    assert world.ended == [START + S]


@pytest.mark.parametrize("outcome", ["connect_error", "truncated", "stream_error"])
def test_a_target_that_is_down_is_not_hammered(world: World, outcome: str) -> None:
    """Where a connection was refused, or closed without a byte, a slot waits 100 ms, and the wait is in its schedule: the pacer was not
    late."""
    world.answer_ns, world.failure, world.first_byte_ns = 0, Failure(outcome, "closed", "gone"), None
    world.run(closed(world, step(concurrency=1, duration_ns=S)), START + 10 * S)
    assert [due for _, _, due, _ in world.launched] == [START + k * REFUSED_PAUSE_NS for k in range(10)]


@pytest.mark.parametrize(
    ("outcome", "first_byte_ns"), [("cancelled", None), ("timeout", None), ("truncated", 1), ("stream_error", 1)]
)
def test_what_took_its_time_or_answered_waits_for_nothing(
    world: World, outcome: str, first_byte_ns: int | None
) -> None:
    """A request given up here, or an answer that came and was no good, frees its slot as any other."""
    world.answer_ns, world.failure, world.first_byte_ns = 50 * MS, Failure(outcome, "x", "x"), first_byte_ns
    world.run(closed(world, step(concurrency=1, duration_ns=S)), START + 10 * S)
    assert [due for _, _, due, _ in world.launched] == [START + k * 50 * MS for k in range(20)]


def test_a_stop_before_the_start_ends_the_step_there(world: World) -> None:
    """A step that was announced and never began has no length, and none below nothing."""
    for issuer in (opened(world, step(duration_ns=S), [0]), closed(world, step(concurrency=1, duration_ns=S))):
        issuer.begin(START + S)
        issuer.stop()
    assert world.ended == [START + S, START + S]


def test_stop_ends_a_closed_step_now(world: World) -> None:
    """Answers that come later free their slots for nothing."""
    world.answer_ns = 10 * MS
    issuer = closed(world, step(concurrency=1, duration_ns=S))
    world.run(issuer, START + 15 * MS)
    issuer.stop()
    world.run(issuer, START + 10 * S)
    assert len(world.launched) == 2
    assert world.ended == [START + 15 * MS]
