"""The report for monitoring systems: Prometheus text, InfluxDB line protocol, OTLP."""

from __future__ import annotations

import json
import math
import re
import shutil
import string
import subprocess
import sys

import pytest
from google.protobuf import json_format
from hypothesis import example, given
from hypothesis import strategies as st
from line_protocol_parser import parse_line
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client.parser import text_string_to_metric_families
from report_runs import HOSTILE, INVALID, empty, failed, hostile, judged, single, small, unstreamed

from analysis.report import influx, measures, otlp, prometheus
from generator.errors import OpenloopError
from tests import fabricate
from tests.fabricate import START_NS, S

UTC_START_NS = 1_700_001_000 * S
"""Where fabricated runs begin on the clock of the world."""

STATES = [small, empty, failed, single, unstreamed, hostile]


def rendered(form, run, verdict=None):
    con, report, manifest = judged(run, *([verdict] if verdict else []))
    with con:
        return form.render(con, report, manifest) if form is not prometheus else form.render(con, report)


def samples(text):
    return {
        (s.name, tuple(sorted(s.labels.items()))): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }


def of_step(found, name, **labels):
    """The one sample that has these labels."""
    (value,) = [v for (n, ls), v in found.items() if n == name and set(labels.items()) <= set(ls)]
    return value


def test_prometheus_text_has_the_run(tmp_path):
    """Known answers: four TTFTs of 10 to 40 ms give their count, sum, median and buckets; a failed step counts its outcomes."""
    found = samples(rendered(prometheus, small(tmp_path / "run"), INVALID))
    assert of_step(found, "openloop_report_valid") == 0
    ttft = "openloop_report_ttft"
    assert of_step(found, f"{ttft}_seconds_count", step="0") == 4
    assert of_step(found, f"{ttft}_seconds_sum", step="0") == pytest.approx(0.1)
    assert of_step(found, f"{ttft}_percentile_seconds", step="0", percentile="50") == pytest.approx(0.025)
    assert of_step(found, f"{ttft}_seconds_bucket", step="0", le="0.015625") == 1
    assert of_step(found, f"{ttft}_seconds_bucket", step="0", le="0.03125") == 3
    assert of_step(found, f"{ttft}_seconds_bucket", step="0", le="+Inf") == 4
    assert of_step(found, "openloop_report_requests", step="1", outcome="rate_limited") == 1
    assert of_step(found, "openloop_report_threshold_held", step="1", rule="p50(ttft) < 40ms") == 0
    assert of_step(found, "openloop_report_window_seconds", step="0") == 10
    assert not [k for k in found if k[0].endswith("percentile_seconds") and ("percentile", "99") in k[1]], "withheld"


@pytest.mark.parametrize("state", STATES)
def test_prometheus_text_of_every_run_is_valid(tmp_path, state):
    """Prometheus's parser reads it, no series comes twice, buckets never fall, and promtool, where there is one, has nothing to say."""
    text = rendered(prometheus, state(tmp_path / "run"))
    rows = [s for family in text_string_to_metric_families(text) for s in family.samples]
    found = samples(text)
    assert len(rows) == len(found)
    assert all(re.fullmatch(r"openloop_report_[a-z0-9_]+", name) for name, _ in found)
    for name in {n for n, _ in found if n.endswith("_bucket")}:
        for step in {dict(ls)["step"] for n, ls in found if n == name}:
            rising = [s.value for s in rows if s.name == name and s.labels["step"] == step]
            assert rising == sorted(rising)
            assert rising[-1] == of_step(found, name.replace("_bucket", "_count"), step=step)
    if promtool := shutil.which("promtool"):
        done = subprocess.run([promtool, "check", "metrics"], input=text.encode(), capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")


def test_prometheus_labels_bear_any_text(tmp_path):
    """A hostile name comes back as it was."""
    names = {dict(ls).get("cell") for _, ls in samples(rendered(prometheus, hostile(tmp_path / "run")))}
    assert HOSTILE in names


def test_line_protocol_has_steps_and_seconds(tmp_path):
    """A line a step at its end and a line a second at its start, both on the clock of the world in ns; what is unknown has no field."""
    lines = [parse_line(line) for line in rendered(influx, small(tmp_path / "run")).splitlines()]
    first, second = (p for p in lines if p["measurement"] == "openloop_step")
    assert first["tags"] == {
        "run": fabricate.RUN, "scenario": "small", "step": "0", "step_name": "10/s", "target": "target", "verdict": "VALID",
    }  # fmt: skip
    assert first["fields"]["ttft_ms.p50"] == 25.0
    assert first["fields"]["requests"] == 4.0
    assert "ttft_ms.p99" not in first["fields"]
    assert first["time"] == UTC_START_NS + 10 * S
    assert second["fields"]["outcomes.rate_limited"] == 1.0
    seconds = [p for p in lines if p["measurement"] == "openloop_second"]
    assert not [field for p in seconds for field in p["fields"] if "p99" in field]
    assert [p["time"] for p in seconds[:2]] == [UTC_START_NS, UTC_START_NS + S]
    assert sum(p["fields"]["sent"] for p in seconds) == 6


@pytest.mark.parametrize("state", STATES)
def test_line_protocol_of_every_run_is_valid(tmp_path, state):
    """Another's parser reads every line."""
    for line in rendered(influx, state(tmp_path / "run")).splitlines():
        point = parse_line(line)
        assert point["fields"]
        assert all(isinstance(v, float | bool) for v in point["fields"].values())


NAMES = st.text(st.sampled_from(string.ascii_letters + ' ,="\\äπ'), min_size=1, max_size=12)


@given(NAMES, NAMES, NAMES, NAMES)
@example("a b", "k,=", "v\\, ", "f = ")
@example("m\\", "k\\", "v\\", "f\\")
def test_line_protocol_escapes(measurement, key, value, field):
    """Another's parser gives every name back, with slashes for backslashes, which the protocol cannot hold before what is special."""
    (line,) = influx.line(measurement, {key: value}, {field: 1}, 5)
    point = parse_line(line)
    said = [s.replace("\\", "/") for s in (measurement, key, value, field)]
    assert [point["measurement"], *point["tags"], *point["tags"].values(), *point["fields"]] == said
    assert point["time"] == 5


def test_a_line_needs_a_field_and_a_tag_a_value():
    """A point without numbers is no line; an empty tag is left out; infinities, which the protocol lacks, too; line ends are escapes."""
    assert list(influx.line("m", {}, {"a": None, "b": "text", "c": math.inf}, 1)) == []
    assert list(influx.line("m", {"t": "", "u": "x\ny"}, {"b": True}, None)) == ["m,u=x/ny b=true"]


def otlp_of(run, verdict=None):
    text = rendered(otlp, run, verdict)
    # A collector takes unknown fields as errors of the sender; so does this.
    return json_format.ParseDict(json.loads(text), ExportMetricsServiceRequest()), text


def metrics_of(request):
    (resource,) = request.resource_metrics
    (scope,) = resource.scope_metrics
    found = {m.name: m for m in scope.metrics}
    assert len(found) == len(scope.metrics)
    return found


def test_otlp_has_the_run(tmp_path):
    """Known answers: the four TTFTs of the first step as an exponential histogram over the step's window, and outcomes as a delta sum."""
    request, text = otlp_of(small(tmp_path / "run"), INVALID)
    attributes = {a.key: a.value.string_value for a in request.resource_metrics[0].resource.attributes}
    assert attributes["service.name"] == "openloop"
    assert attributes["openloop.verdict"] == "INVALID"
    found = metrics_of(request)
    ttft = found["openloop.ttft"].exponential_histogram
    assert ttft.aggregation_temporality == 1
    point = ttft.data_points[0]
    assert (point.count, point.min, point.max) == (4, 0.01, 0.04)
    assert point.sum == pytest.approx(0.1)
    assert (point.start_time_unix_nano, point.time_unix_nano) == (UTC_START_NS, UTC_START_NS + 10 * S)
    ended = {
        (p.attributes[0].value.string_value, p.attributes[-1].value.string_value): p.as_int
        for p in found["openloop.requests"].sum.data_points
    }
    assert ended == {("0", "ok"): 4, ("1", "ok"): 1, ("1", "rate_limited"): 1, ("1", "lost"): 1}
    assert '"aggregationTemporality":1' in text, "OTLP/JSON has numbers for enums"
    assert f'"timeUnixNano":"{UTC_START_NS + 10 * S}"' in text, "and text for 64-bit integers"


@pytest.mark.parametrize("state", STATES)
def test_otlp_of_every_run_is_a_request(tmp_path, state):
    """It is the message, every metric has points, and their histograms count what they hold."""
    request, _ = otlp_of(state(tmp_path / "run"))
    for metric in metrics_of(request).values():
        points = getattr(metric, metric.WhichOneof("data")).data_points
        if metric.name.startswith("openloop.timeline") or metric.WhichOneof("data") == "gauge":
            assert points
        if metric.WhichOneof("data") == "exponential_histogram":
            assert all(p.count == p.zero_count + sum(p.positive.bucket_counts) for p in points)


@given(st.lists(st.tuples(st.integers(0, 10**13), st.integers(1, 1000)), min_size=1, max_size=50))
def test_exponential_buckets_hold_their_values(counts):
    """Each value lies in the bucket (base**i, base**(i + 1)] that counts it, in at most 160 of them, at the finest scale that allows."""
    from opentelemetry.proto.metrics.v1.metrics_pb2 import ExponentialHistogramDataPoint

    point = ExponentialHistogramDataPoint()
    otlp._exponential(point, counts)
    base = 2 ** (2**-point.scale)
    buckets = point.positive.bucket_counts
    assert len(buckets) <= otlp.MOST_BUCKETS
    for ns, n in counts:
        if ns:
            i = measures.bucket(ns, point.scale) - point.positive.offset
            assert buckets[i] >= n
            low_s = base ** (i + point.positive.offset)
            assert low_s * (1 - 1e-9) <= ns / 1e9 <= low_s * base * (1 + 1e-9)
    assert point.count == sum(n for _, n in counts)
    if positive := [ns for ns, _ in counts if ns]:
        finer = measures.bucket(max(positive), point.scale + 1) - measures.bucket(min(positive), point.scale + 1)
        assert finer >= otlp.MOST_BUCKETS or point.scale == otlp._FINEST_SCALE


def test_otlp_without_its_package_is_an_error(tmp_path, monkeypatch):
    """Without the extra the command says what to install, and nothing else is lost."""
    monkeypatch.setitem(sys.modules, "opentelemetry.proto.collector.metrics.v1.metrics_service_pb2", None)
    con, report, manifest = judged(single(tmp_path / "run"))
    with con, pytest.raises(OpenloopError, match=r"openloop\[otlp\]"):
        otlp.render(con, report, manifest)


def test_instants_count_from_the_manifests_clock(tmp_path):
    """A run that was cut off before it had a clock has lines without a time, and OTLP's 0 for unknown."""
    con, report, manifest = judged(single(tmp_path / "run"))
    assert measures.to_utc_ns(manifest) == UTC_START_NS - START_NS
    manifest["clock"] = None
    with con:
        assert all(
            re.search(r" [^ ]+$", line)[0].count("=") for line in influx.render(con, report, manifest).splitlines()
        )
        request = json_format.ParseDict(json.loads(otlp.render(con, report, manifest)), ExportMetricsServiceRequest())
    assert {p.time_unix_nano for p in metrics_of(request)["openloop.ttft"].exponential_histogram.data_points} == {0}
