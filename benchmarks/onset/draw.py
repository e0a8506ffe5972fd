"""Drawn at random: a limiter, what its requests charge, how its network wavers, and a staircase that somebody might try on it."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.onset.reference import Bucket, FixedWindow, InFlight, Reference, SlidingLog

Floats = npt.NDArray[np.float64]

CHARGES = ("requests", "input", "input+max_tokens", "max(max_tokens,input)", "actual")
LAWS = ("concurrency", "token bucket", "sliding window", "fixed window")


@dataclass(frozen=True)
class Limit:
    """The truth. ``refill``: units a second in the long run, NaN for concurrency; ``size`` in units of ``charge``."""

    law: str
    charge: str
    size: float
    refill: float
    window_s: float | None = None
    phase_s: float | None = None

    def reference(self) -> Reference:
        if self.law == "concurrency":
            return InFlight(int(self.size))
        if self.law == "token bucket":
            return Bucket(self.size, self.refill)
        assert self.window_s is not None
        if self.law == "sliding window":
            return SlidingLog(self.size, self.window_s)
        return FixedWindow(self.size, self.window_s, self.phase_s)


@dataclass(frozen=True)
class Traffic:
    """Requests in the order of sending, times in s from the first step on; ``steps``: (offered rate, start, end) of each."""

    sent_s: Floats
    step: npt.NDArray[np.int64]
    steps: list[tuple[float, float, float]]
    input_tokens: npt.NDArray[np.int64]
    max_tokens: npt.NDArray[np.int64]
    output_tokens: npt.NDArray[np.int64]
    way_s: Floats
    service_s: Floats

    def charge(self, rule: str) -> Floats:
        given, most, out = self.input_tokens, self.max_tokens, self.output_tokens
        if rule == "requests":
            return np.ones(len(given))
        table = {"input": given, "input+max_tokens": given + most, "max(max_tokens,input)": np.maximum(given, most)}
        return (table | {"actual": given + out})[rule].astype(np.float64)


def limit_and_traffic(rng: np.random.Generator, law: str, charge: str, window_s: float) -> tuple[Limit, Traffic, str]:
    """A limiter of that law and charge, traffic that passes its onset, and in words how the network wavers."""
    lengths = rng.uniform(100, 1500), rng.uniform(50, 500)
    rate = float(np.exp(rng.uniform(np.log(2), np.log(30))))  # admitted requests a second, about
    service_s = float(rng.uniform(0.2, 3.0))
    jitter_s = float(np.exp(rng.uniform(np.log(0.0005), np.log(0.05))))
    each = mean_charge(lengths, charge)
    if law == "concurrency":
        size = float(rng.integers(3, 60))
        limit, rate = Limit(law, "requests", size, float("nan")), size / service_s
    elif law == "token bucket":
        refill = rate * each
        limit = Limit(
            law, charge, max(refill * rng.uniform(0.3, 8), 1.5 * each if charge == "requests" else 6 * each), refill
        )
        limit = limit if charge != "requests" else Limit(law, charge, float(round(limit.size)), refill)
    else:
        # The longest requests must fit.
        size = max(round(rate * window_s * each), 3 if charge == "requests" else round(6 * each))
        rate = size / window_s / each
        phase = float(rng.uniform(0, window_s)) if rng.random() < 0.5 else None
        limit = Limit(law, charge, size, size / window_s, window_s, phase if law == "fixed window" else None)
    drain_s = min(limit.size / limit.refill if law == "token bucket" else window_s, 60) if law != "concurrency" else 1
    about = rate * float(rng.uniform(0.85, 1.2))  # who tries does not know it
    length_s = max(25.0, 1.5 * drain_s, 200 / about)
    steps, at = [], 0.0
    for share in (0.5, 0.7, 0.85, 1.0, 1.2, 1.5, 2.0):
        steps.append((about * share, at, at + length_s))
        at += length_s + 1.2 * drain_s
    return limit, _traffic(rng, steps, lengths, jitter_s, service_s), f"{jitter_s * 1e3:.1f} ms"


def mean_charge(lengths: tuple[float, float], charge: str) -> float:
    given, most = lengths
    return {"requests": 1.0, "input": given, "max(max_tokens,input)": max(given, most) * 1.1}.get(charge, given + most)


def _traffic(
    rng: np.random.Generator,
    steps: list[tuple[float, float, float]],
    lengths: tuple[float, float],
    jitter_s: float,
    service_s: float,
) -> Traffic:
    sent, step = [], []
    for number, (rate, start_s, end_s) in enumerate(steps):
        due = start_s + np.cumsum(rng.exponential(1 / rate, int(3 * rate * (end_s - start_s)) + 30))
        sent.append(due[due < end_s])
        step.append(np.full(len(sent[-1]), number))
    sent_s = np.concatenate(sent)
    n = len(sent_s)
    given = np.clip(rng.lognormal(np.log(lengths[0]) - 0.18, 0.6, n), 5, 5 * lengths[0]).astype(np.int64)
    most = rng.integers(max(1, int(lengths[1] * 0.3)), int(lengths[1] * 1.7) + 2, n)
    return Traffic(
        sent_s=sent_s,
        step=np.concatenate(step),
        steps=steps,
        input_tokens=given,
        max_tokens=most,
        output_tokens=np.maximum(1, (most * rng.uniform(0.2, 1.0, n)).astype(np.int64)),
        way_s=0.0005 + rng.exponential(jitter_s, (n, 2)),
        service_s=service_s * rng.lognormal(-0.08, 0.4, n),
    )


def outcome(limits: list[Limit], traffic: Traffic) -> tuple[npt.NDArray[np.bool_], Floats]:
    """(admitted [n], done_s [n]) of requests that reach all of these limiters, in the order in which they come through the network.
    All take it, or none does.
    """
    references = [limit.reference() for limit in limits]
    charges = [traffic.charge(limit.charge) for limit in limits]
    arrive_s = traffic.sent_s + traffic.way_s[:, 0]
    admitted, done_s = np.zeros(len(arrive_s), dtype=bool), arrive_s + traffic.way_s[:, 1]
    ends: list[float] = []
    for n in np.argsort(arrive_s, kind="stable"):
        t_s = float(arrive_s[n])
        while ends and ends[0] <= t_s:
            heapq.heappop(ends)
            for reference in references:
                reference.released()
        asked = [(reference, float(c[n])) for reference, c in zip(references, charges, strict=True)]
        admitted[n] = all(reference.fits(t_s, charge) for reference, charge in asked)
        if admitted[n]:
            for reference, charge in asked:
                reference.take(t_s, charge)
            heapq.heappush(ends, t_s + float(traffic.service_s[n]))
            done_s[n] = t_s + traffic.service_s[n] + traffic.way_s[n, 1]
    return admitted, done_s
