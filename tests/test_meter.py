"""The live view's figures out of the counters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from plans import S, folder, plan, step

from generator import job, meter
from generator.counters import INDEX, NAMES, Counters, ttft_bin, ttft_of_bin
from generator.meter import Meter


class Watch:
    """A meter on a clock under the test's hand, with two workers' counters."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch, made: job.Plan) -> None:
        self.now_ns = 1_000 * S
        monkeypatch.setattr(meter.clock, "monotonic_ns", lambda: self.now_ns)
        self.counters = Counters(folder(path, made).counters_path, made.workers, create=True)
        self.meter = Meter(made, self.counters)

    def add(self, worker: int = 0, **values: int) -> None:
        for name, value in values.items():
            self.counters.row(worker)[INDEX[name]] += value

    def answered(self, ttft_ns: int, count: int, worker: int = 0) -> None:
        self.counters.row(worker)[len(NAMES) + ttft_bin(ttft_ns)] += count


OPEN = step(duration_ns=10 * S, rate_rps=10.0)
THEN = step(1, duration_ns=5 * S, pause_ns=S)


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(tmp_path, monkeypatch, plan(OPEN, THEN, workers=2))


def test_counts_are_of_all_workers(watch: Watch) -> None:
    """Sums over workers; outcomes without the empty ones."""
    watch.add(0, sent=3, done=1, ok=1, in_flight=2)
    watch.add(1, sent=4, done=3, ok=2, timeout=1, in_flight=1)
    found = watch.meter.read("step", OPEN, ("a note",))
    assert (found.sent, found.done, found.in_flight, found.outcomes) == (7, 4, 3, {"ok": 3, "timeout": 1})
    assert found.notes == ("a note",)
    assert found.steps == 2


def test_rates_are_of_the_last_second_or_so(watch: Watch) -> None:
    """Over the readings kept: what came before them is forgotten, so a change shows."""
    for _ in range(20):
        watch.now_ns += S // 4
        watch.add(sent=25, tokens=1000)
        found = watch.meter.read("step", OPEN, ())
    assert found.sent_per_s == pytest.approx(100)
    assert found.tokens_per_s == pytest.approx(4000)
    for _ in range(5):
        watch.now_ns += S // 4
        found = watch.meter.read("step", OPEN, ())
    assert (found.sent_per_s, found.tokens_per_s) == (0, 0)


def test_percentiles_are_of_recent_answers(watch: Watch) -> None:
    """Upper edges of the bins of what was answered lately; None when nothing was."""
    assert watch.meter.read("step", OPEN, ()).ttft_p50_ms is None
    watch.answered(10_000_000, 98)
    watch.answered(500_000_000, 2, worker=1)
    found = watch.meter.read("step", OPEN, ())
    assert found.ttft_p50_ms is not None
    assert found.ttft_p99_ms is not None
    assert 10 <= found.ttft_p50_ms <= 10 * 2 ** (1 / 8)
    assert 500 <= found.ttft_p99_ms <= 500 * 2 ** (1 / 8)
    for _ in range(6):
        found = watch.meter.read("step", OPEN, ())
    assert found.ttft_p50_ms is None
    assert sum(found.ttft_bins) == 100, "the whole run's, not the last second's"


@pytest.mark.parametrize("ns", [1, 61_035, 61_036, 1_000_000, 10**9, 117 * 10**9, 1_024 * 10**9])
def test_a_bin_holds_its_time(ns: int) -> None:
    """At most its upper edge, more than the edge below."""
    i = ttft_bin(ns)
    assert ns <= ttft_of_bin(i) * (1 + 1e-12)
    assert i == 0 or ns > ttft_of_bin(i - 1) * (1 - 1e-12)


def test_what_is_due_and_what_is_left(watch: Watch) -> None:
    """Arrivals that should have been sent by now; the rest of this step and all of the later ones, pauses included."""
    watch.meter.begin(watch.now_ns + S, np.array([0, S, 2 * S, 9 * S]))
    found = watch.meter.read("step", OPEN, ())
    assert (found.due, found.step_elapsed_s, found.left_s) == (0, 0, 16)
    watch.now_ns += 3 * S
    found = watch.meter.read("step", OPEN, ())
    assert (found.due, found.step_elapsed_s, found.step_expected_s, found.left_s) == (3, 2, 10, 14)
    watch.now_ns += 60 * S
    assert watch.meter.read("drain", OPEN, ()).left_s == 6


def test_a_step_by_number_tells_its_length_as_it_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown before the first answer, then by proportion; the run's rest is unknown while another such step is to come."""
    by_number = step(concurrency=2, requests=100)
    watch = Watch(tmp_path, monkeypatch, plan(by_number, step(1, concurrency=2, requests=5)))
    watch.meter.begin(watch.now_ns, None)
    watch.now_ns += 2 * S
    found = watch.meter.read("step", by_number, ())
    assert (found.due, found.step_expected_s, found.left_s) == (None, None, None)
    watch.add(step_done=20)
    found = watch.meter.read("step", by_number, ())
    assert (found.step_expected_s, found.left_s) == (10, None)


def test_outside_a_step(watch: Watch) -> None:
    """Before the first one there is nothing to expect."""
    found = watch.meter.read("starting", None, ())
    assert (found.step_elapsed_s, found.step_expected_s, found.left_s) == (0, None, None)
