r"""When requests are due: int64 ns offsets from the step's start, drawn once, before the first byte is sent.

Every law is a renewal process of unit rate, stretched: with τ the sum of gaps of mean 1 and Λ(t) = ∫₀ᵗ λ the arrivals that the
rate promises up to t, the arrival is due at t = Λ⁻¹(τ). For Poisson gaps this is the exact inversion of a non-homogeneous
Poisson process (Çinlar); constant and gamma gaps ride the same ramp. Offsets depend on the step and its seed alone, never on
how many workers will send them; ``shard`` deals them out.

    constant  | | | | | | | | | |    gap 1                       CV 0
    poisson   ||  |    | ||     |    gap ~ Exp(1)                CV 1
    gamma     |||      ||     |||    gap ~ Gamma(k, 1/k)         CV 1/√k  (k < 1 bursts, k > 1 smooths)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from generator.job import MANY, Step

Offsets = NDArray[np.int64]

MOST_ARRIVALS = 50_000_000
"""Of one step: 400 MB of offsets."""


def rng(seed: tuple[int, int]) -> np.random.Generator:
    """``seed`` is a step's (run's seed, spawn key); the stream is the schedule's own."""
    return np.random.default_rng(np.random.SeedSequence(seed[0], spawn_key=(seed[1], 0)))


def offsets(step: Step, generator: np.random.Generator | None = None) -> Offsets:
    """Sorted offsets of an open step, [n], in [0, duration). Trace steps have ``trace_offsets`` instead.

    Ends by duration or by number, whichever the step has; ValueError for a closed step and past MOST_ARRIVALS.
    """
    if step.rate_rps is None:
        raise ValueError(f"step {step.step_id}: {step.arrivals} arrivals have no rate to draw from")
    start, end = step.rate_rps, step.rate_rps if step.rate_end_rps is None else step.rate_end_rps
    duration_s = None if step.duration_ns == MANY else step.duration_ns / 1e9
    if expected(step) > MOST_ARRIVALS:
        raise ValueError(f"step {step.step_id}: more than {MOST_ARRIVALS:,} arrivals")
    tau = _operational_times(step, generator or rng(step.seed), start, end, duration_s)
    due = np.rint(inverse_ramp(tau, start, end, duration_s) * 1e9).astype(np.int64)
    return due[due < step.duration_ns]


def expected(step: Step) -> float:
    """Mean number of arrivals of an open step with a rate: Λ(duration), or the number asked for."""
    assert step.rate_rps is not None
    if step.duration_ns == MANY:
        return float(step.requests)
    end = step.rate_rps if step.rate_end_rps is None else step.rate_end_rps
    return (step.rate_rps + end) / 2 * step.duration_ns / 1e9


def inverse_ramp(
    tau: NDArray[np.float64], start_rps: float, end_rps: float, duration_s: float | None
) -> NDArray[np.float64]:
    r"""Λ⁻¹ of the straight line λ(t) = a + s·t, s = (b − a)/T: seconds at which τ arrivals are due.

    Λ(t) = a·t + s·t²/2, so t = 2τ / (a + √(a² + 2sτ)), the root that neither cancels near s = 0 nor divides by s.

        b |          /|      λ
          |      /    |
        a |  /        |
          |___________|__ t
          0           T
    """
    if duration_s is None or start_rps == end_rps:
        return tau / start_rps
    slope = (end_rps - start_rps) / duration_s
    root = np.sqrt(np.maximum(start_rps * start_rps + 2 * slope * tau, 0.0))
    return np.divide(2 * tau, start_rps + root, out=np.zeros_like(tau), where=tau > 0)


def _operational_times(
    step: Step, generator: np.random.Generator, start: float, end: float, duration_s: float | None
) -> NDArray[np.float64]:
    """Sums of gaps of mean 1: those below Λ(duration), or as many as the step asks for."""
    total = None if duration_s is None else (start + end) / 2 * duration_s
    if step.arrivals == "constant":
        # Half-open in time: 20/s for 1 s is 20 arrivals, the first at 0; the subtraction undoes 0.1 · 30 = 3.0000000000000004.
        return np.arange(step.requests if total is None else int(np.ceil(total - 1e-9)), dtype=np.float64)
    if total is None:
        return np.cumsum(_gaps(step, generator, step.requests))
    # The draws are one sequence, so the size of a block changes no value; a few standard deviations more save a second one.
    tau = np.cumsum(_gaps(step, generator, int(total + 6 * np.sqrt(total)) + 16))
    while tau[-1] < total:
        tau = np.concatenate([tau, tau[-1] + np.cumsum(_gaps(step, generator, len(tau)))])
    return tau[tau < total]


def _gaps(step: Step, generator: np.random.Generator, count: int) -> NDArray[np.float64]:
    if step.arrivals == "poisson":
        return generator.standard_exponential(count)
    if step.arrivals == "gamma":
        shape = step.burstiness or 1.0
        return generator.standard_gamma(shape, count) / shape
    raise ValueError(f"step {step.step_id}: {step.arrivals} arrivals have no gaps to draw")


def trace_offsets(times_s: NDArray[np.float64], speed: float, step: Step) -> Offsets:
    """A trace's times, [n] ascending seconds from its window's start, played ``speed`` times as fast; gaps keep their ratios."""
    due = np.rint(times_s / speed * 1e9).astype(np.int64)
    return due[due < step.duration_ns][: step.requests]


def shard(arrivals: Offsets, index: int, count: int) -> tuple[NDArray[np.int64], Offsets]:
    """What worker ``index`` of ``count`` sends: (arrival numbers, offsets). Arrival n belongs to worker n mod count."""
    return np.arange(index, len(arrivals), count, dtype=np.int64), arrivals[index::count]
