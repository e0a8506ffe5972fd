"""One response's life: which events may follow which, and what each end is called."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from pieces import ANSWER, END, ONE, TWO
from wiring import Wiring

from generator.job import Target
from generator.stream import CLOSED, ENDED, ERROR_BODY_BYTES, FAILED, HEADERS, NEW, TRANSITIONS, WAITING, Stream

TARGET = Target("t", "http://h/v1", "openai-chat", "m")
SSE = [(b"content-type", b"text/event-stream")]

EVENTS: dict[str, Any] = {
    "handed": lambda s: s.handed(None),
    "connected": lambda s: s.connected(1),
    "resent": lambda s: s.resend(None, 3),
    "response": lambda s: s.response(200, SSE, 2),
    "ended": lambda s: s.ended(3),
    "closed": lambda s: s.close(),
}
PATHS = {
    NEW: [],
    WAITING: ["handed"],
    HEADERS: ["handed", "response"],
    ENDED: ["handed", "response", "ended"],
    FAILED: ["handed", "failed"],
    CLOSED: ["handed", "response", "ended", "closed"],
}


def at(state: int) -> Stream:
    stream = Wiring().stream(TARGET)
    for event in PATHS[state]:
        if event == "failed":
            stream.failed("timeout", "total", "late", 3)
        else:
            EVENTS[event](stream)
    assert stream.state == state
    return stream


@pytest.mark.parametrize(("state", "event"), list(itertools.product(PATHS, EVENTS)))
def test_the_table(state: int, event: str) -> None:
    """An event leads where the table says; one that a state does not list is a fault of ours, and raises."""
    stream = at(state)
    following = TRANSITIONS[event].get(state)
    if following is None:
        with pytest.raises(KeyError):
            EVENTS[event](stream)
        assert stream.state == state
    else:
        EVENTS[event](stream)
        assert stream.state == following


@pytest.mark.parametrize("state", PATHS)
def test_a_failure_after_the_end_changes_nothing(state: int) -> None:
    """A time limit may meet an answer that has just ended: the first end counts. Before it, failing leaves at once."""
    stream = at(state)
    before = stream.failure
    stream.failed("cancelled", "drain", "cut", 99)
    if state in (ENDED, FAILED, CLOSED):
        assert (stream.state, stream.failure) == (state, before)
    else:
        assert (stream.state, stream.done_ns) == (FAILED, 99)
        assert stream.failure is not None
        assert stream.failure.outcome == "cancelled"


FINISHED, UNFINISHED = ANSWER, ONE + TWO
IN_STREAM = ONE + b'data: {"error": {"type": "overloaded_error", "message": "busy"}}\n\n'
NOT_OURS = ONE + b"data: {broken\n\n"


def test_done_is_no_terminal_mark() -> None:
    """[DONE] neither suffices nor is needed: the API's own finish is what counts."""
    assert outcome(200, ONE + b"data: [DONE]\n\n", "ended")[0] == "truncated"
    assert outcome(200, ONE + END, "ended")[0] == "ok"


def outcome(status: int, body: bytes, end: str) -> tuple[str, int]:
    """(outcome, rows) of an answer with ``status`` and ``body`` that ended, or failed, as ``end`` says."""
    wiring = Wiring()
    stream = wiring.stream(TARGET)
    stream.handed(None)
    stream.response(status, SSE, 2)
    stream.body(body, 3, True)
    if end == "ended":
        stream.ended(4)
    else:
        stream.failed(end, "how", "words", 4)
    wiring.intake.flush()
    ((closed, found),) = wiring.closed
    assert closed is stream
    return found, len(wiring.rows)


@pytest.mark.parametrize(
    ("status", "body", "end", "expected"),
    [
        # 2xx, framing ended: the decoder's word
        (200, FINISHED, "ended", ("ok", 2)),
        (201, FINISHED, "ended", ("ok", 2)),
        (200, UNFINISHED, "ended", ("truncated", 2)),
        (200, b"", "ended", ("truncated", 0)),
        (200, IN_STREAM, "ended", ("overloaded", 1)),
        (200, NOT_OURS, "ended", ("stream_error", 1)),
        # 2xx, framing did not end: what the transport or the clock says, however complete the answer looks; rows are kept
        (200, FINISHED, "truncated", ("truncated", 2)),
        (200, FINISHED, "timeout", ("timeout", 2)),
        (200, UNFINISHED, "cancelled", ("cancelled", 2)),
        (200, IN_STREAM, "stream_error", ("stream_error", 1)),
        # other statuses: the status, whatever the body looks like; no rows
        (429, FINISHED, "ended", ("rate_limited", 0)),
        (429, b'{"error": {"code": "insufficient_quota"}}', "ended", ("quota", 0)),
        (503, b"", "ended", ("overloaded", 0)),
        (529, b"", "ended", ("overloaded", 0)),
        (500, b"", "ended", ("server_error", 0)),
        (401, b"", "ended", ("client_error", 0)),
        (302, b"", "ended", ("client_error", 0)),
        (429, b"", "truncated", ("truncated", 0)),
    ],
)
def test_outcomes(status: int, body: bytes, end: str, expected: tuple[str, int]) -> None:
    """Status, framing, the API's mark and errors inside the stream decide together; ok needs all of them."""
    assert outcome(status, body, end) == expected


def test_an_error_body_has_a_bound() -> None:
    """64 KiB are kept of megabytes: no API says more about an error."""
    wiring = Wiring()
    stream = wiring.stream(TARGET)
    stream.handed(None)
    stream.response(500, [], 2)
    for _ in range(100):
        stream.body(b"x" * 10_000, 3, True)
        wiring.intake.flush()
    assert len(stream.error_body) == ERROR_BODY_BYTES
    stream.ended(4)
    wiring.intake.flush()
    assert wiring.closed[0][1] == "server_error"


def test_a_message_is_cut() -> None:
    """500 characters are kept of whatever the transport has to say."""
    stream = at(WAITING)
    stream.failed("truncated", "closed", "x" * 9_999, 3)
    assert stream.failure is not None
    assert stream.failure.error_message == "x" * 500


@pytest.mark.parametrize(
    ("reads", "before"),
    [
        ([ONE], None),  # the first token came in the first read: only the send lies before it
        ([b": ping\n\n", ONE], 10),
        ([b": ping\n\n", ONE[:5], ONE[5:]], 20),
        ([b": ping\n\n" + ONE[:5], ONE[5:] + TWO], 10),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_the_read_before_the_first_token(reads: list[bytes], before: int | None, at_once: bool) -> None:
    """The lower bound of an inexact first stamp, in whatever slices the reads are decoded."""
    wiring = Wiring()
    stream = wiring.stream(TARGET)
    stream.handed(None)
    stream.response(200, SSE, 5)
    for i, piece in enumerate(reads, 1):
        stream.body(piece, 10 * i, True)
        stream.reads += 1
        if not at_once:
            wiring.intake.flush()
    wiring.intake.flush()
    assert stream.last_read_before_ns == before


def test_headers_count_as_the_read_before() -> None:
    """A head in a read of its own bounds a first token in the next."""
    wiring = Wiring()
    stream = wiring.stream(TARGET)
    stream.handed(None)
    stream.response(200, SSE, 5)
    stream.reads = 1
    stream.body(ONE, 10, True)
    wiring.intake.flush()
    assert stream.last_read_before_ns == 5


def test_a_first_token_in_a_merged_read_is_bounded_by_the_last_look() -> None:
    """That nothing of its read had come when the sockets were last looked at says more than the read before, or the send."""
    for merged_after_ns, bound in ((8, 8), (3, 5)):
        wiring = Wiring()
        stream = wiring.stream(TARGET)
        stream.handed(None)
        stream.sent_ns = 1
        stream.response(200, SSE, 5)
        stream.reads = 1
        stream.merged_read, stream.merged_after_ns = 1, merged_after_ns
        stream.body(ONE + TWO, 10, True)
        wiring.intake.flush()
        assert stream.last_read_before_ns == bound
