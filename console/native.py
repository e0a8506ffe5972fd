"""Metric families as Prometheus's protobuf exposition, the only one whose native histograms a Prometheus scrapes.

prometheus-client writes text alone (as of 0.26). The messages are those of ``io.prometheus.client`` in
https://github.com/prometheus/client_model, declared here with the fields that we fill; the encoding is the package protobuf's.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, proto
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import NativeHistogram, Sample

CONTENT_TYPE = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "io.prometheus.client"
_COUNTER, _GAUGE, _HISTOGRAM = 0, 1, 4

_MESSAGES = {
    "LabelPair": (("name", 1, "string"), ("value", 2, "string")),
    "Gauge": (("value", 1, "double"),),
    "Counter": (("value", 1, "double"),),
    "Bucket": (("cumulative_count", 1, "uint64"), ("upper_bound", 2, "double")),
    "BucketSpan": (("offset", 1, "sint32"), ("length", 2, "uint32")),
    "Histogram": (
        ("sample_count", 1, "uint64"),
        ("sample_sum", 2, "double"),
        ("bucket", 3, "*Bucket"),
        ("schema", 5, "sint32"),
        ("zero_threshold", 6, "double"),
        ("zero_count", 7, "uint64"),
        ("positive_span", 12, "*BucketSpan"),
        ("positive_delta", 13, "*sint64"),
    ),
    "Metric": (("label", 1, "*LabelPair"), ("gauge", 2, "Gauge"), ("counter", 3, "Counter"), ("histogram", 7, "Histogram")),
    "MetricFamily": (("name", 1, "string"), ("help", 2, "string"), ("type", 3, "int32"), ("metric", 4, "*Metric")),
}  # fmt: skip
"""Message → (field, number, type); * is repeated. ``type`` is an enum, which is an int32 on the wire."""


def _declared() -> dict[str, type[Any]]:
    file = descriptor_pb2.FileDescriptorProto(name="openloop/metrics.proto", package=_PACKAGE, syntax="proto2")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            bare = kind.removeprefix("*")
            label = _Field.LABEL_OPTIONAL if bare == kind else _Field.LABEL_REPEATED
            added = message.field.add(name=field, number=number, label=label)
            if bare in _MESSAGES:
                added.type, added.type_name = _Field.TYPE_MESSAGE, f".{_PACKAGE}.{bare}"
            else:
                added.type = _Field.Type.Value(f"TYPE_{bare.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _MESSAGES
    }


_CLASS = _declared()


def encode(families: Iterable[Metric]) -> bytes:
    """MetricFamily messages, each after its length. A family without a sample is left out."""
    out = io.BytesIO()
    for family in families:
        if family.samples:
            proto.serialize_length_prefixed(_family(family), out)
    return out.getvalue()


def decode(data: bytes) -> list[Any]:
    """The messages again."""
    stream, found = io.BytesIO(data), []
    while (message := proto.parse_length_prefixed(_CLASS["MetricFamily"], stream)) is not None:
        found.append(message)
    return found


def _family(family: Metric) -> Any:
    suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
    kind = {"counter": _COUNTER, "histogram": _HISTOGRAM}.get(family.type, _GAUGE)
    made = _CLASS["MetricFamily"](name=family.name + suffix, help=family.documentation, type=kind)
    metrics: dict[tuple[tuple[str, str], ...], Any] = {}
    for sample in family.samples:
        labels = tuple((k, v) for k, v in sample.labels.items() if not (kind == _HISTOGRAM and k == "le"))
        if labels not in metrics:
            metrics[labels] = made.metric.add(label=[_CLASS["LabelPair"](name=k, value=v) for k, v in labels])
        if kind == _HISTOGRAM:
            _into_histogram(metrics[labels].histogram, sample, family.name)
        else:
            (metrics[labels].counter if kind == _COUNTER else metrics[labels].gauge).value = sample.value
    return made


def _into_histogram(histogram: Any, sample: Sample, name: str) -> None:
    match sample.name.removeprefix(name), sample.native_histogram:
        case "_bucket", _:
            bound = float(sample.labels["le"])
            if not math.isinf(bound):  # the last bucket is the count
                histogram.bucket.add(cumulative_count=int(sample.value), upper_bound=bound)
        case "_count", _:
            histogram.sample_count = int(sample.value)
        case "_sum", _:
            histogram.sample_sum = sample.value
        case "", NativeHistogram() as native:
            histogram.schema = native.schema
            histogram.zero_threshold = native.zero_threshold
            histogram.zero_count = int(native.zero_count)
            for span in native.pos_spans or ():
                histogram.positive_span.add(offset=span.offset, length=span.length)
            histogram.positive_delta.extend(native.pos_deltas or ())
