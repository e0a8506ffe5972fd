"""The stable report: its keys are documented, its figures are those of hand-made rows, its three plain forms stay as they are."""

from __future__ import annotations

import csv as stdlib_csv
import io
import json as stdlib_json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fabricate import answer, request, step, write
from report_runs import HOSTILE, INVALID, STATES, aimed, compared, hostile, judged, limited, small, talking

from analysis.report import csv, json, text, wording
from generator.run_dir import RunDir

GOLDEN = Path(__file__).parent / "golden"
PAGE = (Path(__file__).parents[1] / "docs" / "report.md").read_text()
LATENCY_KEYS = {
    "mean",
    "min",
    "max",
    "p50",
    "p75",
    "p90",
    "p95",
    "p99",
    "p99_9",
    "n",
    "adjusted",
    "intervals",
    "withheld",
}


def report_of(make: Any, path: Path, *verdict: Any) -> dict[str, Any]:
    con, report, _ = judged(make(path / "run-1"), *verdict)
    con.close()
    return report


def paths(value: Any, prefix: str = "") -> Iterator[str]:
    """Dotted keys as docs/report.md writes them. Maps by outcome, library or metric end there; lists are named and looked into."""
    if isinstance(value, dict) and not prefix.endswith((".outcomes", ".versions", ".host", ".slo", ".limits", "_ms")):
        for key, inner in value.items():
            yield from paths(inner, f"{prefix}.{key}" if prefix else key)
        return
    yield prefix
    for item in value if isinstance(value, list) else ():
        if isinstance(item, dict):
            yield from paths(item, prefix)


def documented() -> set[str]:
    """First cells of the page's tables, but for the keys that all latencies share."""
    keys: set[str] = set()
    for section in PAGE.split("\n## ")[1:]:
        if not section.startswith("Latencies"):
            keys |= {
                key
                for cell in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
                for key in re.findall(r"`([\w.]+)`", cell)
            }
    return keys | {f"steps.{m}" for m in wording.METRICS}


def rounded(value: Any) -> Any:
    """Nine digits, so that a golden file does not hang on the order of a sum."""
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return round(value, 9) if isinstance(value, float) else value


@pytest.mark.parametrize("form", ["json", "csv", "txt"])
def test_plain_forms_stay_as_they_are(form: str, tmp_path: Path) -> None:
    """What other programs and people read of a small run changes only on purpose: OPENLOOP_GOLDEN=write renews the files."""
    report = rounded(report_of(small, tmp_path))
    made = {"json": json.render, "csv": csv.render, "txt": text.render}[form](report).encode()
    golden = GOLDEN / f"report-small.{form}"
    if os.environ.get("OPENLOOP_GOLDEN") == "write":
        golden.write_bytes(made)
    assert made == golden.read_bytes()


def test_latencies_are_those_of_the_rows(tmp_path: Path) -> None:
    """TTFT 10, 20, 30, 40 ms: the median lies between the middle two, p90 at 0.7 of the way from the third to the fourth."""
    first = report_of(small, tmp_path)["steps"][0]
    assert first["ttft_ms"]["p50"] == pytest.approx(25)
    assert first["ttft_ms"]["p90"] == pytest.approx(37)
    assert (first["ttft_ms"]["min"], first["ttft_ms"]["max"], first["ttft_ms"]["n"]) == (10, 40, 4)
    assert first["tpot_ms"]["p50"] == pytest.approx(10)
    assert first["icl_ms"]["n"] == 16
    assert first["e2e_ms"]["max"] == pytest.approx(80)
    assert first["lateness_ms"]["p50"] == pytest.approx(0.05)


def test_few_requests_withhold_high_percentiles(tmp_path: Path) -> None:
    """A percentile that four requests cannot bound is null, and the reason stands beside it."""
    ttft = report_of(small, tmp_path)["steps"][0]["ttft_ms"]
    assert ttft["p99"] is None
    assert ttft["p99_9"] is None
    assert "4 of 299" in ttft["withheld"]["p99"]
    assert "4 of 2995" in ttft["withheld"]["p99_9"].replace(",", "")


def test_failures_are_infinitely_late_when_adjusted(tmp_path: Path) -> None:
    """With two of three requests failed the adjusted median is infinite: null, and the reason says so."""
    second = report_of(small, tmp_path)["steps"][1]
    assert second["ttft_ms"]["p50"] == pytest.approx(50)
    assert second["ttft_ms"]["adjusted"]["p50"] is None
    assert "infinite" in second["ttft_ms"]["withheld"]["adjusted.p50"]
    assert second["success_rate"] == pytest.approx(1 / 3)
    assert second["outcomes"] == {"ok": 1, "rate_limited": 1, "lost": 1}


def partly_timed(path: Path) -> RunDir:
    """Ten ok, eight of them of one token, which has no TPOT; two failed."""
    answers = [answer(n, at_ms=100.0 * n, gaps_ms=(10.0,) if n < 2 else ()) for n in range(10)]
    late = [request(n, at_ms=100.0 * n, outcome="timeout") for n in range(10, 12)]
    tokens = [t for _, rows in answers for t in rows]
    return write(path, steps=[step(offered=12)], requests=[*(row for row, _ in answers), *late], tokens=tokens)


def test_what_few_answers_have_is_not_called_failed(tmp_path: Path) -> None:
    """Of twelve requests two failed. Of four that have a TPOT or failed these are half: infinite, and the words say half of what."""
    only = report_of(partly_timed, tmp_path)["steps"][0]
    assert (only["tpot_ms"]["n"], only["tpot_ms"]["adjusted"]["p90"]) == (2, None)
    assert only["tpot_ms"]["withheld"]["adjusted.p90"] == (
        "infinite: more than 10 % of requests that have it or failed are failures"
    )
    assert only["ttft_ms"]["withheld"]["adjusted.p90"] == "infinite: more than 10 % of requests failed"


def test_failures_make_nothing_infinite_that_no_answer_has(tmp_path: Path) -> None:
    """Whole bodies have no TTFT: with one failure among them there are no adjusted figures of it, and no reason as if all had failed."""
    rows = [request(n, at_ms=100.0 * n, streamed=False) for n in range(5)]
    run = write(tmp_path / "run", steps=[step(offered=6)], requests=[*rows, request(5, at_ms=500.0, outcome="timeout")])
    con, report, _ = judged(run)
    con.close()
    only = report["steps"][0]
    assert only["ttft_ms"]["adjusted"] is None
    assert not any(key.startswith("adjusted") for key in only["ttft_ms"]["withheld"])
    assert only["e2e_ms"]["adjusted"]["p50"] is not None


@pytest.mark.parametrize("state", STATES)
def test_every_key_is_documented(state: str, tmp_path: Path) -> None:
    """docs/report.md names every key of the report, whatever state the run is in, and each latency has all its keys."""
    report = report_of(STATES[state], tmp_path, INVALID)
    assert set(paths(report)) <= documented()
    assert all(set(step[metric]) == LATENCY_KEYS for step in report["steps"] for metric in wording.METRICS)
    assert all(f"`{key}`" in PAGE for key in {*LATENCY_KEYS, *(f"steps.{m}" for m in wording.METRICS)})


def test_every_documented_key_is_there(tmp_path: Path) -> None:
    """A run with steps and failures, one with conversations and one with a limit have all that docs/report.md promises."""
    made = set(paths(report_of(small, tmp_path / "small", INVALID)))
    made |= set(paths(report_of(talking, tmp_path / "talking"))) | set(paths(report_of(limited, tmp_path / "limited")))
    made |= set(paths(report_of(compared, tmp_path / "compared"))) | set(paths(report_of(aimed, tmp_path / "aimed")))
    assert documented() - made - {"comparison", "generator", "rate_limit", "run", "totals", "verdict"} == set()


@pytest.mark.parametrize("state", STATES)
def test_plain_forms_are_well_formed_in_every_state(state: str, tmp_path: Path) -> None:
    """JSON parses and has no NaN; CSV has a row a step, all of one length; text has the verdict first and no line over 120."""
    report = report_of(STATES[state], tmp_path, INVALID)

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert stdlib_json.loads(json.render(report), parse_constant=refuse) == report
    header, *rows = stdlib_csv.reader(io.StringIO(csv.render(report)))
    assert len(rows) == len(report["steps"])
    assert all(len(row) == len(header) for row in rows)
    lines = text.render(report).split("\n")
    assert lines[0].startswith("INVALID")
    assert max(map(len, lines)) <= 120


def test_text_keeps_terminals_safe(tmp_path: Path) -> None:
    """An escape sequence in an error message is shown, never sent; rich's markup in a name is text."""
    report = report_of(hostile, tmp_path)
    report["errors"][0]["error_message"] = "\x1b[2J\x07bad"
    shown = text.render(report)
    assert "\x1b" not in shown
    assert r"\x1b[2J\x07bad" in shown
    assert "[red]" in shown
    assert "\u2028" not in shown


def test_a_spreadsheet_sees_text(tmp_path: Path) -> None:
    """A step's name that begins like a formula is quoted in CSV; numbers stay numbers."""
    report = report_of(small, tmp_path)
    report["steps"][0]["name"] = "=cmd()"
    report["steps"][0]["input_tokens"]["error_share"] = -0.5
    row = next(stdlib_csv.DictReader(io.StringIO(csv.render(report))))
    assert row["name"] == "'=cmd()"
    assert row["input_tokens.error_share"] == "-0.5"


def test_steps_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """Charts find steps by their label, so no two may share one."""
    labels = [s["label"] for s in report_of(hostile, tmp_path)["steps"]]
    assert len(set(labels)) == len(labels)
    assert labels[0].startswith(HOSTILE)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0, "0"),
        (0.04123, "0.0412"),
        (9.9951, "10.0"),
        (99.96, "100"),
        (12345.6, "12,346"),
        (-3.2, "−3.20"),
        (float("inf"), "∞"),
    ],
)
def test_numbers_have_three_digits(value: float | None, shown: str) -> None:
    """Three significant digits; whole numbers are never rounded beyond the unit."""
    assert wording.number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(1.0, "100 %"), (0.99999, "99.99 %"), (0.5, "50.0 %"), (0.00001, "0.01 %"), (0, "0 %")]
)
def test_shares_never_round_to_all_or_nothing(value: float, shown: str) -> None:
    """One failure in a hundred thousand is not 100 % ok."""
    assert wording.share(value) == shown
