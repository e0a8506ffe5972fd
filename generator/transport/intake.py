"""Where received bytes wait to be understood: one queue, decoded in slices when reading and sending have nothing to do.

When hundreds of responses end together and all are decoded at once, reading stalls, the kernel merges what arrives
meanwhile, and stamps stop being exact. So a slice is bounded in bytes and stops when an arrival is due.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from generator import clock
from generator.apis.api import Api, RowSink
from generator.counters import INDEX, NAMES, ttft_bin
from generator.stream import ENDED, FAILED, HEADERS, Stream

if TYPE_CHECKING:
    from generator.pacer import Pacer

SLICE_BYTES = 16_384
"""About 60 chunks of one token: a fifth of a millisecond, which is as long as a ready socket may have to wait."""

HOLD_NS = 150_000_000
"""Bytes wait this long before they are decoded, so that one visit to a stream understands several chunks. Nobody waits for
the result: stamps are taken, a closed loop is told by the framing, and time limits allow for it."""

ROOM_NS = 150_000
"""Nothing is decoded when an arrival is nearer than this, which is what one visit to a stream takes, until it has been held twice as
long as it need be: an arrival rate that leaves no such room must not keep bytes undecoded for ever."""

STREAM_BYTES = 65_536
"""No stream keeps more than this undecoded; the transport decodes at once what would pass it."""

_DONE = INDEX["done"]
_STEP_DONE = INDEX["step_done"]
_IN_FLIGHT = INDEX["in_flight"]
_FIRST_BIN = len(NAMES)
_TTFT_NS = INDEX["ttft_ns"]
_OVER = (ENDED, FAILED)


class Intake:
    """Between transports, which fill ``queue``, and whoever is told: ``on_left`` as soon as a response's framing ended (a
    closed loop sends its next request then), ``on_closed`` with the outcome once all of it is decoded."""

    def __init__(
        self,
        apis: Mapping[str, Api],
        sink: RowSink,
        counters: memoryview,
        pacer: Pacer,
        on_left: Callable[[Stream], None],
        on_closed: Callable[[Stream, str], None],
        on_give_up: Callable[[Stream], None],
    ) -> None:
        self.apis = apis
        self.sink = sink
        self.queue: deque[Stream] = deque()
        self._counters = counters
        self._pacer = pacer
        self._on_left = on_left
        self._on_closed = on_closed
        self._on_give_up = on_give_up

    def slice(self, now_ns: int) -> bool:
        """Decode what has been held long enough, until the slice is full or an arrival is near. True when more of it is left."""
        queue, pacer = self.queue, self._pacer
        held_since_ns = now_ns - HOLD_NS
        used = 0
        while queue and queue[0].queued_ns <= held_since_ns:
            if pacer.due_ns - now_ns < ROOM_NS:
                if queue[0].queued_ns > held_since_ns - HOLD_NS:
                    return False  # the arrival's own turn decodes after it
                if used:
                    return True
            used += self.understand(queue.popleft())
            if used >= SLICE_BYTES:
                return bool(queue) and queue[0].queued_ns <= held_since_ns
            now_ns = clock.monotonic_ns()
        return False

    def understand(self, stream: Stream) -> int:
        """Decode all that one stream has queued, and close it if its response is over. The bytes that it took."""
        size = stream.decode() if stream.pending else 0
        if stream.bytes_received > stream.most_bytes and stream.state == HEADERS:
            self.give_up(stream, "stream_error", "response_too_large", f"more than {stream.most_bytes} bytes")
        stream.queued_ns = 0
        if stream.state in _OVER:
            counters, step = self._counters, stream.step
            outcome = stream.close()
            counters[_DONE] += 1
            counters[INDEX[outcome]] += 1
            if step is not None and counters[INDEX["step_id"]] == step.step_id:
                counters[_STEP_DONE] += 1
            self._on_closed(stream, outcome)
        return size

    def relieve(self, stream: Stream) -> None:
        """Decode one stream out of turn, because it has too much queued."""
        self.queue.remove(stream)
        self.understand(stream)

    def flush(self) -> None:
        """Understand everything, however long it takes: at the end of a step and before leaving."""
        while self.queue:
            self.understand(self.queue.popleft())

    # -- what streams say ----------------------------------------------------------------------------------------------

    def left(self, stream: Stream) -> None:
        """The response is over; its bytes may still be queued."""
        self._counters[_IN_FLIGHT] -= 1
        if not stream.queued_ns:
            stream.queued_ns = clock.monotonic_ns()
            self.queue.append(stream)
        self._on_left(stream)

    def first_row(self, stream: Stream, t_ns: int) -> None:
        """The first token was decoded: for the live view only."""
        ttft_ns = t_ns - stream.scheduled_ns
        self._counters[_FIRST_BIN + ttft_bin(ttft_ns)] += 1
        self._counters[_TTFT_NS] += ttft_ns

    def give_up(self, stream: Stream, outcome: str, error_type: str, message: str) -> None:
        """The answer cannot be used: have its connection closed and fail the stream."""
        self._on_give_up(stream)
        stream.spoiled(outcome, error_type, message, clock.monotonic_ns())
