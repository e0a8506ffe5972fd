"""Decides what is sent when, and never waits for an answer: arrivals of an open loop by their schedule, a closed loop's
slots as they fall free. ``launch`` does the sending; both issuers only say which arrival, and when it was due."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Protocol

from generator import clock
from generator.job import MANY, Step
from generator.pacer import NEVER, Pacer
from generator.slots import Slot, slots, think_ns, total
from generator.stream import Stream

BATCH = 32
"""Arrivals issued before reading and control get a turn: a worker that cannot keep up must stay alive to say so."""

REFUSED_PAUSE_NS = 100_000_000
"""A slot waits this long at least after a connection that was refused, or closed without a byte of an answer, as a load balancer does
whose servers are gone: a closed loop against a target that is down would spin."""

_OURS = ("timeout", "cancelled")
"""Outcomes of requests that were given up here: they took the time that they were given."""

Launch = Callable[[int, int, int | None], None]
"""(arrival number, scheduled_ns, slot)"""

Prepare = Callable[[int, int], None]
"""(arrival number, scheduled_ns): make it ready for a launch that will come."""

AHEAD = 32
"""Arrivals of an open loop that are made ready before their time, so that a send is little more than its system call."""

ROOM_NS = 200_000
"""Nothing is made ready when the next arrival is nearer than this, or than twice what making one takes: long prompts take milliseconds."""

Ended = Callable[[int], None]
"""(end_ns): issuing is over."""


class Issuer(Protocol):
    """One step's arrivals on one worker."""

    def begin(self, start_ns: int) -> None: ...

    def left(self, stream: Stream) -> None: ...

    def stop(self) -> None: ...


class OpenIssuer:
    """Follows the shard of the schedule: ``numbers[i]`` is due ``offsets_ns[i]`` after the start."""

    def __init__(
        self,
        step: Step,
        numbers: Sequence[int],
        offsets_ns: Sequence[int],
        pacer: Pacer,
        prepare: Prepare,
        launch: Launch,
        ended: Ended,
    ) -> None:
        self._step = step
        self._numbers = numbers
        self._offsets = offsets_ns
        self._pacer = pacer
        self._prepare = prepare
        self._launch = launch
        self._ended = ended
        self._next = 0
        self._ready = 0
        self._room_ns = ROOM_NS
        self._took_ns = 0
        self._start_ns = 0
        self._over = False

    def begin(self, start_ns: int) -> None:
        self._start_ns = start_ns
        for _ in range(AHEAD):
            if self._due() - clock.monotonic_ns() > self._room_ns:
                self._look_ahead()
        self._pacer.follow(self._issue_due, self._due())

    def _look_ahead(self) -> None:
        """Make one more of the arrivals that follow ready, AHEAD of the next one at the furthest."""
        i = max(self._ready, self._next)
        if i < min(self._next + AHEAD, len(self._offsets)):
            began_ns = clock.monotonic_ns()
            self._prepare(self._numbers[i], self._start_ns + self._offsets[i])
            took_ns = clock.monotonic_ns() - began_ns
            # The lesser of two: one that was held up says nothing of the next, and a room that is never found is never corrected.
            self._room_ns = max(ROOM_NS, 2 * min(took_ns, self._took_ns))
            self._took_ns = took_ns
            self._ready = i + 1

    def _due(self) -> int:
        if self._next < len(self._offsets):
            return self._start_ns + self._offsets[self._next]
        if self._step.duration_ns < MANY:
            return self._start_ns + self._step.duration_ns
        return self._start_ns  # no arrivals left and no length to wait out: over at once

    def _issue_due(self, now_ns: int) -> int:
        last = min(len(self._offsets), self._next + BATCH)
        while self._next < last:
            due = self._start_ns + self._offsets[self._next]
            if due > now_ns:
                if due - now_ns > self._room_ns:
                    self._look_ahead()
                if due - clock.monotonic_ns() > self._room_ns:
                    self._look_ahead()  # two for one, so that what a burst used up is made good
                return due
            i = self._next
            self._next += 1
            self._launch(self._numbers[i], due, None)
            now_ns = clock.monotonic_ns()
        due = self._due()
        if due > now_ns or self._next < len(self._offsets):
            return due
        last_ns = self._start_ns + (self._offsets[-1] if self._offsets else 0)
        self._finish(self._start_ns + self._step.duration_ns if self._step.duration_ns < MANY else last_ns + 1)
        return NEVER

    def left(self, stream: Stream) -> None:
        """An open loop does not care."""

    def stop(self) -> None:
        """No more arrivals: those not yet due get no row."""
        if not self._over:
            self._pacer.rest()
            self._finish(max(clock.monotonic_ns(), self._start_ns))

    def _finish(self, end_ns: int) -> None:
        if not self._over:
            self._over = True
            self._ended(end_ns)


class ClosedIssuer:
    """Each slot sends, waits for the end of the answer, thinks, and sends again."""

    def __init__(self, step: Step, worker: int, workers: int, pacer: Pacer, launch: Launch, ended: Ended) -> None:
        self._step = step
        self._pacer = pacer
        self._launch = launch
        self._ended = ended
        self._count = total(step)
        self._mine = {slot.index: slot for slot in slots(step, worker, workers) if slot.first < step.requests}
        self._next = {slot.index: slot.first for slot in self._mine.values()}
        self._unsent = sum(-(-(step.requests - slot.first) // slot.stride) for slot in self._mine.values())
        self._waiting: list[tuple[int, int]] = []
        self._start_ns = 0
        self._last_issue_ns = 0
        self._over = False

    def begin(self, start_ns: int) -> None:
        self._start_ns = start_ns
        self._waiting = [(start_ns + slot.open_ns, slot.index) for slot in self._mine.values()]
        heapq.heapify(self._waiting)
        self._pacer.follow(self._issue_due, self._due())

    @property
    def _end_ns(self) -> int:
        return self._start_ns + self._step.duration_ns if self._step.duration_ns < MANY else NEVER

    def _due(self) -> int:
        if self._step.requests < MANY and self._unsent <= 0:
            return self._start_ns  # a worker without a slot is over as soon as it begins
        return min(self._waiting[0][0] if self._waiting else NEVER, self._end_ns)

    def _issue_due(self, now_ns: int) -> int:
        while self._waiting and self._waiting[0][0] <= now_ns and not self._over:
            due, index = heapq.heappop(self._waiting)
            self._issue(self._mine[index], due)
            now_ns = clock.monotonic_ns()
        if now_ns >= self._end_ns:
            self._finish(self._end_ns)
            return NEVER
        self._finish_if_spent()
        return NEVER if self._over else self._due()

    def _issue(self, slot: Slot, due_ns: int) -> None:
        """Send the slot's next request, unless the slot is closed or the step has none left."""
        number = self._next[slot.index]
        if number >= self._step.requests or due_ns >= self._start_ns + slot.close_ns:
            return
        self._next[slot.index] = number + self._count
        self._unsent -= 1
        self._last_issue_ns = due_ns
        self._launch(number, due_ns, slot.index)

    def left(self, stream: Stream) -> None:
        """A slot fell free when its response's framing ended: at ``done_ns``, however late this process reads it."""
        assert stream.slot is not None
        if self._over:
            return
        pause_ns = think_ns(self._step, stream.arrival)
        failure = stream.failure
        if failure is not None and stream.first_byte_ns is None and failure.outcome not in _OURS:
            pause_ns = max(pause_ns, REFUSED_PAUSE_NS)
        due = (stream.done_ns or 0) + pause_ns
        if pause_ns == 0:
            self._issue(self._mine[stream.slot], due)
        else:
            heapq.heappush(self._waiting, (due, stream.slot))
            self._pacer.at(self._due())
        self._finish_if_spent()

    def _finish_if_spent(self) -> None:
        """A step that ends by number is over when no slot has a request left to send."""
        if self._step.requests < MANY and self._unsent <= 0 and not self._over:
            self._pacer.rest()
            self._finish((self._last_issue_ns or self._start_ns) + 1)

    def stop(self) -> None:
        if not self._over:
            self._pacer.rest()
            self._finish(max(clock.monotonic_ns(), self._start_ns))

    def _finish(self, end_ns: int) -> None:
        if not self._over:
            self._over = True
            self._ended(end_ns)
