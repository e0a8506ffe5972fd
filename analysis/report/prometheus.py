"""The report in Prometheus's text format: for node_exporter's textfile collector, a Pushgateway, or a file that a server scrapes.

No time stamps: those readers refuse them, and a scrape of a finished run says how it ended, now. All are gauges or histograms of one run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from duckdb import DuckDBPyConnection
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from analysis.report import measures

Row = dict[str, Any]

_PREFIX = "openloop_report"
_SCALE = 1
_FIRST_BUCKET, _LAST_BUCKET = -28, 15
"""Buckets of a factor √2 from 61 µs to 256 s: the same for all metrics and runs, so that they can be added up."""


def render(con: DuckDBPyConnection, report: Row) -> str:
    """Exposition format 0.0.4, UTF-8."""
    registry = CollectorRegistry()
    registry.register(_Report(con, report))
    return generate_latest(registry).decode()


class _Report(Collector):
    def __init__(self, con: DuckDBPyConnection, report: Row) -> None:
        self._con = con
        self._report = report

    def describe(self) -> list[Metric]:
        return []  # without it the registry would collect twice

    def collect(self) -> Iterator[Metric]:
        report = self._report
        yield from _of_run(report)
        steps = [(measures.labels(report, step), step) for step in report["steps"]]
        for measure in measures.MEASURES:
            yield _gauge(f"{measure.name}_{measure.unit}", measure.help, [(ls, measure.of(step)) for ls, step in steps])
        requests = [
            (ls | {"outcome": outcome}, n) for ls, step in steps for outcome, n in step["outcomes"].items()
        ]  # fmt: skip
        yield _gauge("requests", "Requests of the main phase, by outcome.", requests)
        for metric, text in measures.LATENCIES.items():
            found = [
                (ls | {"percentile": f"{q * 100:g}"}, value)
                for ls, step in steps
                for q, value in measures.quantiles(step, metric)
            ]
            yield _gauge(
                f"{metric}_percentile_seconds", f"{text} Percentiles that the report does not withhold.", found
            )
            yield _histogram(self._con, metric, text, steps)


def _of_run(report: Row) -> Iterator[Metric]:
    run = {"run": report["run"]["run_id"], "scenario": report["run"]["name"]}
    run = {key: str(value) for key, value in run.items() if value is not None}
    valid = report["verdict"]["verdict"] == "VALID"
    yield _gauge("valid", "1 where the run is to be believed, 0 where it is not.", [(run, float(valid))])
    info = InfoMetricFamily(f"{_PREFIX}_target", "A target of the run.")
    for target in report["run"]["targets"]:
        told = {"target": target["name"], "api": target["api"], "model": target["model"]}
        info.add_sample(f"{info.name}_info", run | {k: str(v) for k, v in told.items() if v is not None}, 1)
    yield info
    held = [
        (
            run | {"rule": t["rule"], "step": str(t["step_id"]), "step_name": str(t["step"])},
            None if t["holds"] is None else float(t["holds"]),
        )
        for t in report["thresholds"]
    ]
    text = "1 where the threshold held in the step, 0 where it failed; absent where there was not enough data."
    yield _gauge("threshold_held", text, held)


def _gauge(name: str, text: str, samples: Sequence[tuple[dict[str, str], float | None]]) -> Metric:
    family = GaugeMetricFamily(f"{_PREFIX}_{name}", text)
    for labels, value in samples:
        if value is not None:
            family.add_sample(family.name, labels, value)
    return family


def _histogram(con: DuckDBPyConnection, metric: str, text: str, steps: list[tuple[dict[str, str], Row]]) -> Metric:
    family = HistogramMetricFamily(f"{_PREFIX}_{metric}_seconds", text)
    for labels, step in steps:
        counts = measures.distribution(con, metric, step["step_id"])
        if not counts:
            continue
        for le, n in _cumulative(counts):
            family.add_sample(f"{family.name}_bucket", labels | {"le": le}, n)
        family.add_sample(f"{family.name}_count", labels, sum(n for _, n in counts))
        family.add_sample(f"{family.name}_sum", labels, sum(ns * n for ns, n in counts) / 1e9)
    return family


def _cumulative(counts: measures.Counts) -> Iterator[tuple[str, int]]:
    """(le, how many are at most that)."""
    held = dict.fromkeys(range(_FIRST_BUCKET, _LAST_BUCKET + 1), 0)
    for ns, n in counts:
        i = measures.bucket(ns, _SCALE) if ns > 0 else _FIRST_BUCKET
        if i <= _LAST_BUCKET:
            held[max(i, _FIRST_BUCKET)] += n
    seen = 0
    for i, n in held.items():
        seen += n
        yield str(round(2 ** ((i + 1) / 2**_SCALE), 9)), seen
    yield "+Inf", sum(n for _, n in counts)
