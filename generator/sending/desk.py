"""A worker's desk: makes each request, hands it to its target's transport, watches its time limits, records its end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from itertools import count

from generator import clock
from generator.apis import table
from generator.apis.api import Call
from generator.charge import charge
from generator.counters import INDEX
from generator.job import Plan, Step, Target
from generator.pacer import Pacer
from generator.recording.ledger import Ledger
from generator.recording.request_row import Redactor, request_row
from generator.recording.texts import TextKeeper
from generator.schema import REQUESTS_A_STEP
from generator.sending.cancelling import ERROR_TYPE, Cancelling, Lots
from generator.stream import Stream
from generator.transport.intake import HOLD_NS, Intake
from generator.transport.poller import Poller
from generator.transport.socket import SocketTransport
from generator.transport.transport import Transport
from generator.tripwires import Tripwires
from generator.workload import Prompt, Workload

_LATE = ((1_000_000, INDEX["late_1ms"]), (10_000_000, INDEX["late_10ms"]), (100_000_000, INDEX["late_100ms"]))
_ISSUED = INDEX["issued"]
_SENT = INDEX["sent"]
_IN_FLIGHT = INDEX["in_flight"]
_STEP_ISSUED = INDEX["step_issued"]
_STEP_ID = INDEX["step_id"]
_SPENT = INDEX["spent_nano_usd"]
_GUESSED = INDEX["guessed_nano_usd"]
_HOLD_S = 2 * HOLD_NS / 1e9


class Desk:
    """All requests in flight in this worker. ``on_left`` is told of each response's end at once, for closed loops;
    ``on_closed`` of each recorded request."""

    def __init__(
        self,
        plan: Plan,
        worker_id: int,
        counters: memoryview,
        ledger: Ledger,
        redactor: Redactor,
        pacer: Pacer,
        poller: Poller,
        offset: clock.Offset,
        loop: asyncio.AbstractEventLoop,
        on_left: Callable[[Stream], None],
        on_closed: Callable[[Stream, str], None],
        texts: TextKeeper | None = None,
        tripwires: Tripwires | None = None,
    ) -> None:
        self._plan = plan
        self._worker_id = worker_id
        self._counters = counters
        self._ledger = ledger
        self._redactor = redactor
        self._on_left = on_left
        self._on_closed = on_closed
        self._texts = texts
        self._tripwires = tripwires
        self.in_flight: set[Stream] = set()
        self.unrecorded: Counter[int] = Counter()
        self._apis = {name: table.make(target) for name, target in plan.targets.items()}
        self.intake = Intake(self._apis, ledger.sink, counters, pacer, self._left, self._closed, self._drop)
        poller.intake = self.intake
        self._gathering = poller.gathering
        self._lots = Lots()
        self._cancelling = Cancelling(loop, self.intake, pacer, self._give_up)
        self.transports: dict[str, Transport] = {}
        ids = count(1)
        for name, target in plan.targets.items():
            api = self._apis[name]
            if plan.transport == "aiohttp":
                # Late: most runs do without its 0.8 s.
                from generator.transport.aiohttp import AiohttpTransport

                self.transports[name] = AiohttpTransport(target, api, plan.run_id, poller, loop, ids)
            else:
                self.transports[name] = SocketTransport(target, api, plan.run_id, poller, offset, loop, ids)
        limits = [t.timeouts for t in plan.targets.values()]
        shortest_s = min(min(t.connect_s, t.first_token_s, t.idle_s, t.total_s) for t in limits)
        self.sweep_s = min(0.5, max(0.02, shortest_s / 10))

    # -- sending -----------------------------------------------------------------------------------------------------------

    def make(
        self, step: Step, workload: Workload, arrival: int, scheduled_ns: int, start_ns: int, slot: int | None
    ) -> Stream:
        """A request, ready to go: all that can be done before its time."""
        phase = "warmup" if scheduled_ns < start_ns + step.warmup_ns else "main"
        request_id = step.step_id * REQUESTS_A_STEP + arrival
        prompt = workload.prompt(arrival)
        target = self._plan.targets[(prompt.spec or step.workload).target or step.target]
        return self._make(target, step, request_id, arrival, scheduled_ns, prompt, phase, slot)

    def launch(self, stream: Stream, step: Step, over_cap: bool) -> bool:
        """Take an arrival and send it; or, where as much is in flight as may be, drop it and give False."""
        stream.issued_ns = issued_ns = clock.monotonic_ns()
        counters = self._counters
        late_ns = issued_ns - stream.scheduled_ns
        for limit_ns, index in _LATE:
            if late_ns <= limit_ns:
                break
            counters[index] += 1
        if over_cap:
            counters[INDEX["dropped"]] += 1
            self._ledger.request(request_row(stream, "dropped", self._plan.run_id, self._worker_id, self._redactor))
            if self._tripwires is not None:
                self._tripwires.closed(stream, "dropped", self._worker_id)
            return False
        if counters[_STEP_ID] == step.step_id:
            counters[_STEP_ISSUED] += 1
        self._send(stream)
        return True

    def probe(self, target: Target, workload: Workload, number: int) -> None:
        """Send probe ``number`` (from 1) of the run: request_id −number, outside every step."""
        prompt = workload.prompt(REQUESTS_A_STEP - number)
        stream = self._make(target, None, -number, number, clock.monotonic_ns(), prompt, "probe", None)
        stream.issued_ns = stream.scheduled_ns
        self._send(stream)

    def _make(
        self,
        target: Target,
        step: Step | None,
        request_id: int,
        arrival: int,
        scheduled_ns: int,
        prompt: Prompt,
        phase: str,
        slot: int | None,
    ) -> Stream:
        spec = prompt.spec or (step.workload if step is not None else None)
        call = Call(
            target.model,
            prompt.text,
            prompt.output_tokens,
            target.stream,
            target.max_tokens_field,
            target.body if spec is None or not spec.exact_output else target.body | target.exact_body,
            prompt.messages,
            prompt.record,
        )
        encoded = self._apis[target.name].encode(call)
        stream = Stream(
            self.intake, target, step, request_id, arrival, scheduled_ns, prompt, call, encoded, phase, slot
        )
        if spec is not None and spec.cancel is not None and step is not None:
            stream.cancel = spec.cancel if self._lots.hit(spec.cancel, step.seed, arrival) else None
        stream.keep_text = prompt.keep_text or (self._texts is not None and self._texts.wants(step, arrival))
        return stream

    def _send(self, stream: Stream) -> None:
        counters = self._counters
        counters[_ISSUED] += 1
        counters[_IN_FLIGHT] += 1
        self.in_flight.add(stream)
        self.unrecorded[stream.step_id] += 1
        stream.in_flight = len(self.in_flight)
        if self._tripwires is not None:
            self._tripwires.sent(stream, self._worker_id)
        self.transports[stream.target.name].send(stream)
        counters[_SENT] += 1
        if stream.cancel is not None:
            self._cancelling.follow(stream)

    # -- ends --------------------------------------------------------------------------------------------------------------

    def _left(self, stream: Stream) -> None:
        self.in_flight.discard(stream)
        self._gathering.left(stream)
        if stream.step is not None:
            self._on_left(stream)

    def _closed(self, stream: Stream, outcome: str) -> None:
        texts = self._texts
        # A conversation keeps texts for its next turn, whether or not they are to be recorded.
        if stream.keep_text and texts is not None and texts.wants(stream.step, stream.arrival):
            row = texts.row(stream)
            if row is not None:
                self._ledger.text(row)
        self._ledger.request(request_row(stream, outcome, self._plan.run_id, self._worker_id, self._redactor))
        self.unrecorded[stream.step_id] -= 1
        spent, guessed = charge(stream)
        self._counters[_SPENT] += spent
        self._counters[_GUESSED] += guessed
        if self._tripwires is not None:
            self._tripwires.closed(stream, outcome, self._worker_id)
        self._on_closed(stream, outcome)

    def _give_up(self, stream: Stream, message: str, now_ns: int) -> None:
        self._drop(stream)
        stream.failed("cancelled", ERROR_TYPE, message, now_ns)

    def _drop(self, stream: Stream) -> None:
        self.transports[stream.target.name].drop(stream)

    def cancel(self, step_id: int | None, why: str) -> None:
        """Cut everything in flight, of one step or of all."""
        now_ns = clock.monotonic_ns()
        for stream in [s for s in self.in_flight if step_id is None or s.step_id == step_id]:
            self._drop(stream)
            stream.failed("cancelled", why, f"cut by the {why}", now_ns)

    def sweep(self, now_ns: int) -> None:
        """Time limits of everything in flight, as far as it is decoded; and the transports' idle connections."""
        for stream in [s for s in self.in_flight if expired(s, now_ns)]:
            limit, seconds = expired(stream, now_ns) or ("", 0.0)
            self._drop(stream)
            stream.failed("timeout", limit, f"no {_WANTED[limit]} within {seconds:g} s", now_ns)
        for transport in self.transports.values():
            transport.sweep(now_ns)


_WANTED = {"connect": "connection", "first_token": "first token", "idle": "further byte", "total": "end of the answer"}


def expired(stream: Stream, now_ns: int) -> tuple[str, float] | None:
    """Which limit a stream has passed, and what it was in seconds; None while it is within all."""
    limits = stream.target.timeouts
    age_s = (now_ns - stream.issued_ns) / 1e9
    if age_s > limits.total_s:
        return "total", limits.total_s
    if stream.sent_ns is None:
        connecting_s = (now_ns - (stream.resent_ns or stream.issued_ns)) / 1e9
        return ("connect", limits.connect_s) if connecting_s > limits.connect_s else None
    if not stream.call.stream:
        return None
    if stream.decoder is None or stream.decoder.answer.last_row_ns is None:
        # A token may have been read that is not decoded yet.
        age_s -= _HOLD_S if stream.pending else 0.0
        return ("first_token", limits.first_token_s) if age_s > limits.first_token_s else None
    silent_s = (now_ns - (stream.last_byte_ns or now_ns)) / 1e9
    return ("idle", limits.idle_s) if silent_s > limits.idle_s else None
