"""The queue between reading and understanding: held a little, decoded in bounded slices, in order, and never past a due send."""

from __future__ import annotations

from typing import Any

import pytest
from pieces import END, ONE, TWO
from wiring import Wiring

from generator.counters import INDEX, NAMES, ttft_bin
from generator.job import Target
from generator.pacer import NEVER
from generator.stream import Stream
from generator.transport import intake as intake_module
from generator.transport.intake import HOLD_NS, ROOM_NS, SLICE_BYTES

TARGET = Target("t", "http://h/v1", "openai-chat", "m")
SSE = [(b"content-type", b"text/event-stream")]
NOW = 10**15


class FakePacer:
    due_ns = NEVER


@pytest.fixture
def wiring(monkeypatch: pytest.MonkeyPatch) -> Wiring:
    """On a clock that stands at NOW."""
    monkeypatch.setattr(intake_module.clock, "monotonic_ns", lambda: NOW)
    made = Wiring()
    made.intake._pacer = FakePacer()  # type: ignore[assignment]  # no timer here
    return made


def answering(wiring: Wiring, number: int, *payloads: bytes, at_ns: int = NOW - HOLD_NS, end: bool = False) -> Stream:
    stream = wiring.stream(TARGET, number)
    wiring.intake._counters[INDEX["in_flight"]] += 1
    stream.handed(None)
    stream.response(200, SSE, at_ns)
    for payload in payloads:
        stream.body(payload, at_ns, True)
        stream.reads += 1
    if end:
        stream.ended(at_ns)
    return stream


def count(wiring: Wiring, name: str) -> int:
    return int(wiring.intake._counters[INDEX[name]])


def test_a_slice_is_bounded(wiring: Wiring) -> None:
    """No more than one stream's bytes beyond the bound, then reading has its turn; what is left is said to be left."""
    payload = ONE * (6_000 // len(ONE))
    streams = [answering(wiring, n, payload) for n in range(1, 11)]
    assert wiring.intake.slice(NOW)
    decoded = [stream for stream in streams if not stream.pending]
    assert (len(decoded) - 1) * len(payload) < SLICE_BYTES <= len(decoded) * len(payload)
    turns = 1
    while wiring.intake.slice(NOW):
        turns += 1
    assert not wiring.intake.queue
    assert turns > 2
    assert all(not stream.pending for stream in streams)


def test_nothing_is_decoded_while_an_arrival_is_near(wiring: Wiring) -> None:
    """Sends go first: a visit to a stream would make the arrival late."""
    streams = [answering(wiring, n, ONE) for n in range(1, 4)]
    wiring.intake._pacer.due_ns = NOW + ROOM_NS - 1
    assert not wiring.intake.slice(NOW)
    assert all(stream.pending for stream in streams)
    wiring.intake._pacer.due_ns = NOW + ROOM_NS
    assert not wiring.intake.slice(NOW)
    assert not any(stream.pending for stream in streams)


def test_arrivals_without_end_cannot_keep_bytes_undecoded(wiring: Wiring) -> None:
    """What was held twice as long as it need be is decoded though an arrival is near, one stream between two of them."""
    streams = [answering(wiring, n, ONE, at_ns=NOW - 2 * HOLD_NS) for n in range(1, 4)]
    wiring.intake._pacer.due_ns = NOW
    assert wiring.intake.slice(NOW)
    assert [bool(stream.pending) for stream in streams] == [False, True, True]


def test_bytes_are_held(wiring: Wiring) -> None:
    """What came less than HOLD_NS ago waits for more of its stream; then all of it is decoded in one visit."""
    stream = answering(wiring, 1, ONE, at_ns=NOW - HOLD_NS + 1)
    assert not wiring.intake.slice(NOW)
    stream.body(TWO, NOW, True)
    assert len(stream.pending) == 2
    assert not wiring.intake.slice(NOW + 1)
    assert [row[4] for row in wiring.tokens(stream)] == [3, 5]


def test_first_come_first_decoded(wiring: Wiring) -> None:
    """Streams close in the order in which they began to wait, each once, however often they were read."""
    streams = [answering(wiring, n, ONE, TWO, END, end=True) for n in range(1, 5)]
    assert len(wiring.intake.queue) == 4
    while wiring.intake.slice(NOW):
        pass
    assert wiring.closed == [(stream, "ok") for stream in streams]


def test_relieved_out_of_turn(wiring: Wiring) -> None:
    """A stream with too much undecoded is decoded at once; the others keep their places."""
    streams = [answering(wiring, n, ONE) for n in range(1, 4)]
    wiring.intake.relieve(streams[1])
    assert list(wiring.intake.queue) == [streams[0], streams[2]]
    assert (streams[1].pending, streams[1].pending_bytes) == ([], 0)
    streams[1].body(TWO, NOW, True)
    assert wiring.intake.queue[-1] is streams[1]


def test_flush_leaves_nothing(wiring: Wiring) -> None:
    """At the end neither the hold nor a due arrival counts."""
    wiring.intake._pacer.due_ns = 0
    for n in range(1, 30):
        answering(wiring, n, ONE * 100, END, at_ns=NOW, end=True)
    wiring.intake.flush()
    assert [outcome for _, outcome in wiring.closed] == ["ok"] * 29
    assert not wiring.intake.queue


def test_counters(wiring: Wiring) -> None:
    """In flight until the framing ends, done and outcome once decoded, TTFT by its bin."""
    stream = answering(wiring, 1, ONE + TWO)
    wiring.intake.flush()
    assert (count(wiring, "in_flight"), count(wiring, "done")) == (1, 0)
    first_bin = len(NAMES) + ttft_bin(NOW - HOLD_NS - stream.scheduled_ns)
    assert wiring.intake._counters[first_bin] == 1
    assert count(wiring, "ttft_ns") == NOW - HOLD_NS - stream.scheduled_ns
    stream.ended(NOW)
    assert (wiring.left, count(wiring, "in_flight"), count(wiring, "done")) == ([stream], 0, 0)
    wiring.intake.flush()
    assert (count(wiring, "done"), count(wiring, "truncated"), count(wiring, "ok")) == (1, 1, 0)


@pytest.mark.parametrize("ended", [False, True])
def test_giving_up(wiring: Wiring, ended: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is closed and the stream fails, with the reason; where the framing had ended, the reason alone changes."""
    dropped: list[Any] = []
    monkeypatch.setattr(wiring.intake, "_on_give_up", dropped.append)
    stream = answering(wiring, 1, ONE, end=ended)
    wiring.intake.give_up(stream, "stream_error", "why", "words")
    wiring.intake.flush()
    assert dropped == [stream]
    assert wiring.closed == [(stream, "stream_error")]
    assert wiring.left == [stream]
    assert stream.failure is not None
    assert stream.failure.error_type == "why"
