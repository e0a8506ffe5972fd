"""The fake transport: a script in, the stream's facts out, on a clock that the test moves."""

from __future__ import annotations

from wiring import EVENTS, faked

from generator.job import Target
from generator.transport.fake import FakeTransport, Script

MS = 1_000_000
TARGET = Target("t", "http://fake/v1", "openai-chat", "m")


def test_a_script_becomes_rows_and_instants() -> None:
    """Reads happen when the script says, and not before the clock has got there."""
    reads = tuple((50 * MS + n * 10 * MS, event) for n, event in enumerate(EVENTS))
    fake = FakeTransport(lambda _: Script(reads=reads, connect_ns=5 * MS))
    wiring = faked(fake)
    stream = wiring.stream(TARGET)
    fake.send(stream)
    start_ns = stream.issued_ns
    fake.advance(start_ns + 70 * MS)
    wiring.intake.flush()
    assert (stream.connected_ns, stream.sent_ns, stream.headers_ns) == (
        start_ns + 5 * MS,
        start_ns + 5 * MS,
        start_ns + 55 * MS,
    )
    assert [row[1] - start_ns for row in wiring.tokens(stream)] == [65 * MS]
    assert wiring.closed == []
    fake.advance(start_ns + 1000 * MS)
    wiring.intake.flush()
    assert [row[1] - start_ns for row in wiring.tokens(stream)] == [65 * MS, 75 * MS, 85 * MS]
    assert wiring.closed == [(stream, "ok")]
    assert stream.done_ns == start_ns + 55 * MS + (len(EVENTS) - 1) * 10 * MS
    assert fake.sent == [stream]


def test_streams_play_in_the_order_of_time() -> None:
    """Two streams interleave as their scripts say, whichever was sent first."""
    fake = FakeTransport(lambda s: Script(status=503, headers=(), reads=((s.arrival * MS, b"busy"),)))
    wiring = faked(fake)
    slow, quick = wiring.stream(TARGET, 9), wiring.stream(TARGET, 2)
    quick.issued_ns = slow.issued_ns
    fake.send(slow)
    fake.send(quick)
    fake.advance(slow.issued_ns + 10 * MS)
    wiring.intake.flush()
    assert wiring.closed == [(quick, "overloaded"), (slow, "overloaded")]


def test_faults_and_silence() -> None:
    """A fault comes in place of the end; what has no end is in flight until it is dropped, and then hears nothing."""
    scripts = [
        Script(reads=((MS, EVENTS[1]),), end_ns=2 * MS, fault=("truncated", "reset", "gone")),
        Script(),
        Script(end_ns=3 * MS),
    ]
    fake = FakeTransport(lambda s: scripts[s.arrival])
    wiring = faked(fake)
    cut, silent, dropped = (wiring.stream(TARGET, n) for n in range(3))
    for stream in (cut, silent, dropped):
        fake.send(stream)
    fake.drop(dropped)
    fake.advance(cut.issued_ns + 10_000 * MS)
    wiring.intake.flush()
    assert wiring.closed == [(cut, "truncated")]
    assert len(wiring.tokens(cut)) == 1
    assert silent.sent_ns is not None
    assert dropped.sent_ns is None
