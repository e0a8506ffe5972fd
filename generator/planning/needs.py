"""What a plan asks of the machine and of the purse, against what there is: figures, warnings, and the errors that stop a run."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from generator.errors import MachineError
from generator.job import MANY, Length, Plan, Step
from generator.machine import TIME_WAIT_S, Machine
from generator.planning import needs_mix
from generator.workload import lengths
from generator.workload.synthetic import CODE_WORDS

SPARE_DESCRIPTORS = 64
"""Of a worker beside its connections: files, pipes, the event loop, name look-ups."""

WORKER_BYTES = 150_000_000
"""Resident memory of a worker and its recorder before the first request: 77 MB each, with Python 3.11 on x86-64."""

ASSUMED_LATENCY_S = 10.0
"""How long an answer is held to take where only the rate is known; a warning says so."""

ASSUMED_SHORTEST_S = 0.1
"""How short the answers of a closed loop are held to be when its ports in TIME_WAIT are counted."""

ENOUGH_FOR_P99 = 299
"""From here on the one-sided 95 % bound of a p99 is finite: 0.99²⁹⁹ < 0.05."""


@dataclass(frozen=True, slots=True)
class StepNeeds:
    """None where the target decides: how many requests a closed loop makes in its time, or how long a number of them takes.
    ``in_flight`` is ``assumed`` where only the rate is known.
    """

    step_id: int
    requests: int | None
    duration_s: float | None
    input_tokens: float | None
    output_tokens: float | None
    in_flight: int
    assumed: bool


@dataclass(frozen=True, slots=True)
class Needs:
    """Of the busiest step: ``descriptors`` of one worker, ``ports`` towards one remote address with those in TIME_WAIT. Totals are
    None where a step's figure is.
    """

    steps: tuple[StepNeeds, ...]
    descriptors: int
    ports: int
    requests: int | None
    duration_s: float | None
    input_tokens: float | None
    output_tokens: float | None


def of(plan: Plan, arrivals: dict[int, NDArray[np.int64]], traced: dict[int, NDArray[np.int32]]) -> Needs:
    """``arrivals`` and ``traced`` as in ``plan.Planned``."""
    steps = tuple(_of_step(s, arrivals.get(s.step_id), traced.get(s.step_id)) for s in plan.steps)
    requests = _total([s.requests for s in steps])
    return Needs(
        steps=steps,
        descriptors=max(-(-s.in_flight // plan.workers) for s in steps) + SPARE_DESCRIPTORS,
        ports=max(_ports(plan, step, s) for step, s in zip(plan.steps, steps, strict=True)),
        requests=None if requests is None else round(requests),
        duration_s=_total([s.duration_s for s in steps]),
        input_tokens=_total([s.input_tokens for s in steps]),
        output_tokens=_total([s.output_tokens for s in steps]),
    )


def check(plan: Plan, needs: Needs, machine: Machine) -> None:
    """Raises MachineError where a known number of connections cannot be held even at the hard limits. What is assumed only warns."""
    if machine.memory_bytes is not None and plan.workers * WORKER_BYTES > machine.memory_bytes:
        raise MachineError(
            f"{plan.workers} workers need about {plan.workers * WORKER_BYTES / 2**30:.1f} GiB of memory before they send anything; "
            f"{machine.memory_bytes / 2**30:.1f} GiB can be had; use fewer --workers (more than processors help nobody)"
        )
    for step, wanted in zip(plan.steps, needs.steps, strict=True):
        each = -(-wanted.in_flight // plan.workers) + SPARE_DESCRIPTORS
        if not wanted.assumed and each > machine.descriptors_hard:
            raise MachineError(
                f"step {step.name!r} needs {each:,} descriptors in each of {plan.workers} workers; the hard limit is "
                f"{machine.descriptors_hard:,}; raise it (ulimit -Hn), use more --workers, or less concurrency"
            )
        if not wanted.assumed and wanted.in_flight > machine.ports and _one_address(plan.target_of(step).url):
            raise MachineError(
                f"step {step.name!r} needs {wanted.in_flight:,} ports towards one address; the range has {machine.ports:,}; "
                "widen net.ipv4.ip_local_port_range, or use less concurrency"
            )


def warnings(plan: Plan, needs: Needs, machine: Machine) -> list[str]:
    """What may spoil the run, most general first; steps alike are named together."""
    found = [w for target in plan.targets.values() for w in _proxy(plan, target.url, target.proxy)]
    if needs.descriptors > machine.descriptors_hard:
        found.append(
            f"about {needs.descriptors:,} descriptors a worker may be needed if answers take {ASSUMED_LATENCY_S:.0f} s; the hard "
            f"limit is {machine.descriptors_hard:,}; set max_in_flight or use more workers"
        )
    room = machine.ports - machine.ports_in_time_wait
    if needs.ports > room:
        found.append(
            f"about {needs.ports:,} local ports may be needed, those in TIME_WAIT ({TIME_WAIT_S} s each) included; {room:,} are free; "
            "connections: reuse needs fewer"
        )
    if plan.workers > machine.cpus:
        found.append(f"{plan.workers} workers share {machine.cpus:g} processors; sends may be late")
    if plan.probe == 0 and any(a.workload.dataset is None for s in plan.steps for a in s.alone()):
        found.append("probe: 0 leaves out what corrects the length of prompts; wanted and reported lengths will differ")
    found += of_loads(plan, needs)
    alone = [a for s in plan.steps for a in s.alone()]
    short = [a for a in alone if _least(a.workload.input_tokens) < CODE_WORDS + a.workload.shared_prefix_tokens]
    if short:
        found.append(
            f"prompts may be too short to be unlike each other, and a prefix cache may answer: {_names(short)}"
        )
    return found


def of_loads(plan: Plan, needs: Needs) -> list[str]:
    """Those that rest on how much the single steps send, and say nothing of a plan whose loads are only examples."""
    found = []
    few = [
        s
        for s, n in zip(plan.steps, needs.steps, strict=True)
        # A block is a part: what a comparison has enough of is told where it is made.
        if n.requests is not None and n.requests < ENOUGH_FOR_P99 and s.block is None
    ]
    if few:
        found.append(f"too few requests for a p99 with a bound ({ENOUGH_FOR_P99} at least): {_names(few)}")
    idle = [s for s in plan.steps if s.closed and s.requests < max(s.concurrency or 0, s.concurrency_end or 0)]
    if idle:
        found.append(f"fewer requests than slots, so some slots send nothing: {_names(idle)}")
    empty = [s for s, n in zip(plan.steps, needs.steps, strict=True) if n.requests == 0]
    if empty:
        found.append(f"no arrival falls into {_names(empty)}: lengthen it or raise its rate")
    return found


def _names(steps: Sequence[Step]) -> str:
    names = list(dict.fromkeys(f"{s.name} [{s.cell}]" if s.cell else s.name for s in steps))
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _total(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) if len(known) == len(values) else None


def _of_step(step: Step, arrivals: NDArray[np.int64] | None, traced: NDArray[np.int32] | None) -> StepNeeds:
    several = bool(step.mix) or step.turns is not None
    planned = needs_mix.requests(step) if several else step.planned_arrivals
    requests = None if planned is None else round(planned)
    if step.closed:
        in_flight = max(step.concurrency or 0, step.concurrency_end or 0)
    elif step.max_in_flight is not None:
        in_flight = step.max_in_flight
    else:
        in_flight = 0 if arrivals is None else _busiest(arrivals, step.turns_mean or step.turns or 1)
    duration_ns: float | None = step.duration_ns
    if duration_ns == MANY:
        duration_ns = None if arrivals is None else int(arrivals[-1]) if len(arrivals) else 0
        if step.turns is not None:
            duration_ns = None  # the last turns wait for answers
    sides = ((step.workload.input_tokens, 0), (step.workload.output_tokens, 1))
    input_tokens, output_tokens = (_tokens(length, requests, traced, column) for length, column in sides)
    if several:
        input_tokens, output_tokens = needs_mix.tokens(step, "input"), needs_mix.tokens(step, "output")
    return StepNeeds(
        step_id=step.step_id,
        requests=requests,
        duration_s=None if duration_ns is None else (duration_ns + step.pause_ns) / 1e9,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        in_flight=in_flight,
        assumed=not step.closed and step.max_in_flight is None,
    )


def _busiest(arrivals: NDArray[np.int64], turns: float) -> int:
    """Most arrivals within one assumed latency, or within those of all turns: those in flight together if every answer takes that long."""
    ends = np.searchsorted(arrivals, arrivals + int(turns * ASSUMED_LATENCY_S * 1e9))
    return int((ends - np.arange(len(arrivals))).max(initial=0))


def _tokens(length: Length | None, requests: int | None, traced: NDArray[np.int32] | None, column: int) -> float | None:
    if length is None or requests is None:
        return None
    if length.law == "trace":
        return None if traced is None else float(traced[:, column].sum(dtype=np.int64))
    return lengths.mean(length) * requests


def _least(length: Length | None) -> float:
    if length is None or length.law == "trace":
        return float("inf")
    return length.value if length.law == "fixed" else length.low


def _ports(plan: Plan, step: Step, wanted: StepNeeds) -> int:
    """Connections open together, and with one a request those of the last minute, too."""
    if plan.target_of(step).connections == "reuse" or wanted.duration_s == 0:
        return wanted.in_flight
    window_s = TIME_WAIT_S if wanted.duration_s is None else min(TIME_WAIT_S, wanted.duration_s)
    if wanted.requests is None or wanted.duration_s is None:
        waiting = wanted.in_flight * window_s / ASSUMED_SHORTEST_S
        return wanted.in_flight + round(min(waiting, wanted.requests or waiting))
    return wanted.in_flight + round(wanted.requests * window_s / wanted.duration_s)


def _one_address(url: str) -> bool:
    """Whether the URL surely leads to one address: the built-in endpoint, an IP literal, or localhost."""
    host = urlsplit(url).hostname or url
    return host in ("simulator", "localhost") or ":" in host or host.replace(".", "").isdecimal()


def _proxy(plan: Plan, url: str, proxy: str | None) -> list[str]:
    """A proxy of the environment that this run does not use, though most clients would."""
    parts = urlsplit(url)
    if proxy is not None or not parts.hostname or _bypassed(parts.hostname):
        return []
    ignored = urllib.request.getproxies_environment().get(parts.scheme)
    if ignored is None:
        return []
    name = f"{parts.scheme.upper()}_PROXY"
    fix = "set proxy (and transport: aiohttp) to use it" if plan.transport == "socket" else "set proxy to use it"
    return [f"{name} is set and ignored: requests to {parts.hostname} go straight there; {fix}"]


def _bypassed(host: str) -> bool:
    """Whether NO_PROXY names the host, or a domain that it is in."""
    names = (os.environ.get("no_proxy") or os.environ.get("NO_PROXY", "")).replace(" ", "").split(",")
    return any(name in ("*", host) or (name and host.endswith("." + name.lstrip("."))) for name in names)
