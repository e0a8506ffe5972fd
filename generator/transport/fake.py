"""A transport without a network: plays a script for each request, on a clock that only its owner moves.

Ships with the package, so that whoever writes a workload, an API or an issuer can see a run of it without a server:

    fake = FakeTransport(lambda stream: Script(reads=((50_000_000, b"data: …"), (60_000_000, b"data: [DONE]…"))))
    fake.send(stream)
    fake.advance(stream.issued_ns + 60_000_000)
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count

from generator.stream import Stream
from generator.transport.intake import STREAM_BYTES

_EVENT_STREAM = ((b"content-type", b"text/event-stream"),)


@dataclass(frozen=True, slots=True)
class Script:
    """What the target does with one request. Times are ns after the send, which is at ``issued_ns`` + ``connect_ns`` (None: on a
    reused connection). The head comes with the first read or the end, whichever is first. ``fault``: outcome, error type and
    message in place of a clean end; ``end_ns`` None: with the last read, or never if there is none.
    """

    reads: tuple[tuple[int, bytes], ...] = ()
    status: int = 200
    headers: tuple[tuple[bytes, bytes], ...] = _EVENT_STREAM
    connect_ns: int | None = None
    end_ns: int | None = None
    fault: tuple[str, str, str] | None = None


class FakeTransport:
    """See ``transport.Transport``. ``sent`` lists every stream in order; nothing happens before ``advance`` reaches its time."""

    def __init__(self, script: Callable[[Stream], Script]) -> None:
        self.reads = 0
        self.process_stamps = 0
        self.sent: list[Stream] = []
        self._script = script
        self._due: list[tuple[int, int, Stream, Callable[[int], None]]] = []
        self._number = count()

    async def start(self) -> None:
        """There is no name to resolve."""

    def send(self, stream: Stream) -> None:
        script = self._script(stream)
        stream.handed(self)
        stream.connection_id = len(self.sent)
        self.sent.append(stream)
        sent_ns = stream.issued_ns + (script.connect_ns or 0)
        self._at(sent_ns, stream, partial(self._sent, stream, script))
        for at_ns, payload in script.reads:
            self._at(sent_ns + at_ns, stream, partial(self._read, stream, script, payload))
        end_ns = script.end_ns
        if end_ns is None and script.reads:
            end_ns = script.reads[-1][0]
        if end_ns is not None:
            self._at(sent_ns + end_ns, stream, partial(self._end, stream, script))

    def advance(self, to_ns: int) -> None:
        """Play all that is due up to ``to_ns``, in the order of time; what that sends anew is played too."""
        while self._due and self._due[0][0] <= to_ns:
            t_ns, _, stream, act = heapq.heappop(self._due)
            if stream.connection is self:
                act(t_ns)

    def drop(self, stream: Stream) -> None:
        """Nothing more is played for it."""
        stream.connection = None

    def sweep(self, now_ns: int) -> None:
        """No connection is ever idle."""

    def take_read_lags_ns(self) -> list[int]:
        return []

    async def close(self) -> None:
        self._due.clear()

    def _at(self, t_ns: int, stream: Stream, act: Callable[[int], None]) -> None:
        heapq.heappush(self._due, (t_ns, next(self._number), stream, act))

    def _sent(self, stream: Stream, script: Script, t_ns: int) -> None:
        if script.connect_ns is not None:
            stream.connected(t_ns)
        stream.sent_ns = t_ns
        stream.bytes_sent = len(stream.encoded.body)

    def _head(self, stream: Stream, script: Script, t_ns: int) -> None:
        if stream.headers_ns is None:
            stream.first_byte_ns = t_ns
            stream.response(script.status, list(script.headers), t_ns)

    def _read(self, stream: Stream, script: Script, payload: bytes, t_ns: int) -> None:
        self._head(stream, script, t_ns)
        self.reads += 1
        stream.last_byte_ns = t_ns
        stream.bytes_received += len(payload)
        stream.body(payload, t_ns, True)
        stream.reads += 1
        if stream.pending_bytes > STREAM_BYTES:
            stream.intake.relieve(stream)

    def _end(self, stream: Stream, script: Script, t_ns: int) -> None:
        if script.fault is None:
            self._head(stream, script, t_ns)
            stream.ended(t_ns)
        else:
            stream.failed(*script.fault, t_ns)
