"""Prometheus' text to readings: names as the target spells them, sums for histograms, nothing for buckets, an error for anything else."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest

from generator.scraping.exposition import Reading, label_text, readings

PAGE = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{model_name="m",engine="0"} 3.0
# TYPE vllm:prompt_tokens counter
vllm:prompt_tokens{model_name="m"} 17
# TYPE llamacpp:n_decode_total counter
llamacpp:n_decode_total 4
# TYPE vllm:e2e histogram
vllm:e2e_bucket{le="0.5"} 2
vllm:e2e_bucket{le="+Inf"} 3
vllm:e2e_sum 2.5
vllm:e2e_count 3
# TYPE vllm:e2e_created gauge
vllm:e2e_created 1.7e9
# TYPE s summary
s{quantile="0.5"} 1
s_sum 9
s_count 2
untyped{path="a\\"b\\\\c"} NaN
"""


def test_what_a_page_gives() -> None:
    """Counters keep their names with and without _total; a histogram and a summary are their sum and count; NaN is unknown."""
    assert list(readings(PAGE)) == [
        Reading("vllm:num_requests_running", '{"engine":"0","model_name":"m"}', "gauge", 3.0),
        Reading("vllm:prompt_tokens", '{"model_name":"m"}', "counter", 17.0),
        Reading("llamacpp:n_decode_total", "{}", "counter", 4.0),
        Reading("vllm:e2e_sum", "{}", "counter", 2.5),
        Reading("vllm:e2e_count", "{}", "counter", 3.0),
        Reading("s_sum", "{}", "counter", 9.0),
        Reading("s_count", "{}", "counter", 2.0),
        Reading("untyped", '{"path":"a\\"b\\\\c"}', "unknown", None),
    ]


def test_only_the_names_asked_for() -> None:
    """Prefixes, any of them."""
    found = [r.name for r in readings(PAGE, ("vllm:e2e", "llamacpp:"))]
    assert found == ["llamacpp:n_decode_total", "vllm:e2e_sum", "vllm:e2e_count"]
    assert list(readings(PAGE, ("nothing",))) == []


def test_what_a_client_library_writes_is_read() -> None:
    """Prometheus' own client as the other side, whatever it adds of its own."""
    registry = CollectorRegistry()
    Gauge("g", "a gauge", ["a"], registry=registry).labels('x\n"y"').set(math.inf)
    Counter("c", "a counter", registry=registry).inc(2)
    Histogram("h", "a histogram", registry=registry).observe(0.3)
    Summary("s", "a summary", registry=registry).observe(4)
    found = {(r.name, r.labels): (r.kind, r.value) for r in readings(generate_latest(registry).decode())}
    assert found == {
        ("g", label_text({"a": 'x\n"y"'})): ("gauge", math.inf),
        ("c_total", "{}"): ("counter", 2.0),
        ("h_count", "{}"): ("counter", 1.0),
        ("h_sum", "{}"): ("counter", 0.3),
        ("s_count", "{}"): ("counter", 1.0),
        ("s_sum", "{}"): ("counter", 4.0),
    }


@pytest.mark.parametrize("text", ["<html>no</html>", 'g{a="b} 1', "g one", "g{a=b} 1"])
def test_what_is_not_the_format_is_an_error(text: str) -> None:
    """A ValueError, which the scraper counts."""
    with pytest.raises(ValueError):  # noqa: PT011 - the library's own words, which may change
        list(readings(text))


def bears(text: str) -> None:
    """Readings, or a ValueError: nothing else, whatever a target answers."""
    try:
        found = list(readings(text))
    except ValueError:
        return
    assert all(r.value is None or isinstance(r.value, float) for r in found)


@given(st.text())
def test_any_text(text: str) -> None:
    """Of any characters."""
    bears(text)


@given(st.text(alphabet='g_{}=",\\ 1.e+N#\n'))
def test_texts_that_look_like_the_format(text: str) -> None:
    """Of the format's own."""
    bears(text)
