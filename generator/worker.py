"""``python -m generator.worker``: one process that sends, stamps and records its share of every step.

It is told what to do by JSON lines on standard input and answers on standard output; the first line holds the run folder,
its number and the secrets. When standard input ends the coordinator is gone: it cuts what is in flight, writes and leaves.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import orjson
import uvloop

from generator import clock, job, tripwires
from generator.counters import INDEX, Counters
from generator.credentials import resolve_plan
from generator.errors import OpenloopError
from generator.health import Garbage, LoopLag, health_row, p99
from generator.machine import raise_soft_limit
from generator.pacer import LEAD_NS, Pacer
from generator.probing import probe_workload, summary
from generator.recording import claim
from generator.recording.ledger import Ledger
from generator.recording.request_row import Redactor
from generator.recording.texts import TextKeeper
from generator.run_dir import RunDir
from generator.sending.desk import Desk
from generator.sending.step_run import StepRun
from generator.stream import Stream
from generator.transport.intake import HOLD_NS
from generator.transport.poller import LINGER_NS, Poller
from generator.workload import of_step

BREATHE_S = 0.05
HEALTH_S = 1.0
STALL_NS = 250_000_000
"""A beat that comes so late follows a stop of the process, not a busy turn."""


class Worker:
    """Wires the parts together and obeys the control pipe."""

    def __init__(self, run: RunDir, worker_id: int, secrets: dict[str, str], loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._run = run
        self._id = worker_id
        plan = job.load(job.Plan, run.plan_path.read_bytes())
        self._plan = resolve_plan(plan, secrets)
        self._counters = Counters(run.counters_path, plan.workers)
        self._row = self._counters.row(worker_id)
        claim.share(run)
        self._corrections: dict[str, job.Correction] = {}
        self._steps: dict[int, StepRun] = {}
        self._current: StepRun | None = None
        self._following: tuple[int, int] | None = None
        self._probes: list[tuple[Stream, str]] = []
        self._probe_done = asyncio.Event()
        self._over = asyncio.Event()
        self._offset = clock.Offset()
        self._pacer = Pacer(LEAD_NS if plan.transport == "socket" else 0)
        self._poller = Poller(loop, self._pacer, LINGER_NS if plan.transport == "socket" else 0)
        self._ledger = Ledger(self._trouble)
        redactor = Redactor(list(secrets.values()))
        keeper = None
        if plan.texts.keep != "none":
            keeper = TextKeeper(plan.texts, plan.run_id, plan.workers, redactor, self._note)
        self._desk = Desk(
            self._plan,
            worker_id,
            self._row,
            self._ledger,
            redactor,
            self._pacer,
            self._poller,
            self._offset,
            loop,
            self._left,
            self._closed,
            keeper,
            tripwires.opened(run.tripwires_path, plan),
        )
        # The loop has work of its own only where its sockets are the loop's.
        self._lag = LoopLag(loop) if plan.transport == "aiohttp" else None
        self._garbage = Garbage()
        self._swept_ns = 0
        self._probing: asyncio.Task[None] | None = None
        loop.set_exception_handler(self._fault)

    # -- control -------------------------------------------------------------------------------------------------------------

    async def run(self, control: asyncio.StreamReader) -> None:
        """Until told to finish, or until the control pipe ends."""
        for transport in self._desk.transports.values():
            await transport.start()
        await self._ledger.start(self._run, self._id, self._plan)
        self._garbage.freeze()
        self._breathe()
        self._health()
        self._say("ready")
        reading = self._loop.create_task(self._obey_all(control))
        await self._over.wait()
        reading.cancel()
        await self._leave()

    async def _obey_all(self, control: asyncio.StreamReader) -> None:
        while line := await control.readline():
            order = orjson.loads(line)
            try:
                self._obey(order)
            except OpenloopError as e:
                self._say("error", message=str(e))
            except Exception as e:  # noqa: BLE001 - whatever it is, the coordinator must not wait for it for ever
                self._fault(self._loop, {"message": f"order {order['op']!r}", "exception": e})
        self._over.set()

    def _obey(self, order: dict[str, Any]) -> None:
        match order["op"]:
            case "probe":
                # A task of its own: a target that does not answer must not keep the orders that follow waiting.
                self._probing = self._loop.create_task(self._probe())
            case "correct":
                self._corrections = {n: job.load(job.Correction, orjson.dumps(c)) for n, c in order["targets"].items()}
            case "prepare":
                self._prepare(int(order["step_id"]))
            case "start":
                self._start(int(order["step_id"]), int(order["start_ns"]))
            case "stop":
                self._stop_issuing()
            case "cut":
                self._desk.cancel(order.get("step_id"), str(order["why"]))
                self._poller.wake()
            case "finish":
                self._over.set()
            case unknown:
                raise ValueError(f"control: unknown op {unknown!r}")

    def _fault(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An exception that nobody expected, in a callback or a task: a fault of ours, which must not pass for the target's; or an error that
        a person can mend and that showed late, as a length that cannot be had."""
        fault = context.get("exception")
        if isinstance(fault, OpenloopError):
            self._say("error", message=str(fault), exit_code=fault.exit_code)
            return
        loop.default_exception_handler(context)
        what = repr(context.get("exception") or context.get("message"))
        self._say("error", message=f"worker {self._id} failed: {what}; see {self._run.log_path}", exit_code=1)

    def stop_soon(self) -> None:
        """SIGTERM: as if the coordinator had gone."""
        self._over.set()

    async def _leave(self) -> None:
        if self._probing is not None:
            self._probing.cancel()
        self._stop_issuing()
        self._desk.cancel(None, "end")
        self._desk.intake.flush()
        for transport in self._desk.transports.values():
            await transport.close()
        self._ledger.health(self._health_row())
        if self._lag is not None:
            self._lag.stop()
        await self._ledger.close()
        self._poller.close()
        self._say("bye")

    def _say(self, event: str, **facts: Any) -> None:
        try:
            sys.stdout.buffer.write(orjson.dumps({"event": event, "worker": self._id, **facts}) + b"\n")
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            self._over.set()

    def _trouble(self, message: str) -> None:
        """From the recorder process."""
        self._say("trouble", message=message)

    def _note(self, message: str) -> None:
        """Worth telling; the run goes on."""
        self._say("note", message=message)

    # -- probe ---------------------------------------------------------------------------------------------------------------

    async def _probe(self) -> None:
        """A few requests to each target, one after another, before any step."""
        number = 0
        told: dict[str, list[dict[str, Any]]] = {}
        for name, target in self._plan.targets.items():
            step = next((a for s in self._plan.steps for a in s.alone() if a.target == name), None)
            if step is None:
                continue
            self._probes = []
            for i in range(self._plan.probe):
                number += 1
                self._probe_done.clear()
                self._desk.probe(target, probe_workload(step, self._run, i, self._plan.probe), number)
                self._poller.wake()
                await self._probe_done.wait()
            told[name] = [summary(stream, outcome) for stream, outcome in self._probes]
        self._say("probed", targets=told)

    # -- steps ---------------------------------------------------------------------------------------------------------------

    def _prepare(self, step_id: int) -> None:
        step = self._plan.steps[step_id]
        workload = of_step(step, self._run, self._corrections)
        self._steps[step_id] = StepRun(
            step,
            workload,
            self._id,
            self._plan.workers,
            self._run,
            self._desk,
            self._counters,
            self._pacer,
            self._issued,
        )
        self._say("prepared", step_id=step_id)

    def _start(self, step_id: int, start_ns: int) -> None:
        if self._current is not None and self._current.end_ns is None:
            self._following = (step_id, start_ns)  # on time: at the instant at which the one before it ends
            return
        self._garbage.full()
        self._begin(step_id, start_ns)

    def _begin(self, step_id: int, start_ns: int) -> None:
        self._current = self._steps[step_id]
        self._row[INDEX["step_id"]] = step_id
        self._row[INDEX["step_issued"]] = 0
        self._row[INDEX["step_done"]] = 0
        self._current.begin(start_ns)

    def _issued(self, this: StepRun) -> None:
        self._say("issued", step_id=this.step.step_id, end_ns=this.end_ns, offered=this.offered)
        self._tell_drained(this)
        if self._following is not None:
            following, self._following = self._following, None
            self._begin(*following)

    def _stop_issuing(self) -> None:
        """Also of a step that was announced: the one before it, ended, begins it."""
        while self._current is not None and self._current.end_ns is None:
            self._current.stop()

    def _left(self, stream: Stream) -> None:
        self._steps[stream.step_id].left(stream)

    def _closed(self, stream: Stream, outcome: str) -> None:
        if stream.step is None:
            self._probes.append((stream, outcome))
            self._probe_done.set()
        else:
            this = self._steps[stream.step_id]
            this.closed(stream, outcome)
            self._tell_drained(this)

    def _tell_drained(self, this: StepRun) -> None:
        if this.drained and not this.told_drained:
            this.told_drained = True
            self._say("drained", step_id=this.step.step_id, t_ns=clock.monotonic_ns())
            del self._steps[this.step.step_id]

    # -- several times a second ------------------------------------------------------------------------------------------

    def _breathe(self) -> None:
        if self._over.is_set():
            return  # nothing is issued any more: a later beat would make arrivals after it count as lost
        now_ns = clock.monotonic_ns()
        queue = self._desk.intake.queue
        stalled = now_ns - self._row[INDEX["heartbeat_ns"]] > STALL_NS
        self._row[INDEX["heartbeat_ns"]] = now_ns
        # After a stall, what waits in the kernel is read before time limits are held against it.
        if now_ns - self._swept_ns >= self._desk.sweep_s * 1e9 and not stalled:
            self._swept_ns = now_ns
            self._desk.sweep(now_ns)
        if queue:
            self._poller.wake()  # held bytes become due although no socket may be ready
        self._row[INDEX["tokens"]] = self._ledger.tokens
        self._ledger.breathe(now_ns)
        self._garbage.breathe(now_ns, idle=not queue or now_ns - queue[0].queued_ns < HOLD_NS)
        self._loop.call_later(min(BREATHE_S, self._desk.sweep_s), self._breathe)

    def _health(self) -> None:
        self._offset.recheck()
        self._ledger.health(self._health_row())
        if not self._over.is_set():
            self._loop.call_later(HEALTH_S, self._health)

    def _health_row(self) -> tuple[Any, ...]:
        transports = list(self._desk.transports.values())
        lags = [lag for t in transports for lag in t.take_read_lags_ns()]
        self._row[INDEX["tokens"]] = self._ledger.tokens
        return health_row(
            self._run.run_id,
            self._id,
            self._row,
            gc_ns=self._garbage.ns,
            loop_lag_ns_p99=p99(self._poller.take_lags_ns() if self._lag is None else self._lag.take()),
            read_lag_ns_p99=p99(lags),
            clock_offset_ns=self._offset.ns,
            clock_steps=self._offset.steps,
            awake_ns=self._poller.awake_ns,
            process_stamps=sum(t.process_stamps for t in transports),
            reads=sum(t.reads for t in transports),
            undecoded_bytes=sum(s.pending_bytes for s in self._desk.in_flight),
        )


async def _serve(loop: asyncio.AbstractEventLoop, first: dict[str, Any]) -> None:
    control = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(control), os.fdopen(0, "rb", buffering=0))
    worker = Worker(RunDir(Path(first["run_dir"])), int(first["worker_id"]), first["secrets"], loop)
    loop.add_signal_handler(signal.SIGTERM, worker.stop_soon)
    await worker.run(control)


def _first_line() -> bytes:
    """Unbuffered, so that nothing after the line is taken from the pipe."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            break
        line += byte
    return line


def main() -> int:
    """0 when it left as told; errors that a person can mend go up the control pipe."""
    first = orjson.loads(_first_line())
    raise_soft_limit()
    if first.get("cpu") is not None:
        os.sched_setaffinity(0, {int(first["cpu"])})
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(_serve(loop, first))
    except OpenloopError as e:
        message = {"event": "fatal", "worker": first["worker_id"], "message": str(e), "exit_code": e.exit_code}
        sys.stdout.buffer.write(orjson.dumps(message) + b"\n")
        sys.stdout.buffer.flush()
        return e.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
