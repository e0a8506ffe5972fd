"""The report as OTLP/JSON: one ExportMetricsServiceRequest, as a collector takes it by ``POST /v1/metrics``.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding. The messages are opentelemetry-proto's, the encoding protobuf's own; both
come with the extra ``otlp``.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson
from duckdb import DuckDBPyConnection

from analysis import catalog
from analysis.report import measures
from generator.errors import OpenloopError

Row = dict[str, Any]

_UNITS = {
    "seconds": "s",
    "requests": "{request}",
    "requests_per_second": "{request}/s",
    "tokens_per_second": "{token}/s",
    "ratio": "1",
    "usd": "USD",
}
"""Units by the UCUM, as OpenTelemetry writes them."""

MOST_BUCKETS = 160
"""As many as OpenTelemetry's own SDKs give an exponential histogram; the scale is the finest that keeps to it."""

_FINEST_SCALE = 10
_OF_SECOND = {
    "in_flight": ("{request}", "Requests sent and not ended at the second's end."),
    "sent_rps": ("{request}/s", "Requests sent in the second."),
    "failed_rps": ("{request}/s", "Requests that ended otherwise than ok in the second."),
    "output_tokens_per_s": ("{token}/s", "Output tokens that arrived in the second."),
}


def render(con: DuckDBPyConnection, report: Row, manifest: Row) -> str:
    """JSON in one line. Time stamps of a run without a clock are 0, which the protocol reads as unknown. Raises OpenloopError without
    the extra ``otlp``.
    """
    try:
        from google.protobuf import json_format
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    except ImportError:
        raise OpenloopError("--format otlp needs opentelemetry-proto: pip install 'openloop[otlp]'") from None
    request = ExportMetricsServiceRequest()
    metrics = request.resource_metrics.add()
    _attributes(metrics.resource.attributes, _resource(report))
    scope = metrics.scope_metrics.add()
    scope.scope.name, scope.scope.version = "openloop", str(report["run"]["openloop_version"] or "")
    _steps(scope.metrics, con, report, manifest)
    _timeline(scope.metrics, con, report, manifest)
    # OTLP/JSON is proto3 JSON with numbers for enums.
    told = json_format.MessageToDict(request, use_integers_for_enums=True)
    return orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE).decode()


def _resource(report: Row) -> dict[str, str | None]:
    run = report["run"]
    return {
        "service.name": "openloop",
        "service.version": run["openloop_version"],
        "service.instance.id": run["run_id"],
        "host.name": run["host"].get("hostname"),
        "openloop.scenario": run["name"],
        "openloop.verdict": report["verdict"]["verdict"],
    }


def _attributes(into: Any, values: dict[str, str | None]) -> None:
    for key, value in values.items():
        if value is not None:
            into.add(key=key).value.string_value = str(value)


def _named(labels: dict[str, str]) -> dict[str, str | None]:
    """A point's attributes; run and scenario are the resource's."""
    return {f"openloop.{k.replace('_', '.')}": v for k, v in labels.items() if k not in {"run", "scenario"}}


def _steps(metrics: Any, con: DuckDBPyConnection, report: Row, manifest: Row) -> None:
    to_utc_ns, spans = measures.to_utc_ns(manifest), measures.spans(con)
    steps = []
    for step in report["steps"]:
        start_ns, end_ns = spans.get(step["step_id"], (None, None))
        known = to_utc_ns is not None and start_ns is not None and end_ns is not None
        when = (start_ns + to_utc_ns, end_ns + to_utc_ns) if known else (0, 0)  # type: ignore[operator]  # known says so
        steps.append((_named(measures.labels(report, step)), when, step))
    for measure in measures.MEASURES:
        points = [(names, when, value) for names, when, s in steps if (value := measure.of(s)) is not None]
        _gauge(metrics, f"openloop.{measure.name}", _UNITS[measure.unit], measure.help, points)
    ended = metrics.add(name="openloop.requests", unit="{request}", description="Requests of the main phase.")
    ended.sum.aggregation_temporality, ended.sum.is_monotonic = 1, True  # delta: what the step added
    for names, when, step in steps:
        for outcome, n in step["outcomes"].items():
            point = _point(ended.sum.data_points, names | {"openloop.outcome": outcome}, when)
            point.as_int = n
    for metric, text in measures.LATENCIES.items():
        told = metrics.add(name=f"openloop.{metric}", unit="s", description=text)
        told.exponential_histogram.aggregation_temporality = 1
        for names, when, step in steps:
            counts = measures.distribution(con, metric, step["step_id"])
            if counts:
                _exponential(_point(told.exponential_histogram.data_points, names, when), counts)


def _point(points: Any, names: dict[str, str | None], when: tuple[int, int]) -> Any:
    point = points.add(start_time_unix_nano=when[0], time_unix_nano=when[1])
    _attributes(point.attributes, names)
    return point


def _gauge(
    metrics: Any,
    name: str,
    unit: str,
    text: str,
    points: list[tuple[dict[str, str | None], tuple[int, int], float]],
) -> None:
    """A metric must have points: none is written without."""
    if points:
        told = metrics.add(name=name, unit=unit, description=text)
        for names, when, value in points:
            _point(told.gauge.data_points, names, when).as_double = value


def _exponential(point: Any, counts: measures.Counts) -> None:
    """Fill an ExponentialHistogramDataPoint, in seconds."""
    positive = [(ns, n) for ns, n in counts if ns > 0]
    point.count = sum(n for _, n in counts)
    point.zero_count = point.count - sum(n for _, n in positive)
    point.sum = sum(ns * n for ns, n in counts) / 1e9
    point.min, point.max = min(ns for ns, _ in counts) / 1e9, max(ns for ns, _ in counts) / 1e9
    if not positive:
        return
    low_ns, high_ns = min(positive)[0], max(positive)[0]
    point.scale = next(
        s
        for s in range(_FINEST_SCALE, -11, -1)
        if measures.bucket(high_ns, s) - measures.bucket(low_ns, s) < MOST_BUCKETS
    )
    held: Counter[int] = Counter()
    for ns, n in positive:
        held[measures.bucket(ns, point.scale)] += n
    point.positive.offset = min(held)
    point.positive.bucket_counts.extend(held[i] for i in range(min(held), max(held) + 1))


def _timeline(metrics: Any, con: DuckDBPyConnection, report: Row, manifest: Row) -> None:
    to_utc_ns = measures.to_utc_ns(manifest)
    zero_ns = min((w["run_start_ns"] for w in catalog.run(con, "step_windows").dicts()), default=None)
    if to_utc_ns is None or zero_ns is None:
        return
    names = {step["step_id"]: _named(measures.labels(report, step)) for step in report["steps"]}
    rows = catalog.run(con, "timeline").dicts()
    for field, (unit, text) in _OF_SECOND.items():
        points = [
            (names[r["step_id"]], (0, zero_ns + to_utc_ns + round(r["to_s"] * 1e9)), float(r[field]))
            for r in rows
            if r[field] is not None
        ]
        _gauge(metrics, f"openloop.timeline.{field}", unit, text, points)
