"""Time limits of a request in flight: from when each counts, and what it is told as."""

from __future__ import annotations

import pytest
from wiring import EVENTS, Wiring, faked

from generator.job import Target, Timeouts
from generator.sending.desk import expired
from generator.stream import Stream
from generator.transport.fake import FakeTransport, Script

MS = 1_000_000
LIMITS = Timeouts(connect_s=0.2, first_token_s=1.0, idle_s=0.5, total_s=3.0)
COMMENT = b": keep-alive\n\n"


def sent(script: Script) -> tuple[Wiring, FakeTransport, Stream, int]:
    """A request under LIMITS, and the instant that it was issued at."""
    fake = FakeTransport(lambda _: script)
    wiring = faked(fake)
    stream = wiring.stream(Target("t", "http://fake/v1", "openai-chat", "m", timeouts=LIMITS))
    fake.send(stream)
    return wiring, fake, stream, stream.issued_ns


@pytest.mark.parametrize("decoded", [True, False])
@pytest.mark.parametrize("every_ms", [100, 400])
def test_comments_are_bytes(every_ms: int, decoded: bool) -> None:
    """While anything comes an answer is not idle, whether or not it is decoded yet; what says nothing else is ended by ``total``."""
    reads = ((10 * MS, EVENTS[1]), *((n * every_ms * MS, COMMENT) for n in range(1, 40)))
    wiring, fake, stream, start_ns = sent(Script(reads=reads))
    fake.advance(start_ns + 20 * MS)
    wiring.intake.flush()
    for now_ns in range(start_ns + 20 * MS, start_ns + 3_000 * MS, 20 * MS):
        fake.advance(now_ns)
        if decoded:
            wiring.intake.flush()
        assert expired(stream, now_ns) is None
    assert expired(stream, start_ns + 3_001 * MS) == ("total", 3.0)


@pytest.mark.parametrize("decoded", [True, False])
def test_silence_after_the_first_token(decoded: bool) -> None:
    """Counts from the last byte, decoded or not."""
    wiring, fake, stream, start_ns = sent(Script(reads=((10 * MS, EVENTS[1]), (300 * MS, COMMENT)), end_ns=9_000 * MS))
    fake.advance(start_ns + 20 * MS)
    wiring.intake.flush()
    fake.advance(start_ns + 300 * MS)
    if decoded:
        wiring.intake.flush()
    assert expired(stream, start_ns + 800 * MS) is None
    assert expired(stream, start_ns + 801 * MS) == ("idle", 0.5)


def test_silence_before_it() -> None:
    """Is the first token's to bound: a long prompt is no idle answer, and comments are no token."""
    wiring, fake, stream, start_ns = sent(Script(reads=((10 * MS, COMMENT), (950 * MS, COMMENT)), end_ns=9_000 * MS))
    fake.advance(start_ns + 900 * MS)
    wiring.intake.flush()
    assert expired(stream, start_ns + 900 * MS) is None
    assert expired(stream, start_ns + 1_001 * MS) == ("first_token", 1.0)


def test_connecting_counts_from_issued_or_from_the_second_try() -> None:
    """A request that is sent again has as long to connect as any; its other limits still count from issued."""
    _, fake, stream, start_ns = sent(Script())
    assert expired(stream, start_ns + 200 * MS) is None
    assert expired(stream, start_ns + 201 * MS) == ("connect", 0.2)
    stream.sent_ns = start_ns
    stream.resend(fake, start_ns + 700 * MS)
    assert expired(stream, start_ns + 900 * MS) is None
    assert expired(stream, start_ns + 901 * MS) == ("connect", 0.2)
    stream.sent_ns = start_ns + 710 * MS
    assert expired(stream, start_ns + 1_001 * MS) == ("first_token", 1.0)
