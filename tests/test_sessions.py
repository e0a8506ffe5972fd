"""Conversations on a clock that the test moves: which turn is issued when, against answers that end when the test says."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import MS, WORDS, S, step

from generator.apis.api import Answer, Failure
from generator.job import MANY, Length, Pause, SessionSpec, Step
from generator.pacer import NEVER
from generator.rows import CONTENT
from generator.sending import sessions
from generator.sending.issuer import ClosedIssuer, OpenIssuer
from generator.sending.sessions import SessionIssuer

START = 1_000 * S
TURNS = 3


@dataclass
class Stage:
    """A clock, a pacer that is a variable, a target, and what is said. ``how`` gives a request's outcome, ``length`` a session's turns;
    an answer ends ``answer_ns`` after its send and is understood ``hold_ns`` later, unless it is hurried."""

    now_ns: int = START - S
    answer_ns: int = 10 * MS
    hold_ns: int = 50 * MS
    how: Callable[[int], str] = lambda _: "ok"
    length: Callable[[int], int] = lambda _: TURNS
    think: Pause = field(default_factory=Pause)
    sent: list[tuple[int, int, int, int | None]] = field(default_factory=list)
    ready: list[tuple[int, int, int | None]] = field(default_factory=list)
    heard: list[tuple[int, str]] = field(default_factory=list)
    live: set[int] = field(default_factory=set)
    ended: list[int] = field(default_factory=list)
    due_ns: int = NEVER
    source: Any = None
    events: list[tuple[int, int, str, Any]] = field(default_factory=list)
    dropped: frozenset[int] = frozenset()
    issuer: Any = None

    # -- a pacer
    def follow(self, source: Any, first_ns: int) -> None:
        self.source, self.due_ns = source, first_ns

    def at(self, due_ns: int) -> None:
        self.due_ns = due_ns

    def rest(self) -> None:
        self.source, self.due_ns = None, NEVER

    # -- what is said
    def turns(self, s: int) -> int:
        self.live.add(s)
        return self.length(s)

    def pause(self, _: int) -> Pause:
        return self.think

    def remember(self, s: int, _: Any, text: str) -> None:
        self.heard.append((s, text))

    def over(self, s: int) -> None:
        self.live.discard(s)

    # -- a desk and a target
    def send(self, n: int, due_ns: int, slot: int | None) -> bool:
        self.sent.append((self.now_ns, n, due_ns, slot))
        if n in self.dropped:
            return False
        outcome = self.how(n)
        stream = SimpleNamespace(arrival=n, slot=slot, status=429 if outcome == "rate_limited" else 200, failure=None)
        stream.prompt, stream.request_id = None, n
        stream.first_byte_ns = None if outcome == "connect_error" else self.now_ns
        stream.done_ns = self.now_ns + self.answer_ns
        if outcome == "connect_error":
            stream.failure = Failure(outcome, "connect", "refused")
        stream.answer = Answer(parts=[(CONTENT, f"answer {n}")])
        stream.outcome = outcome
        heapq.heappush(self.events, (stream.done_ns, len(self.sent) * 2, "left", stream))
        heapq.heappush(self.events, (stream.done_ns + self.hold_ns, len(self.sent) * 2 + 1, "closed", stream))
        return True

    def hurry(self, stream: Any) -> None:
        self.events = [e for e in self.events if e[3] is not stream]
        heapq.heapify(self.events)
        self.issuer.closed(stream, stream.outcome)

    def run(self, until_ns: int) -> None:
        """Timer and answers in the order of time, up to ``until_ns``."""
        while True:
            following = min(self.due_ns, self.events[0][0] if self.events else NEVER)
            if following > until_ns:
                self.now_ns = max(self.now_ns, until_ns)
                return
            self.now_ns = max(self.now_ns, following)
            if self.due_ns <= following:
                self.at(NEVER if self.source is None else self.source(self.now_ns))
            else:
                _, _, what, stream = heapq.heappop(self.events)
                if what == "left":
                    self.issuer.left(stream)
                else:
                    self.issuer.closed(stream, stream.outcome)

    def play(self, made: Step, offsets: list[int] | None = None, worker: int = 0, workers: int = 1) -> None:
        """Begin a step: open with ``offsets`` of its sessions, closed without. Not to be called twice."""

        def starting(pacer: Any, launch: Any, ended: Any) -> Any:
            if offsets is None:
                return ClosedIssuer(made, worker, workers, pacer, launch, ended)
            numbers = list(range(worker, len(offsets), workers))
            due = offsets[worker::workers]
            return OpenIssuer(made, numbers, due, pacer, lambda *_: None, launch, ended)

        talk = SimpleNamespace(turns=self.turns, pause=self.pause, heard=self.remember, over=self.over)
        ready = lambda n, due, slot: self.ready.append((n, due, slot))  # noqa: E731 - a name for a list's append of three
        self.issuer = SessionIssuer(made, talk, self, starting, ready, self.send, self.hurry, self.ended.append)  # type: ignore[arg-type]  # a stand-in for the pacer
        self.issuer.begin(START)


def talking(**fields: Any) -> Step:
    """A step whose sessions have up to TURNS turns."""
    spec = replace(WORDS, session=SessionSpec(Length("fixed", value=TURNS), TURNS))
    return step(workload=spec, **fields)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    made = Stage()
    monkeypatch.setattr(sessions.clock, "monotonic_ns", lambda: made.now_ns)
    return made


def numbers(stage: Stage) -> list[int]:
    return [n for _, n, _, _ in stage.sent]


# -- open loop ----------------------------------------------------------------------------------------------------------


def test_turns_follow_their_answers(stage: Stage) -> None:
    """Turn k of session s is request 3 s + k − 1; it is due its think time after the answer before it ended, to the nanosecond, and
    carries what was heard. The sessions themselves start by the schedule. The step by number ends with its last turn."""
    stage.think = Pause("fixed", 0.2)
    stage.play(talking(duration_ns=MANY, requests=2), [0, 15 * MS])
    stage.run(START + 10 * S)
    later = stage.answer_ns + 200 * MS
    dues = {n: due - START for _, n, due, _ in stage.sent}
    assert dues == {0: 0, 1: later, 2: 2 * later, 3: 15 * MS, 4: 15 * MS + later, 5: 15 * MS + 2 * later}
    assert all(at == due for at, _, due, _ in stage.sent)
    assert stage.heard == [(0, "answer 0"), (1, "answer 3"), (0, "answer 1"), (1, "answer 4")]
    assert stage.ended == [START + 15 * MS + 2 * later + 1]
    assert not stage.live


def test_a_turn_that_is_due_has_its_answer_understood_out_of_turn(stage: Stage) -> None:
    """Bytes are held before they are decoded; without a think time nobody can wait for that: the next turn goes out as the answer
    ends, with its text."""
    stage.play(talking(duration_ns=MANY, requests=1), [0])
    stage.run(START + 10 * S)
    assert [(at - START, n) for at, n, _, _ in stage.sent] == [(0, 0), (10 * MS, 1), (20 * MS, 2)]
    assert stage.heard == [(0, "answer 0"), (0, "answer 1")]


def test_a_turn_is_made_ready_while_its_user_thinks(stage: Stage) -> None:
    """Its text is encoded as soon as the answer is understood, not when it is due."""
    stage.think = Pause("fixed", 0.2)
    stage.play(talking(duration_ns=MANY, requests=1), [0])
    stage.run(START + 70 * MS)
    assert stage.ready == [(1, START + 210 * MS, None)]


@pytest.mark.parametrize("outcome", ["rate_limited", "connect_error", "stream_error"])
def test_a_failed_turn_ends_its_session(stage: Stage, outcome: str) -> None:
    """Whether it shows in the status, before any answer, or only once the body is understood: what would have followed is not due."""
    stage.how = lambda n: outcome if n == 1 else "ok"
    stage.play(talking(duration_ns=MANY, requests=2), [0, 0])
    stage.run(START + 10 * S)
    assert sorted(numbers(stage)) == [0, 1, 3, 4, 5]
    assert len(stage.ended) == 1
    assert not stage.live


def test_a_dropped_turn_ends_its_session(stage: Stage) -> None:
    """An arrival above the cap was never sent, so there is no answer to go on from."""
    stage.dropped = frozenset({0, 4})
    stage.play(talking(duration_ns=MANY, requests=2), [0, 0])
    stage.run(START + 10 * S)
    assert sorted(numbers(stage)) == [0, 3, 4]
    assert len(stage.ended) == 1
    assert not stage.live


def test_a_duration_cuts_sessions(stage: Stage) -> None:
    """No turn is issued after the step's end, and those that would have been due are none; the histories are let go."""
    stage.think = Pause("fixed", 0.3)
    stage.play(talking(duration_ns=S), [0, 900 * MS])
    stage.run(START + 10 * S)
    assert numbers(stage) == [0, 1, 2, 3]
    assert stage.ended == [START + S]
    assert not stage.live


def test_stop_ends_all_sessions_now(stage: Stage) -> None:
    """No start and no turn after a stop, whatever answers come; a second stop says nothing more."""
    stage.play(talking(duration_ns=S), [0, 500 * MS])
    stage.run(START + 5 * MS)
    stage.issuer.stop()
    stage.issuer.stop()
    stage.run(START + 10 * S)
    assert numbers(stage) == [0]
    assert stage.ended == [START + 5 * MS]


def test_sessions_may_ask_once(stage: Stage) -> None:
    """A session of one turn is over as soon as that is sent; a step of such ends with its last arrival."""
    stage.length = lambda _: 1
    stage.play(talking(duration_ns=MANY, requests=2), [0, 5])
    stage.run(START + 10 * S)
    assert numbers(stage) == [0, 3]
    assert stage.ended == [START + 6]
    assert not stage.heard


@given(
    lengths=st.lists(st.integers(1, TURNS), min_size=1, max_size=40),
    workers=st.integers(1, 4),
    answer_ns=st.integers(0, 30 * MS),
    think_ms=st.integers(0, 50),
    failing=st.sets(st.integers(0, 120)),
)
@settings(max_examples=80)
def test_every_turn_once_whatever_the_workers(
    lengths: list[int], workers: int, answer_ns: int, think_ms: int, failing: set[int]
) -> None:
    """Each session's turns are issued in order, once each, up to the first that fails, by one worker; none before it is due; every
    worker says once that issuing ended, and keeps nothing."""
    offsets = [i * 3 * MS for i in range(len(lengths))]
    sent: list[int] = []
    for worker in range(workers):
        stage = Stage(answer_ns=answer_ns, think=Pause("fixed", think_ms / 1000), length=lambda s: lengths[s])
        stage.how = lambda n: "stream_error" if n in failing else "ok"
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(sessions.clock, "monotonic_ns", lambda stage=stage: stage.now_ns)
            stage.play(talking(duration_ns=MANY, requests=len(lengths)), offsets, worker, workers)
            stage.run(START + 100 * S)
        assert all(at >= due for at, _, due, _ in stage.sent)
        assert len(stage.ended) == 1
        assert not stage.live
        sent += numbers(stage)
    expected = []
    for s, length in enumerate(lengths):
        for n in range(s * TURNS, s * TURNS + length):
            expected.append(n)
            if n in failing:
                break
    assert sorted(sent) == expected


# -- closed loop --------------------------------------------------------------------------------------------------------


def test_a_slot_runs_session_after_session(stage: Stage) -> None:
    """Concurrency is of sessions: a slot's next one starts when the last answer of the one before ended, after the slot's own pause;
    slot s of C has sessions s, s + C, …"""
    stage.play(talking(concurrency=2, requests=4, think=Pause("fixed", 0.1)))
    stage.run(START + 10 * S)
    mine = [(n, due - START) for _, n, due, slot in stage.sent if slot == 0]
    assert mine == [(0, 0), (1, 10 * MS), (2, 20 * MS), (6, 130 * MS), (7, 140 * MS), (8, 150 * MS)]
    assert sorted(numbers(stage)) == list(range(12))
    assert len(stage.ended) == 1
    assert not stage.live


@pytest.mark.parametrize("outcome", ["rate_limited", "stream_error"])
def test_a_failed_turn_frees_its_slot_at_once(stage: Stage, outcome: str) -> None:
    """The next session is due when the bad answer ended, and is sent then: a closed loop understands answers as they end, whatever
    its users' think times."""
    stage.think = Pause("fixed", 2.0)
    stage.how = lambda n: outcome if n == 0 else "ok"
    stage.play(talking(concurrency=1, duration_ns=S))
    stage.run(START + 10 * S)
    assert [(at - START, n, due - START) for at, n, due, _ in stage.sent] == [(0, 0, 0), (10 * MS, 3, 10 * MS)]


def test_closed_sessions_end_with_the_step(stage: Stage) -> None:
    """By duration: sessions that go on are cut, and no slot starts another."""
    stage.think = Pause("fixed", 0.3)
    stage.play(talking(concurrency=1, duration_ns=S))
    stage.run(START + 10 * S)
    assert numbers(stage) == [0, 1, 2, 3, 4]
    assert stage.ended == [START + S]
    assert not stage.live


def test_a_worker_without_slots_is_over_at_once(stage: Stage) -> None:
    """With fewer slots than workers it says so as the step begins."""
    stage.play(talking(concurrency=1, requests=1), None, worker=1, workers=2)
    stage.run(START + S)
    assert stage.ended == [START + 1]
    assert not stage.sent


def test_an_answer_without_its_text_is_a_fault_of_ours(stage: Stage) -> None:
    """A history without what was really said would be a lie; it is never made up."""
    stage.play(talking(duration_ns=MANY, requests=1), [0])
    stage.run(START)
    stream = stage.events[0][3]
    stream.answer = Answer()
    with pytest.raises(RuntimeError, match="text was to be kept"):
        stage.run(START + S)
