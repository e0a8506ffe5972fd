"""Thresholds against runs whose figures are known by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis import database, thresholds
from tests import fabricate

TTFT_MS = (10.0, 20.0, 30.0, 40.0, 50.0)


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """Step 0: five good answers with TTFT 10 to 50 ms and gaps of 1, 2 and 3 ms, one 429, one never sent, one probe; lateness
    50 µs but for one request that was 2 ms late. Step 1: nothing was recorded."""
    answers = [
        fabricate.answer(n, at_ms=100.0 * n, ttft_ms=ms, gaps_ms=(1.0, 2.0, 3.0)) for n, ms in enumerate(TTFT_MS)
    ]
    requests = [row for row, _ in answers]
    requests[0]["issued_ns"] = requests[0]["scheduled_ns"] + 2 * fabricate.MS
    requests.append(fabricate.request(5, at_ms=500.0, outcome="rate_limited", http_status=429))
    requests.append(fabricate.request(6, at_ms=600.0, outcome="dropped", issued_ns=None, sent_ns=None, done_ns=None))
    requests.append(fabricate.request(-1, step_id=-1, phase="probe", outcome="server_error"))
    run = fabricate.write(
        tmp_path / "run-1",
        steps=[fabricate.step(0), fabricate.step(1, start_ns=fabricate.START_NS + 60 * fabricate.S)],
        requests=requests,
        tokens=[token for _, tokens in answers for token in tokens],
        slo={"ttft_ms": 35.0},
    )
    return run.path


def judged(path: Path, rule: str) -> list[tuple[float | None, bool]]:
    with database.open_runs([fabricate.RunDir(path)]) as connection:
        return [(found["figure"], found["holds"]) for found in thresholds.judge(connection, [rule])]


@pytest.mark.parametrize(
    ("rule", "figure"),
    [
        ("p50(ttft) < 1s", 30.0),
        ("p75(ttft) < 1s", 40.0),
        ("p90(ttft) < 1s", 46.0),  # interpolated: 40 + 0.6 · 10
        ("mean(ttft) < 1s", 30.0),
        ("max(ttft) < 1s", 50.0),
        ("min(e2e) < 1s", 16.0),
        ("mean(tpot) < 1s", 2.0),
        ("p50(icl) < 1s", 2.0),
        ("p99(icl) < 1s", 3.0),
        ("mean(icl) < 1s", 2.0),
        ("max(icl) < 1s", 3.0),
        ("max(lateness) < 1s", 2.0),
        ("share(rate_limited) < 100%", 1 / 7),
        ("share(failed) < 100%", 2 / 7),
        ("rate(requests) < 100/s", 0.5),
        ("rate(output_tokens) < 100/s", 2.0),
        ("rate(goodput) < 100/s", 0.3),
        ("attainment < 100%", 3 / 7),
    ],
)
def test_figures_are_those_worked_out_by_hand(known: Path, rule: str, figure: float) -> None:
    """Percentiles and means over good requests, lateness over all that were issued, shares over all that were due; no probes."""
    (first, holds), _ = judged(known, rule)
    assert first == pytest.approx(figure)
    assert holds


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        ("max(ttft) < 50ms", False),
        ("max(ttft) <= 50ms", True),
        ("max(ttft) > 50ms", False),
        ("max(ttft) >= 50ms", True),
        ("share(failed) < 28%", False),
        ("share(failed) < 29%", True),
    ],
)
def test_a_rule_holds_or_fails_at_its_limit(known: Path, rule: str, holds: bool) -> None:
    """Strict and non-strict comparisons differ at the limit itself."""
    assert judged(known, rule)[0][1] is holds


@pytest.mark.parametrize("rule", ["p99(ttft) < 1h", "share(failed) < 100%", "attainment >= 0%"])
def test_a_figure_that_does_not_exist_breaks_its_rule(known: Path, rule: str) -> None:
    """A step without requests cannot pass: that nothing was measured is no success."""
    assert judged(known, rule)[1] == (None, False)
