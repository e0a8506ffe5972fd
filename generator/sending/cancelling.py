"""Requests that the scenario gives up on purpose, as users do who close the page: which ones, and when.

Which: pure in the step's seed and the arrival's number, so that it is the same on any number of workers and for every target of a
comparison. When: so long after the body was sent, or once so many token rows have come. Nothing here costs anything where no
scenario asks for it; where one does, the streams under such a plan are looked at every few milliseconds, the others never.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import OrderedDict, deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from generator import clock
from generator.job import Cancel
from generator.pacer import Pacer
from generator.stream import ENDED, Stream
from generator.transport.intake import Intake
from generator.workload.lengths import BLOCK

ERROR_TYPE = "planned"
"""``requests.error_type`` of what was given up by plan; a drain's and an interrupt's cuts have other words."""

LOOK_S = 0.005
"""How often streams are looked at whose time is not known beforehand."""

_STREAM = 200
"""Of a step's seed; those below are the schedule's, the lengths' and the mix's."""

_BLOCKS_KEPT = 8


class Lots:
    """A number in [0, 1) for each arrival of each step, drawn in blocks of 1,024."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[tuple[tuple[int, int], int], NDArray[np.float64]] = OrderedDict()

    def of(self, seed: tuple[int, int], n: int) -> float:
        number, within = divmod(n, BLOCK)
        block = self._blocks.get((seed, number))
        if block is None:
            source = np.random.SeedSequence(seed[0], spawn_key=(seed[1], _STREAM, number))
            block = self._blocks[seed, number] = np.random.default_rng(source).random(BLOCK)
            if len(self._blocks) > _BLOCKS_KEPT:
                self._blocks.popitem(last=False)
        return float(block[within])

    def hit(self, plan: Cancel, seed: tuple[int, int], n: int) -> bool:
        """Whether arrival ``n`` is one of the share. A larger share takes all that a smaller one takes."""
        return self.of(seed, n) < plan.share


class Cancelling:
    """The streams in flight that are to be given up. ``cut(stream, message, now_ns)`` closes a stream's connection and fails it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        intake: Intake,
        pacer: Pacer,
        cut: Callable[[Stream, str, int], None],
    ) -> None:
        self._loop = loop
        self._intake = intake
        self._pacer = pacer
        self._cut = cut
        self._unsent: list[Stream] = []
        self._due: list[tuple[int, int, Stream]] = []  # (instant, request_id, stream), a heap
        self._counted: deque[Stream] = deque()
        self._beat: asyncio.TimerHandle | None = None

    def follow(self, stream: Stream) -> None:
        """A stream that has a plan was handed to its transport."""
        assert stream.cancel is not None
        if stream.cancel.after_ns is None:
            self._counted.append(stream)
        else:
            self._unsent.append(stream)
        if self._beat is None:
            self._beat = self._loop.call_later(LOOK_S, self._look)

    def look(self, now_ns: int) -> None:
        """Give up what is due."""
        self._look_at_times(now_ns)
        self._look_at_rows(now_ns)

    def _look(self) -> None:
        self.look(clock.monotonic_ns())
        going = self._unsent or self._due or self._counted
        self._beat = self._loop.call_later(LOOK_S, self._look) if going else None

    def _look_at_times(self, now_ns: int) -> None:
        due = self._due
        waiting, self._unsent = self._unsent, []
        while due and due[0][0] <= now_ns:
            waiting.append(heapq.heappop(due)[2])
        for stream in waiting:
            assert stream.cancel is not None
            after_ns = stream.cancel.after_ns or 0
            if stream.state >= ENDED:
                continue
            if stream.sent_ns is None:  # still connecting, or sent a second time because its first connection was dead
                self._unsent.append(stream)
            elif stream.sent_ns + after_ns > now_ns:
                heapq.heappush(due, (stream.sent_ns + after_ns, stream.request_id, stream))
            else:
                self._cut(stream, f"given up by plan {after_ns / 1e9:g} s after it was sent", now_ns)

    def _look_at_rows(self, now_ns: int) -> None:
        """Decodes what these streams hold at once: the usual patience would let several rows too many come."""
        counted = self._counted
        for _ in range(len(counted)):
            if clock.monotonic_ns() >= self._pacer.due_ns:
                return  # a send goes first; the rest are looked at next time, before those that were seen now
            stream = counted.popleft()
            assert stream.cancel is not None
            if stream.pending:
                self._intake.relieve(stream)
            if stream.state >= ENDED:
                continue
            wanted = stream.cancel.after_tokens or 1
            if stream.decoder is None or stream.decoder.answer.rows < wanted:
                counted.append(stream)
            else:
                rows = "row" if wanted == 1 else "rows"
                self._cut(stream, f"given up by plan after {wanted} token {rows}", now_ns)
