"""One step on one worker: which issuer decides what is due, its requests made ahead of their time, and how far it is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from generator.counters import Counters
from generator.job import Step
from generator.pacer import Pacer
from generator.run_dir import RunDir
from generator.schedule import shard
from generator.sending.desk import Desk
from generator.sending.issuer import ClosedIssuer, Ended, Issuer, Launch, OpenIssuer
from generator.sending.sessions import SessionIssuer
from generator.stream import Stream
from generator.workload import Conversations, Workload


class StepRun:
    """``on_ended`` is told once, when issuing is over: ``end_ns`` is known from then on. ``offered`` counts what was due by then."""

    def __init__(
        self,
        step: Step,
        workload: Workload,
        worker: int,
        workers: int,
        run: RunDir,
        desk: Desk,
        counters: Counters,
        pacer: Pacer,
        on_ended: Callable[[StepRun], None],
    ) -> None:
        self.step = step
        self.offered = 0
        self.end_ns: int | None = None
        self.told_drained = False
        self._workload = workload
        self._worker = worker
        self._workers = workers
        self._run = run
        self._desk = desk
        self._on_ended = on_ended
        self._counters = counters
        self._cap = None if step.closed else step.max_in_flight
        self._start_ns = 0
        self._ready: dict[int, Stream] = {}
        self._sessions: SessionIssuer | None = None
        if isinstance(workload, Conversations):
            self._sessions = SessionIssuer(
                step, workload, pacer, self._starting, self._make, self._send, desk.intake.relieve, self._ended
            )
        self._issuer = self._sessions or self._starting(pacer, self._launch, self._ended)

    @property
    def drained(self) -> bool:
        """Nothing is to come, and all that was sent is recorded."""
        return self.end_ns is not None and self._desk.unrecorded[self.step.step_id] == 0

    def begin(self, start_ns: int) -> None:
        self._start_ns = start_ns
        self._issuer.begin(start_ns)

    def stop(self) -> None:
        self._issuer.stop()

    def left(self, stream: Stream) -> None:
        """Its response is over; its bytes may still wait to be understood."""
        self._issuer.left(stream)

    def closed(self, stream: Stream, outcome: str) -> None:
        """It is understood and recorded."""
        if self._sessions is not None:
            self._sessions.closed(stream, outcome)

    def _starting(self, pacer: Pacer, launch: Launch, ended: Ended) -> Issuer:
        """What decides when requests are due, or sessions where the step has conversations."""
        step = self.step
        if step.closed:
            return ClosedIssuer(step, self._worker, self._workers, pacer, launch, ended)
        arrivals = np.load(self._run.arrivals_path(step.step_id), mmap_mode="r")
        numbers, offsets = shard(arrivals, self._worker, self._workers)
        # Views give plain ints without a list of them: steps that follow without a gap are all prepared before the first.
        return OpenIssuer(step, numbers.data, offsets.data, pacer, self._prepare, launch, ended)

    def _prepare(self, number: int, scheduled_ns: int) -> None:
        # A schedule of sessions counts sessions, whose first turn is this arrival.
        self._make(number * (self.step.turns or 1), scheduled_ns, None)

    def _make(self, arrival: int, scheduled_ns: int, slot: int | None) -> None:
        self._ready[arrival] = self._desk.make(self.step, self._workload, arrival, scheduled_ns, self._start_ns, slot)

    def _launch(self, arrival: int, scheduled_ns: int, slot: int | None) -> None:
        self._send(arrival, scheduled_ns, slot)

    def _send(self, arrival: int, scheduled_ns: int, slot: int | None) -> bool:
        self.offered += 1
        if arrival not in self._ready:
            self._make(arrival, scheduled_ns, slot)
        # The cap is the run's: what all workers have in flight, as each tells in its counters.
        over = self._cap is not None and self._counters.total("in_flight") >= self._cap
        return self._desk.launch(self._ready.pop(arrival), self.step, over)

    def _ended(self, end_ns: int) -> None:
        self.end_ns = end_ns
        self._on_ended(self)
