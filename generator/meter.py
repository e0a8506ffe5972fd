"""Counters over time → what a watcher is told. Reads the mmapped counters; computes nothing that a report uses."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from generator import clock
from generator.charge import usd
from generator.counters import Counters, ttft_of_bin
from generator.job import MANY, Plan, Step
from generator.progress import Phase, Progress
from generator.schema import OUTCOMES

_WINDOW = 5
"""Readings that rates look back over: a little more than a second."""


class Meter:
    def __init__(self, plan: Plan, counters: Counters) -> None:
        self._plan = plan
        self._counters = counters
        self._priced = any(target.prices for target in plan.targets.values())
        self._begun_ns = clock.monotonic_ns()
        self._step_start_ns = self._begun_ns
        self._arrivals: Any = None
        self._past: deque[tuple[int, int, int, list[int]]] = deque(maxlen=_WINDOW)

    def begin(self, start_ns: int, arrivals: Any) -> None:
        """A step was announced. ``arrivals``: its offsets in ns, None when closed."""
        self._step_start_ns = start_ns
        self._arrivals = arrivals

    def read(self, phase: Phase, step: Step | None, notes: tuple[str, ...]) -> Progress:
        """The moment, with rates over the last second or so."""
        now_ns, counters = clock.monotonic_ns(), self._counters
        sent, tokens, bins = counters.total("sent"), counters.total("tokens"), counters.ttft_histogram()
        then_ns, then_sent, then_tokens, then_bins = (
            self._past[0] if self._past else (self._begun_ns, 0, 0, [0] * len(bins))
        )
        self._past.append((now_ns, sent, tokens, bins))
        span_s = max(1e-3, (now_ns - then_ns) / 1e9)
        recent = [a - b for a, b in zip(bins, then_bins, strict=True)]
        in_step_s = max(0.0, (now_ns - self._step_start_ns) / 1e9) if step is not None else 0.0
        done = counters.total("step_done")
        expected_s = self._expected_s(step, in_step_s, done)
        return Progress(
            phase=phase,
            step=step,
            steps=len(self._plan.steps),
            elapsed_s=(now_ns - self._begun_ns) / 1e9,
            step_elapsed_s=in_step_s,
            step_expected_s=expected_s,
            left_s=self._left_s(step, in_step_s, expected_s),
            due=self._due(now_ns),
            step_issued=counters.total("step_issued"),
            step_done=done,
            sent=sent,
            done=counters.total("done"),
            in_flight=counters.total("in_flight"),
            tokens=tokens,
            sent_per_s=(sent - then_sent) / span_s,
            tokens_per_s=(tokens - then_tokens) / span_s,
            ttft_p50_ms=_quantile_ms(recent, 0.50),
            ttft_p99_ms=_quantile_ms(recent, 0.99),
            late_1ms=counters.total("late_1ms"),
            spent_usd=usd(counters.total("spent_nano_usd") + counters.total("guessed_nano_usd"))
            if self._priced
            else None,
            outcomes={name: n for name in OUTCOMES if (n := counters.total(name))},
            run_id=self._plan.run_id,
            late_10ms=counters.total("late_10ms"),
            late_100ms=counters.total("late_100ms"),
            ttft_bins=tuple(bins),
            ttft_sum_s=counters.total("ttft_ns") / 1e9,
            notes=notes,
        )

    def _due(self, now_ns: int) -> int | None:
        if self._arrivals is None:
            return None
        return int(np.searchsorted(self._arrivals, now_ns - self._step_start_ns, side="right"))

    def _expected_s(self, step: Step | None, in_step_s: float, done: int) -> float | None:
        if step is None:
            return None
        if step.duration_ns < MANY:
            return step.duration_ns / 1e9
        if self._arrivals is not None:
            return float(self._arrivals[-1]) / 1e9 if len(self._arrivals) else 0.0
        turns = step.turns_mean
        return (
            in_step_s * (step.planned_arrivals or step.requests) * turns / done if done and turns is not None else None
        )

    def _left_s(self, step: Step | None, in_step_s: float, expected_s: float | None) -> float | None:
        """Time left of the run; None while a step that ends by number is still to come."""
        if step is None or expected_s is None:
            return None
        left_s = max(0.0, expected_s - in_step_s)
        for later in self._plan.steps[step.step_id + 1 :]:
            if later.duration_ns >= MANY:
                return None
            left_s += (later.duration_ns + later.pause_ns) / 1e9
        return left_s


def _quantile_ms(bins: list[int], q: float) -> float | None:
    """Upper edge of the bin that holds quantile ``q``; good to the bins' 9 %, enough for a live view."""
    total = sum(bins)
    if not total:
        return None
    seen = 0
    for i, n in enumerate(bins):
        seen += n
        if seen >= q * total:
            return ttft_of_bin(i) / 1e6
    return None
