"""Live metrics: families out of a moment of a run, in every exposition, and over HTTP while a real run lasts."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plans import S, step
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from console import exposing, monitoring, native
from console.monitoring import Collector
from generator.counters import TTFT_BINS, TTFT_FIRST, ttft_bin, ttft_of_bin
from generator.errors import MachineError
from generator.progress import Progress

OPENLOOP = (sys.executable, "-c", "import sys; from console.cli import main; sys.exit(main())")
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,*/*;q=0.1"
HOSTILE = 'a "b"\\n\nc{}'


def bins(**counts_by_ms: int) -> tuple[int, ...]:
    made = [0] * TTFT_BINS
    for ms, n in counts_by_ms.items():
        made[ttft_bin(int(ms[1:]) * 1_000_000)] += n
    return tuple(made)


def moment(**changed: Any) -> Progress:
    values = {
        "phase": "step",
        "step": step(1, duration_ns=10 * S, rate_rps=10.0),
        "steps": 2,
        "elapsed_s": 12.0,
        "step_elapsed_s": 4.0,
        "step_expected_s": 10.0,
        "left_s": 6.0,
        "due": 40,
        "step_issued": 39,
        "step_done": 30,
        "sent": 142,
        "done": 133,
        "in_flight": 9,
        "tokens": 5_000,
        "sent_per_s": 10.0,
        "tokens_per_s": 400.0,
        "ttft_p50_ms": 80.0,
        "ttft_p99_ms": 300.0,
        "late_1ms": 5,
        "late_10ms": 2,
        "outcomes": {"ok": 130, "timeout": 3},
        "run_id": "r1",
        "ttft_bins": bins(_80=100, _300=33),
        "ttft_sum_s": 17.9,
    }
    return Progress(**(values | changed))  # type: ignore[arg-type]  # values of a dict have one type


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    found = [s for family in text_string_to_metric_families(text) for s in family.samples]
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for s in found}


def collector(*moments: monitoring.Moment) -> Collector:
    return Collector(lambda: moments)


def test_text_says_what_the_run_says() -> None:
    """Prometheus's own parser reads back each figure under its name, with the run's labels, whatever characters these have."""
    kind, body = exposing.answer(collector(({"run": "r1", "scenario": HOSTILE}, moment())), None)
    assert kind.startswith("text/plain")
    found = samples(body.decode())
    run = (("run", "r1"), ("scenario", HOSTILE))
    assert found["openloop_requests_sent_total", run] == 142
    assert found["openloop_requests_done_total", (("outcome", "timeout"), *run)] == 3
    assert found["openloop_requests_late_total", (("over_seconds", "0.01"), *run)] == 2
    assert found["openloop_step_offered_rps", run] == 10
    assert found["openloop_run_phase", (("openloop_run_phase", "step"), *run)] == 1
    assert found["openloop_run_phase", (("openloop_run_phase", "drain"), *run)] == 0
    assert found["openloop_ttft_seconds_count", run] == 133
    assert found["openloop_ttft_seconds_sum", run] == 17.9


def test_what_is_not_known_has_no_sample() -> None:
    """No price, no step, no end in sight: the metric is absent, never zero."""
    unknown = moment(step=None, phase="starting", left_s=None, due=None, spent_usd=None, ttft_bins=())
    names = {name for name, _ in samples(exposing.answer(collector(({}, unknown)), None)[1].decode())}
    assert names.isdisjoint(
        {
            "openloop_spent_usd_total",
            "openloop_run_left_seconds",
            "openloop_step_number",
            "openloop_step_info",
            "openloop_step_due_requests",
            "openloop_step_offered_rps",
            "openloop_step_slots",
            "openloop_ttft_seconds_count",
        }
    )
    assert "openloop_requests_in_flight" in names


def test_a_ramp_is_told_where_it_is() -> None:
    """What a step offers is that of the moment: 40 % of the way from 10/s to 60/s is 30/s."""
    ramp = step(1, duration_ns=10 * S, rate_rps=10.0, rate_end_rps=60.0)
    found = samples(exposing.answer(collector(({}, moment(step=ramp))), None)[1].decode())
    assert found["openloop_step_offered_rps", ()] == 30


def test_runs_share_families() -> None:
    """Two runs give one family each name, so that the whole is one valid exposition, and two samples."""
    both = collector(({"run": "a"}, moment()), ({"run": "b"}, moment(sent=7)))
    text = exposing.answer(both, OPENMETRICS)[1].decode()
    assert text.endswith("# EOF\n")
    families = list(openmetrics_families(text))
    assert len({f.name for f in families}) == len(families)
    (sent,) = [f for f in families if f.name == "openloop_requests_sent"]
    assert {s.labels["run"]: s.value for s in sent.samples} == {"a": 142, "b": 7}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_nothing_to_lint() -> None:
    """Names, units and help texts are as Prometheus's own linter wants them."""
    body = exposing.answer(collector(({"run": "r1"}, moment(spent_usd=0.25))), None)[1]
    done = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@given(st.lists(st.integers(0, 50), min_size=TTFT_BINS, max_size=TTFT_BINS))
def test_native_histograms_are_the_bins(counts: list[int]) -> None:
    """Spans and deltas give the counts back, each under its own edge; what lies below the first edge is in the zero bucket."""
    made = monitoring.native_histogram(counts, 1.0)
    found = [made.zero_count] + [0] * (TTFT_BINS - 1)
    deltas = iter(made.pos_deltas or ())
    index = count = 0
    for span in made.pos_spans or ():
        index += span.offset
        for _ in range(span.length):
            count += next(deltas)
            edge_ns = 1e9 * 2 ** (index / 2**made.schema)
            assert edge_ns == pytest.approx(ttft_of_bin(index - TTFT_FIRST))
            found[index - TTFT_FIRST] = count
            index += 1
    assert found == counts
    assert made.count_value == sum(counts)


def test_protobuf_has_both_forms_of_the_histogram() -> None:
    """A scraper that asks for protobuf gets the same families and figures, and the native histogram besides."""
    kind, body = exposing.answer(collector(({"run": "r1"}, moment())), PROTOBUF)
    assert "io.prometheus.client.MetricFamily" in kind
    families = {f.name: f for f in native.decode(body)}
    (sent,) = families["openloop_requests_sent_total"].metric
    assert (sent.counter.value, sent.label[0].value) == (142, "r1")
    (ttft,) = families["openloop_ttft_seconds"].metric
    assert (ttft.histogram.sample_count, ttft.histogram.sample_sum, ttft.histogram.schema) == (133, 17.9, 3)
    assert [b.cumulative_count for b in ttft.histogram.bucket][-1] == 133
    assert list(ttft.histogram.positive_delta) == [100, -67]


def test_protobuf_and_text_have_the_same_series() -> None:
    """Which form a scraper asks for changes no name of a series."""
    both = collector(({"run": "r1"}, moment()))
    text = {name for name, _ in samples(exposing.answer(both, None)[1].decode())}
    families = {f.name for f in native.decode(exposing.answer(both, PROTOBUF)[1])}
    assert {re.sub(r"^(openloop_ttft_seconds)_(bucket|count|sum)$", r"\1", name) for name in text} == families


def test_without_protobuf_the_text_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has not installed the extra is served text with the classic histogram, whatever the scraper prefers."""
    monkeypatch.setitem(sys.modules, "console.native", None)
    monkeypatch.delattr("console.native", raising=False)
    kind, _ = exposing.answer(collector(({}, moment())), PROTOBUF)
    assert kind.startswith("text/plain")


def get(url: str, **headers: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, ""


def test_the_endpoint_shows_metrics_to_the_loopback_alone() -> None:
    """/metrics and nothing else; a name that was made to lead here (DNS rebinding) is refused."""
    with exposing.exposing(0) as board:
        url = f"http://127.0.0.1:{board.port}"
        assert get(f"{url}/metrics")[0] == 200  # before the first look, too
        board.post("quick", moment())
        assert 'openloop_requests_sent_total{run="r1",scenario="quick"} 142.0' in get(f"{url}/metrics")[1]
        assert get(f"{url}/")[0] == 404
        assert get(f"{url}/metrics", Host="evil.example")[0] == 403


def test_a_taken_port_is_said_before_anything_is_sent() -> None:
    """The port, the address and the remedy."""
    with (
        exposing.exposing(0) as board,
        pytest.raises(MachineError, match=rf"--prometheus: port {board.port} of 127.0.0.1.*choose another"),
        exposing.exposing(board.port),
    ):
        pass


def test_a_real_run_is_scraped(tmp_path: Path) -> None:
    """`openloop run --prometheus 0` says where; what is scraped while it runs is never more than what the run's report counts."""
    words = [*OPENLOOP, "run", "--target", "simulator", "--rate", "20/s", "--duration", "3s"]
    words += ["--output-tokens", "8", "--prometheus", "0", "--no-live", "--runs-dir", str(tmp_path)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        url = said.removeprefix("metrics: ").strip()
        seen = 0.0
        while process.poll() is None:
            try:
                text = get(url)[1]
            except (urllib.error.URLError, ConnectionError):
                break  # it ended between the two
            sent = [v for (name, _), v in samples(text).items() if name == "openloop_requests_sent_total"]
            seen = max([seen, *sent])
            time.sleep(0.1)
        process.communicate(timeout=60)
    finally:
        process.kill()
    (folder,) = tmp_path.iterdir()
    recorded = pq.read_table(folder / "requests.parquet", columns=["sent_ns"]).num_rows
    assert 0 < seen <= recorded
