"""What a run's coordinator knows while it lasts, as Prometheus metrics. Workers spend nothing on it: all of it is counted already.

Names follow https://prometheus.io/docs/practices/naming/. Whoever serves them says which runs there are:
``run --prometheus`` has one at a time (:mod:`console.exposing`), the service may have several.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from prometheus_client.core import (
    BucketSpan,
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    NativeHistogram,
    StateSetMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector as PrometheusCollector

from generator.counters import TTFT_FIRST, TTFT_SCHEMA, ttft_of_bin
from generator.progress import Phase, Progress

Moment = tuple[Mapping[str, str], Progress]
"""A run's labels (the same names for every run that is served together) and how it stands."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a run. ``read`` gives None where it is not known: then there is no sample."""

    name: str
    help: str
    read: Callable[[Progress], float | None]


COUNTERS = (
    Figure("openloop_requests_sent", "Requests of which the first byte was sent, warm-up and probe included.", lambda p: p.sent),
    Figure("openloop_output_chunks", "Chunks of answers that were decoded.", lambda p: p.tokens),
    Figure("openloop_spent_usd", "What was answered so far costs, in USD; absent without a known price.", lambda p: p.spent_usd),
)  # fmt: skip

GAUGES = (
    Figure("openloop_requests_in_flight", "Requests sent and not yet answered.", lambda p: p.in_flight),
    Figure("openloop_run_elapsed_seconds", "Time since the run began.", lambda p: p.elapsed_s),
    Figure("openloop_run_left_seconds", "Time that the rest of the plan takes, where that is known.", lambda p: p.left_s),
    Figure("openloop_run_steps", "Steps of the plan.", lambda p: p.steps),
    Figure("openloop_step_number", "The step that runs, from 0.", lambda p: None if p.step is None else p.step.step_id),
    Figure("openloop_step_elapsed_seconds", "Time since the step began.", lambda p: None if p.step is None else p.step_elapsed_s),
    Figure("openloop_step_offered_rps", "Arrivals a second that the step asks for now; open loops.", lambda p: _offered(p, rate=True)),
    Figure("openloop_step_slots", "Slots of the closed loop now.", lambda p: _offered(p, rate=False)),
    Figure("openloop_step_due_requests", "Arrivals of the step that were due so far; open loops.", lambda p: p.due),
    Figure("openloop_step_issued_requests", "Arrivals of the step that were issued so far.", lambda p: p.step_issued),
)  # fmt: skip

DONE = "openloop_requests_done"
LATE = "openloop_requests_late"
PHASE = "openloop_run_phase"
STEP = "openloop_step"
TTFT = "openloop_ttft_seconds"

_LATE: tuple[tuple[str, Callable[[Progress], int]], ...] = (
    ("0.001", lambda p: p.late_1ms),
    ("0.01", lambda p: p.late_10ms),
    ("0.1", lambda p: p.late_100ms),
)
_CLASSIC_FIRST_S, _CLASSIC_LAST_S = 2**-10, 2**7
_CLASSIC_EVERY = 2**TTFT_SCHEMA // 2
"""Classic buckets are the native ones of 1 ms to 128 s, four together: a factor of the square root of 2 each."""


def families(progress: Progress, labels: Mapping[str, str], *, native: bool = False) -> list[Metric]:
    """The metrics of one run. ``labels`` are on every sample. See :func:`of_runs`."""
    return of_runs([(labels, progress)], native=native)


def of_runs(moments: Iterable[Moment], *, native: bool = False) -> list[Metric]:
    """The metrics of several runs, a family each with a sample a run. ``native`` adds the native form of histograms, which only
    the protobuf exposition has (:mod:`console.native`): the text formats of prometheus-client would write it as a wrong line.
    """
    runs = [(dict(labels), progress) for labels, progress in moments]
    names = tuple(runs[0][0]) if runs else ()
    return [
        *(_plain(CounterMetricFamily(f.name, f.help, labels=names), f, runs) for f in COUNTERS),
        *(_plain(GaugeMetricFamily(f.name, f.help, labels=names), f, runs) for f in GAUGES),
        _done(names, runs),
        _late(names, runs),
        _phase(names, runs),
        _step(names, runs),
        _ttft(runs, native=native),
    ]


class Collector(PrometheusCollector):
    """What prometheus-client asks at each scrape; ``source`` gives the runs as they stand then."""

    def __init__(self, source: Callable[[], Iterable[Moment]]) -> None:
        self._source = source

    def collect(self) -> list[Metric]:
        return of_runs(self._source())

    def collect_native(self) -> list[Metric]:
        return of_runs(self._source(), native=True)


def names() -> set[str]:
    """Every name that a query may ask for."""
    none: list[Moment] = []
    found = {s for family in of_runs(none) for s in _sample_names(family)}
    return found | {TTFT, f"{TTFT}_bucket", f"{TTFT}_count", f"{TTFT}_sum"}


def _sample_names(family: Metric) -> Iterator[str]:
    yield family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")


def _plain(family: CounterMetricFamily | GaugeMetricFamily, figure: Figure, runs: Sequence[Moment]) -> Metric:
    for labels, progress in runs:
        value = figure.read(progress)
        if value is not None:
            family.add_metric(tuple(labels.values()), value)
    return family


def _offered(p: Progress, *, rate: bool) -> float | None:
    """What a step asks for at this moment of its ramp."""
    if p.step is None or p.phase != "step":
        return None
    step = p.step
    low, high = (step.rate_rps, step.rate_end_rps) if rate else (step.concurrency, step.concurrency_end)
    if low is None or high is None or not p.step_expected_s:
        return low
    return low + (high - low) * min(1.0, p.step_elapsed_s / p.step_expected_s)


def _done(names: tuple[str, ...], runs: Sequence[Moment]) -> Metric:
    family = CounterMetricFamily(DONE, "Requests that ended, by outcome.", labels=(*names, "outcome"))
    for labels, progress in runs:
        for outcome, n in progress.outcomes.items():
            family.add_metric((*labels.values(), outcome), n)
    return family


def _late(names: tuple[str, ...], runs: Sequence[Moment]) -> Metric:
    text = "Requests issued later after they were due than over_seconds: the generator's own lateness."
    family = CounterMetricFamily(LATE, text, labels=(*names, "over_seconds"))
    for labels, progress in runs:
        for over_s, read in _LATE:
            family.add_metric((*labels.values(), over_s), read(progress))
    return family


def _phase(names: tuple[str, ...], runs: Sequence[Moment]) -> Metric:
    family = StateSetMetricFamily(PHASE, "What the run is doing.", labels=names)
    for labels, progress in runs:
        family.add_metric(tuple(labels.values()), {phase: phase == progress.phase for phase in get_args(Phase)})
    return family


def _step(names: tuple[str, ...], runs: Sequence[Moment]) -> Metric:
    family = InfoMetricFamily(STEP, "The step that runs.", labels=names)
    for labels, progress in runs:
        if (step := progress.step) is not None:
            told = {"number": str(step.step_id), "name": step.name, "arrivals": step.arrivals, "arm": step.arm or ""}
            family.add_metric(tuple(labels.values()), told)
    return family


def _ttft(runs: Sequence[Moment], *, native: bool) -> Metric:
    text = "Time from the schedule to the first token of an answer, warm-up and probe included."
    family = HistogramMetricFamily(TTFT, text, labels=tuple(runs[0][0]) if runs else ())
    for labels, progress in runs:
        if progress.ttft_bins:
            family.add_metric(tuple(labels.values()), _classic(progress.ttft_bins), progress.ttft_sum_s)
        if progress.ttft_bins and native:
            found = native_histogram(progress.ttft_bins, progress.ttft_sum_s)
            family.add_sample(TTFT, dict(labels), 0.0, native_histogram=found)
    return family


def _classic(bins: Sequence[int]) -> list[tuple[str, float]]:
    """(le, cumulative count) in seconds."""
    found, seen = [], 0
    for i, n in enumerate(bins):
        seen += n
        edge_s = ttft_of_bin(i) / 1e9
        if (i + TTFT_FIRST) % _CLASSIC_EVERY == 0 and _CLASSIC_FIRST_S <= edge_s <= _CLASSIC_LAST_S:
            found.append((str(round(edge_s, 9)), float(seen)))
    return [*found, ("+Inf", float(seen))]


def native_histogram(bins: Sequence[int], sum_s: float) -> NativeHistogram:
    """The bins as they are: the lowest is the zero bucket, the others sparse buckets of schema ``TTFT_SCHEMA``.

    A span is (gap since the span before, length); a delta is a count less the count of the bucket before.
    https://prometheus.io/docs/specs/native_histograms/
    """
    spans: list[BucketSpan] = []
    deltas: list[int] = []
    end = count = 0
    for i in range(1, len(bins)):
        if not bins[i]:
            continue
        index = i + TTFT_FIRST  # native bucket k ends at edge k, as ours do
        if spans and index == end:
            spans[-1] = BucketSpan(spans[-1].offset, spans[-1].length + 1)
        else:
            spans.append(BucketSpan(index - end, 1))
        deltas.append(bins[i] - count)
        end, count = index + 1, bins[i]
    zero_s = ttft_of_bin(0) / 1e9
    return NativeHistogram(sum(bins), sum_s, TTFT_SCHEMA, zero_s, bins[0], pos_spans=spans, pos_deltas=deltas)
