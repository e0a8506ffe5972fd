"""SLOs: what a person may write, the presets, and what the report says of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from report_runs import aimed, judged, small

from analysis import catalog, database
from analysis.report import goodput, goodput_charts
from console import cli
from generator.scenario import slo_presets
from generator.scenario.slo import SloForm
from tests import fabricate

PAGE = (Path(__file__).parents[1] / "docs" / "goodput.md").read_text()


@pytest.mark.parametrize(
    ("written", "limits"),
    [
        ({"ttft": "500ms", "attainment": "99%"}, {"ttft_ms": 500.0, "attainment": 0.99}),
        ({"icl": "2s", "ttfo": "1s"}, {"ttfo_ms": 1000.0, "icl_ms": 2000.0}),
        ("mlperf/llama2-70b-interactive", {"ttft_ms": 450.0, "tpot_ms": 40.0, "attainment": 0.99}),
        (
            {"preset": "mlperf/llama2-70b", "ttft": "1s", "attainment": "90%", "e2e": "9s"},
            {"ttft_ms": 1000.0, "tpot_ms": 200.0, "e2e_ms": 9000.0, "attainment": 0.9},
        ),
        (
            {"preset": "mlperf/llama2-70b", "fluidity": "90%"},
            {"ttft_ms": 2000.0, "tpot_ms": 200.0, "fluidity": 0.9, "fluidity_first_ms": 2000.0, "fluidity_next_ms": 200.0, "attainment": 0.99},
        ),
        (
            {"tpot": "50ms", "fluidity": {"share": 0.8, "first": "300ms"}},
            {"tpot_ms": 50.0, "fluidity": 0.8, "fluidity_first_ms": 300.0, "fluidity_next_ms": 50.0},
        ),
        ({}, {}),
    ],
)  # fmt: skip
def test_what_is_written_and_what_it_limits(written: Any, limits: dict[str, float]) -> None:
    """A preset gives what is not said beside it; fluidity takes its deadlines from the other limits."""
    assert SloForm.model_validate(written).limits() == limits


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("mlperf/llama2-70b-interactiv", "nearest: 'mlperf/llama2-70b-interactive'"),
        ("llama2-70b", "nearest: 'mlperf/llama2-70b'"),
        ("mlperf/mixtral", "nearest: 'mlperf/mixtral-8x7b'"),
        ({"ttft": "0s"}, "a limit of zero is met by nothing"),
        ({"fluidity": "90%"}, "fluidity needs deadlines"),
        ({"fluidity": "90%", "ttft": "1s"}, "fluidity needs deadlines"),
        ({"fluidity": {"first": "1s", "next": "1s"}}, "share"),
    ],
)
def test_a_wrong_slo_says_what_is_right(written: Any, said: str) -> None:
    """The nearest preset, or what is missing."""
    with pytest.raises(ValidationError, match=re.escape(said)):
        SloForm.model_validate(written)


def test_every_preset_is_documented_and_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """docs/goodput.md and `openloop slos` have each with its limits."""
    assert cli.main(["slos"]) == 0
    listed = capsys.readouterr().out
    for name, preset in slo_presets.PRESETS.items():
        assert f"| `{name}` | {preset.ttft_ms:g} ms | {preset.tpot_ms:g} ms |" in PAGE
        assert re.search(
            rf"^{re.escape(name)} +{preset.ttft_ms:g} ms +{preset.tpot_ms:g} ms +99% *$", listed, re.MULTILINE
        )
    assert cli.main(["slos", "--json"]) == 0
    assert '"mlperf/mixtral-8x7b": {' in capsys.readouterr().out


def test_the_report_says_up_to_which_load_and_why_not_beyond(tmp_path: Path) -> None:
    """Of three rates the first is met: causes of the others, a sentence, tables and charts."""
    con, report, _ = judged(aimed(tmp_path / "run-1"))
    con.close()
    found = report["goodput"]
    assert (found["wanted"], found["wanted_said"], found["preset"]) == (0.9, True, "mlperf/made-up")
    assert [r["state"] for r in found["by_load"]] == ["met", "missed", "missed"]
    assert {(r["step_id"], r["cause"]): r["requests"] for r in found["misses"]} == {
        (1, "TTFT"): 6, (1, "TPOT"): 6, (1, "TTFT + TPOT"): 6, (1, "rate_limited"): 1, (1, "cancelled"): 1, (2, "TTFT"): 10,
    }  # fmt: skip
    assert goodput.sentences(report) == [
        (
            "The largest load that shows an attainment of 90.0 % is 10 requests/s: attainment 100 %, at least 91.2 % with 95 % confidence; "
            "goodput 4.00 requests/s. At 20 requests/s it was 50.0 %."
        )
    ]
    assert [t.title for t in goodput.tables(report)] == ["Goodput", "SLO missed", "Fluidity"]
    (section,) = goodput_charts.sections(report)
    assert [f.id for f in section.figures] == ["attainment", "goodput-load", "misses"]
    assert all(panel.wide.startswith("<svg") for figure in section.figures for panel in figure.panels)


def largest(**changes: Any) -> dict[str, Any]:
    row = {
        "series": "s",
        "axis": "slots",
        "wanted": 0.99,
        "loads": 3,
        "state": "all met",
        "met_load": 64.0,
        "met_attainment": 1.0,
        "unmet_below": 0,
    }
    row |= {
        "met_attainment_low": 0.995,
        "met_goodput_rps": 12.0,
        "next_load": None,
        "next_attainment": None,
        "next_state": None,
    }
    return row | changes


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            {},
            "is 64 slots: attainment 100 %, at least 99.50 % with 95 % confidence; goodput 12.0 requests/s. It is the largest that was measured",
        ),
        ({"unmet_below": 1}, "But one smaller load was not met"),
        (
            {
                "state": "not reached",
                "met_load": None,
                "next_load": 8.0,
                "next_attainment": 0.5,
                "next_state": "missed",
            },
            "No load shows an attainment of 99.0 %: at 8 slots, the smallest load, it was 50.0 %.",
        ),
        (
            {
                "state": "not reached",
                "met_load": None,
                "next_load": 8.0,
                "next_attainment": 1.0,
                "next_state": "undecided",
            },
            "it was 100 %, from too few requests to show it, for which 381 without a miss are the least.",
        ),
    ],
)
def test_a_bound_is_not_told_as_an_answer(row: dict[str, Any], said: str) -> None:
    """All met, none shown, too few requests: each has its own words."""
    report = {"goodput": {"largest": [largest(**row)], "wanted_said": False, "wanted": 0.9}}
    first, assumed = goodput.sentences(report)
    assert said in first
    assert "90.0 % is assumed" in assumed


def test_without_an_slo_nothing_is_said(tmp_path: Path) -> None:
    """No part in the JSON, no table, no chart; goodput of every ok request would be a throughput by another name."""
    con, report, _ = judged(small(tmp_path / "run-1"))
    con.close()
    assert report["goodput"] is None
    assert (goodput.tables(report), goodput.sentences(report), goodput_charts.sections(report)) == ([], [], [])


def test_attainments_interval_is_of_what_the_requests_are_worth(tmp_path: Path) -> None:
    """2,000 requests of which a tenth missed: alone, they tell 90 % to some 1.5 points to each side; forty at a time, to more than five. The load
    of two such steps is known better than each."""
    rng = np.random.default_rng(1)
    clumped = np.repeat(rng.random(50) * 1.06, 40)
    rows = []
    for step_id, values in enumerate([rng.permutation(clumped), clumped, clumped]):
        for number, seconds in enumerate(values):
            row = fabricate.request(number, step_id, at_ms=5.0 * number, streamed=False)
            rows.append(row | {"done_ns": row["scheduled_ns"] + int(seconds * fabricate.S)})
    steps = [fabricate.step(0, rate_rps=100.0), *(fabricate.step(n, rate_rps=200.0) for n in (1, 2))]
    run = fabricate.write(tmp_path / "r", steps=steps, requests=rows, slo={"e2e_ms": 1000, "attainment": 0.85})
    with database.open_runs([run]) as con:
        found = catalog.run(con, "goodput").dicts()
        apart, together = catalog.run(con, "goodput_by_load").dicts()
    widths = [r["attainment_high"] - r["attainment_low"] for r in (*found, apart, together)]
    assert widths[0] == widths[3] < 0.04
    assert widths[1] == widths[2] > 0.1
    assert widths[1] / 1.6 < widths[4] < widths[1] / 1.2
    assert (apart["state"], together["state"]) == ("met", "undecided")


@pytest.mark.parametrize("first_ms", [900.0, 1000.0])
def test_the_interval_of_fluent_answers_is_attainments(tmp_path: Path, first_ms: float) -> None:
    """The same 1,000 answers, one chunk each, apart and forty at a time: the interval is that of the attainment of the same limits, wide for
    clumps, whether some were late or, within 1,000 ms, none was."""
    clumped = np.repeat(np.random.default_rng(3).random(25), 40)
    rows, chunks = [], []
    for step_id, values in enumerate([np.random.default_rng(4).permutation(clumped), clumped]):
        for number, seconds in enumerate(values):
            row = fabricate.request(number, step_id, at_ms=10.0 * number)
            rows.append(row)
            chunks.append(fabricate.token(row, 0, row["scheduled_ns"] + int(seconds * fabricate.S)))
    steps = [fabricate.step(n) for n in (0, 1)]
    run = fabricate.write(
        tmp_path / "r", steps=steps, requests=rows, tokens=chunks, slo={"ttft_ms": first_ms, "tpot_ms": 50}
    )
    with database.open_runs([run]) as con:
        fluent = catalog.run(con, "fluidity_summary").dicts()
        attained = catalog.run(con, "goodput").dicts()
    apart, together = ((r["fluent_low"], r["fluent_high"]) for r in fluent)
    assert [apart, together] == [(r["attainment_low"], r["attainment_high"]) for r in attained]
    assert together[1] - together[0] > 3 * (apart[1] - apart[0])
