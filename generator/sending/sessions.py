"""Issues conversations: the step's arrivals, open or closed, start sessions; each later turn is due its think time after the answer
before it ended. Turn k of session s is request number s · T + k − 1, T the most turns that a session of the step may have.

Partly open in the sense of Schroeder et al. (NSDI 2006): who comes does not wait for the target, who stays does. A turn that is not
answered ok ends its session: what would have followed was never due.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, cast

from generator import clock
from generator.job import MANY, Pause, Step
from generator.pacer import NEVER, Pacer
from generator.rows import CONTENT
from generator.sending.issuer import BATCH, Ended, Issuer, Launch
from generator.slots import think_ns

if TYPE_CHECKING:
    from generator.stream import Stream
    from generator.workload import Prompt

Send = Callable[[int, int, int | None], bool]
"""(arrival number, scheduled_ns, slot): False where the cap on what is in flight dropped it."""

Ready = Callable[[int, int, int | None], None]
"""The same: make it ready for a send that will come."""

Starting = Callable[[Pacer, Launch, Ended], Issuer]
"""Makes the issuer whose arrivals are sessions."""


class Talk(Protocol):
    """What is said, and how often: ``workload.sessions.Conversations``."""

    def turns(self, s: int) -> int: ...

    def pause(self, s: int) -> Pause: ...

    def heard(self, s: int, asked: Prompt, text: str) -> None: ...

    def over(self, s: int) -> None: ...


@dataclass(slots=True)
class _Session:
    """``turn``: the last one issued, from 1; ``awaited``: its stream, once its framing ended and until its text is understood; ``due_ns``:
    of the turn after it."""

    number: int
    turns: int
    slot: int | None
    turn: int = 0
    awaited: Stream | None = None
    due_ns: int = NEVER


class SessionIssuer:
    """``hurry`` understands a stream out of turn, because what it says is to be sent back now."""

    def __init__(
        self,
        step: Step,
        talk: Talk,
        pacer: Pacer,
        starting: Starting,
        ready: Ready,
        send: Send,
        hurry: Callable[[Stream], None],
        ended: Ended,
    ) -> None:
        assert step.turns is not None
        self._step = step
        self._most = step.turns
        self._talk = talk
        self._pacer = pacer
        self._ready = ready
        self._send = send
        self._hurry = hurry
        self._ended = ended
        self._half = _Half(self._rearm)
        # Issuers ask follow, at and rest of their pacer, and no more.
        self._starts = starting(cast("Pacer", self._half), self._start, self._all_started)
        self._thinking: dict[Pause, Step] = {}
        self._live: dict[int, _Session] = {}
        self._coming = 0  # sessions that have turns to come
        self._waiting: list[tuple[int, int]] = []  # (when to look, session number)
        self._begun = False
        self._started = False
        self._over = False
        self._last_issue_ns = 0

    # -- issuing -----------------------------------------------------------------------------------------------------------

    def begin(self, start_ns: int) -> None:
        self._last_issue_ns = start_ns
        self._starts.begin(start_ns)
        self._begun = True
        if not self._over:
            self._pacer.follow(self._fire, self._due())

    def _due(self) -> int:
        return min(self._half.due_ns, self._waiting[0][0] if self._waiting else NEVER)

    def _rearm(self) -> None:
        if self._begun and not self._over:
            self._pacer.at(self._due())

    def _fire(self, now_ns: int) -> int:
        if self._half.due_ns <= now_ns:
            self._half.fire(now_ns)
        for _ in range(BATCH):
            if self._over or not self._waiting or self._waiting[0][0] > clock.monotonic_ns():
                break
            look_ns, number = heapq.heappop(self._waiting)
            session = self._live.get(number)
            if session is not None and session.awaited is not None:
                self._hurry(session.awaited)  # which tells closed, which may end the session
                session = self._live.get(number)
            if session is None:
                continue
            if session.due_ns > look_ns:
                heapq.heappush(self._waiting, (session.due_ns, number))
            else:
                self._issue(session, session.due_ns)
        return NEVER if self._over else self._due()

    def _start(self, number: int, due_ns: int, slot: int | None) -> None:
        """The first turn of a session is due."""
        session = self._live[number] = _Session(number, self._talk.turns(number), slot)
        self._coming += 1
        self._issue(session, due_ns)

    def _issue(self, session: _Session, due_ns: int) -> None:
        n = session.number * self._most + session.turn
        session.turn += 1
        if session.turn == session.turns:
            self._coming -= 1
        self._last_issue_ns = max(self._last_issue_ns, due_ns)
        if not self._send(n, due_ns, session.slot):
            self._forget(session)
        self._finish_if_spent()

    # -- what answers say --------------------------------------------------------------------------------------------------

    def left(self, stream: Stream) -> None:
        """A response's framing ended: the next turn is due from then on, once its text is understood."""
        session = self._live.get(stream.arrival // self._most)
        if self._over or session is None:
            return
        failed = stream.failure is not None or not 200 <= (stream.status or 0) < 300
        if failed or session.turn == session.turns:
            self._leave(session, stream)
            return
        session.awaited = stream
        done_ns = stream.done_ns or 0
        pause = self._talk.pause(session.number)
        session.due_ns = done_ns + think_ns(self._thinks(pause), stream.arrival)
        # An answer that is no good frees its slot at done_ns, so in a closed loop it is understood at once.
        heapq.heappush(self._waiting, (session.due_ns if session.slot is None else done_ns, session.number))
        self._rearm()

    def closed(self, stream: Stream, outcome: str) -> None:
        """A response is understood. One that was not ok after all ends its session."""
        session = self._live.get(stream.arrival // self._most)
        if self._over or session is None or session.awaited is not stream:
            return
        session.awaited = None
        if outcome != "ok":
            self._leave(session, stream)
            return
        text = stream.answer.text(CONTENT) if stream.answer is not None else None
        if text is None:
            raise RuntimeError(f"request {stream.request_id}: its answer's text was to be kept, and was not")
        self._talk.heard(session.number, stream.prompt, text)
        self._ready(stream.arrival + 1, session.due_ns, session.slot)

    def _leave(self, session: _Session, stream: Stream) -> None:
        """The session's last answer came: in a closed loop its slot is free."""
        self._forget(session)
        if session.slot is not None:
            self._starts.left(stream)
        self._finish_if_spent()

    def _forget(self, session: _Session) -> None:
        if session.turn < session.turns:
            self._coming -= 1
        self._live.pop(session.number, None)
        self._talk.over(session.number)

    def _thinks(self, pause: Pause) -> Step:
        """The step with this pause as its think time, which is how ``think_ns`` takes it."""
        step = self._thinking.get(pause)
        if step is None:
            step = self._thinking[pause] = replace(self._step, think=pause)
        return step

    # -- the end -----------------------------------------------------------------------------------------------------------

    def _all_started(self, end_ns: int) -> None:
        """A step that ends by duration is over for all; one that ends by number waits for the turns of its sessions."""
        self._started = True
        if self._step.duration_ns < MANY:
            self._finish(end_ns)
        else:
            self._finish_if_spent()

    def _finish_if_spent(self) -> None:
        if self._started and self._coming == 0:
            self._finish(self._last_issue_ns + 1)

    def stop(self) -> None:
        """No more turns: what is not yet due gets no row."""
        if not self._over:
            self._finish(max(clock.monotonic_ns(), self._last_issue_ns))

    def _finish(self, end_ns: int) -> None:
        if self._over:
            return
        self._over = True
        self._pacer.rest()
        for number in list(self._live):
            self._talk.over(number)
        self._live.clear()
        self._waiting.clear()
        self._ended(end_ns)


class _Half:
    """What the issuer of session starts takes for its pacer: one of the two things that the real one waits for."""

    def __init__(self, moved: Callable[[], None]) -> None:
        self.due_ns = NEVER
        self._moved = moved
        self._source: Callable[[int], int] | None = None

    def follow(self, source: Callable[[int], int], first_ns: int) -> None:
        self._source = source
        self.at(first_ns)

    def at(self, due_ns: int) -> None:
        self.due_ns = due_ns
        self._moved()

    def rest(self) -> None:
        self._source = None
        self.at(NEVER)

    def fire(self, now_ns: int) -> None:
        self.due_ns = NEVER if self._source is None else self._source(now_ns)
