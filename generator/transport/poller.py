"""All sockets of a worker in one epoll set, which the loop watches as a single descriptor.

One callback of the loop then serves every ready socket: the loop's own cost a descriptor falls away, and the order is
ours: a due send before any read, reads before decoding, decoding in slices. Once called, it lingers: it waits in its own
epoll set for a few milliseconds more before the loop has its turn, so that a stream of tokens costs one wait a wake-up and
not two. What else lives in the loop (the control pipe, a name look-up, timers of tens of milliseconds) can wait so long.
"""

from __future__ import annotations

import asyncio
import select
import time
from collections.abc import Callable

from generator import clock
from generator.pacer import Pacer
from generator.transport.gathering import Gathering
from generator.transport.intake import HOLD_NS, Intake

READ = select.EPOLLIN
WRITE = select.EPOLLOUT

EVENTS_A_TURN = 256

LINGER_NS = 5_000_000
"""How long the loop may have to wait for its turn."""

DOZE_NS = 300_000
"""After a wait that was longer than this the set is asked again, so that ``quiet_ns`` is not as old as the wait."""

MARGIN_NS = 500_000
"""The kernel stamps a segment before the socket counts as ready; so late the rest of its way may be."""

LAG_SAMPLE = 15
"""Every sixteenth wake-up is asked how long it kept readiness waiting."""

Handler = Callable[[int], None]


class Poller:
    """``add`` a descriptor with the function to call with its readiness mask. ``linger_ns`` 0 where the loop itself has work
    that cannot wait, such as another transport's sockets. ``looks`` counts those at the set, ``awake_ns`` counts what was spent looking out for an arrival that was
    near, which is CPU time but no work. ``quiet_ns``: what is read now arrived later than that."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pacer: Pacer, linger_ns: int = LINGER_NS) -> None:
        self._loop = loop
        self._pacer = pacer
        self._linger_ns = linger_ns
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._again = False
        self.looks = 0
        self._lags_ns: list[int] = []
        self.awake_ns = 0
        self.quiet_ns = 0
        self.gathering = Gathering()
        self.intake: Intake | None = None
        self.add(pacer.timer.fd, READ, pacer.on_timer)
        loop.add_reader(self._epoll.fileno(), self._turn)

    def add(self, fd: int, mask: int, handler: Handler) -> None:
        self._handlers[fd] = handler
        self._epoll.register(fd, mask)

    def replace(self, fd: int, mask: int, handler: Handler) -> None:
        """Another function, and what it waits for, for a descriptor that is known already."""
        self._handlers[fd] = handler
        self._epoll.modify(fd, mask)

    def remove(self, fd: int) -> None:
        """Before the descriptor is closed: its number may come back at once as another's."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def wake(self) -> None:
        """Have a turn soon although no descriptor may be ready: something was queued outside a turn."""
        if not self._again:
            self._again = True
            self._loop.call_soon(self._turn_again)

    def take_lags_ns(self) -> list[int]:
        """How long sampled wake-ups took, and so kept what became ready meanwhile waiting, since the last call."""
        lags, self._lags_ns = self._lags_ns, []
        return lags

    def _turn_again(self) -> None:
        self._again = False
        if not self._epoll.closed:
            self._turn()

    def _turn(self) -> None:
        now_ns = clock.monotonic_ns
        pacer, handlers, intake, poll = self._pacer, self._handlers, self.intake, self._epoll.poll
        gathering = self.gathering
        now = woke = now_ns()
        until = now + self._linger_ns
        # What comes densely is waited for from the start, lest each turn begin with a look that finds one piece.
        wait_s = self._linger_ns / 1e9 if gathering.dense and pacer.due_ns - now > pacer.lead_ns else 0.0
        near = False
        while True:
            gather_ns = gathering.wait_ns(now, pacer.due_ns - pacer.lead_ns - now) if wait_s else 0
            if gather_ns:
                time.sleep(gather_ns / 1e9)
                now = now_ns()
            asked_ns = now
            events = poll(wait_s, EVENTS_A_TURN)
            if wait_s:
                now = woke = now_ns()
                if now - asked_ns > DOZE_NS:
                    asked_ns = now
                    events = poll(0.0, EVENTS_A_TURN)
            gathering.came(len(events), now)
            if now >= pacer.due_ns:
                pacer.fire()
                near = False
            for fd, mask in events:
                if now_ns() >= pacer.due_ns:
                    pacer.fire()
                handler = handlers.get(fd)
                if handler is not None:
                    handler(mask)
            if len(events) < EVENTS_A_TURN:
                # What is not among the events was not ready when the set was asked, and what was among them has been read.
                self.quiet_ns = asked_ns - MARGIN_NS
            if intake is not None and intake.queue and intake.slice(now):
                wait_s = 0.0  # more is overdue: look at the sockets, then go on
            else:
                wait_s = max(0.0, (until - now) / 1e9)
            now = now_ns()
            if near and not events:
                self.awake_ns += now - woke
            near = pacer.due_ns - now <= pacer.lead_ns
            if near:
                wait_s = 0.0
            self.looks += 1
            if not self.looks & LAG_SAMPLE:
                self._lags_ns.append(now - woke)
            woke = now
            # An arrival that is near is seen out, but arrivals without end must not keep the loop from its turn.
            if now >= until + pacer.lead_ns or (not near and (now >= until or not events)):
                break
        # The timer of an arrival that is near has fired already: if this turn was held up until its end, the next one must be asked for.
        # What comes densely is not left for the loop to wait for, which would be woken by the first piece.
        if (
            near
            or (gathering.dense and self._linger_ns)  # one that does not linger would come back at once, and again
            or (intake is not None and intake.queue and now - intake.queue[0].queued_ns >= HOLD_NS)
        ):
            self.wake()

    def close(self) -> None:
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
