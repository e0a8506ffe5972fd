"""All sockets of a worker in one epoll set, which the loop watches as a single descriptor.

One callback of the loop then serves every ready socket: the loop's own cost a descriptor falls away, and the order is
ours: a due send before any read, reads before decoding, decoding in slices.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable

from generator import clock
from generator.intake import Intake
from generator.pacer import Pacer

READ = select.EPOLLIN
WRITE = select.EPOLLOUT

EVENTS_A_TURN = 256

Handler = Callable[[int], None]


class Poller:
    """``add`` a descriptor with the function to call with its readiness mask."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pacer: Pacer) -> None:
        self._loop = loop
        self._pacer = pacer
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._again = False
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

    def _turn_again(self) -> None:
        self._again = False
        self._turn()

    def _turn(self) -> None:
        now_ns = clock.monotonic_ns
        pacer, handlers, intake = self._pacer, self._handlers, self.intake
        if now_ns() >= pacer.due_ns:
            pacer.fire()
        for fd, mask in self._epoll.poll(0, EVENTS_A_TURN):
            if now_ns() >= pacer.due_ns:
                pacer.fire()
            handler = handlers.get(fd)
            if handler is not None:
                handler(mask)
        if intake is not None and intake.queue:
            intake.slice()
            if intake.queue:
                self.wake()

    def close(self) -> None:
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()
