"""The report for other programs: JUnit XML, HdrHistogram logs, and other tools' figures."""

from __future__ import annotations

import json
import re
import sys
from xml.etree import ElementTree as ET

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from report_runs import HOSTILE, INVALID, hostile, judged, single, small
from rich.table import Table

from analysis import relations
from analysis.report import hdr, junit, profile
from analysis.report.terminal import Lines
from analysis.validity import Rule, Verdict
from console import cli
from console.commands.read import PROFILES
from generator.errors import OpenloopError
from tests import fabricate


def report_of(run, verdict=None):
    con, report, manifest = judged(run, *([verdict] if verdict else []))
    con.close()
    return report, manifest


def test_junit_has_a_case_for_each_threshold_and_rule(tmp_path):
    """One suite by the run's id; what broke an INVALID rule or a threshold fails with figure, limit and advice; WARN is told, not failed."""
    report, _ = report_of(small(tmp_path / "run"), INVALID)
    (suite,) = ET.fromstring(junit.render(report))
    assert suite.get("name") == fabricate.RUN
    cases = {c.get("name"): c for c in suite.findall("testcase")}
    assert set(cases) == {
        "p50(ttft) < 40ms in 10/s",
        "p50(ttft) < 40ms in 30/s",
        "worker_lost",
        "exact_share in 10/s",
    }
    assert [n for n, c in cases.items() if c.find("failure") is not None] == ["p50(ttft) < 40ms in 30/s", "worker_lost"]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("4", "2", "0")
    assert cases["p50(ttft) < 40ms in 30/s"].find("failure").get("message") == "50; limit 40"
    lost = cases["worker_lost"].find("failure")
    assert lost.get("message") == "worker 1 was lost; limit 0 lost"
    assert "look into workers.log" in lost.text
    assert cases["exact_share in 10/s"].findtext("system-out").startswith("WARN: 91 % of chunks")


def test_junit_bears_hostile_names(tmp_path):
    """Names that end XML elements come back as they were; control characters, which XML 1.0 cannot hold, as escapes."""
    rule = Rule("r\x00\x1b[31m", "INVALID", 0, "]]>\ud800", HOSTILE, HOSTILE, True)
    report, _ = report_of(hostile(tmp_path / "run"), Verdict("INVALID", [], [rule]))
    text = junit.render(report)
    text.encode("utf-8")
    (suite,) = ET.fromstring(text)
    case = suite.find("testcase")
    assert case.get("name").startswith("r\\x00\\x1b[31m in ")
    assert "</script><img src=x onerror=alert(1)>" in case.get("name")
    assert case.find("failure").get("message").startswith("]]>\\ud800; limit </script>")


def test_hdr_log_gives_the_values_back(tmp_path):
    """Another reader of such logs finds a line a step and metric, with the counts and, to three digits, the values of the run."""
    con, report, manifest = judged(small(tmp_path / "run"))
    with con:
        text = hdr.render(con, report, manifest)
    path = tmp_path / "run.hlog"
    path.write_text(text)
    reader = HistogramLogReader(str(path), HdrHistogram(1, hdr._HOUR_NS, 3))
    found = {}
    while (histogram := reader.get_next_interval_histogram()) is not None:
        found[histogram.get_tag()] = histogram
    assert list(found) == [
        *(f"0-10_s.{m}" for m in hdr.METRICS),
        *(f"1-30_s.{m}" for m in hdr.METRICS),
    ]
    ttft = found["0-10_s.ttft"]
    assert ttft.get_total_count() == 4
    assert [ttft.get_value_at_percentile(p) for p in (25, 50, 75, 100)] == pytest.approx([1e7, 2e7, 3e7, 4e7], rel=1e-3)
    assert found["0-10_s.icl"].get_total_count() == 16
    assert found["0-10_s.icl"].get_value_at_percentile(50) == pytest.approx(1e7, rel=1e-3)
    assert found["1-30_s.tpot"].get_value_at_percentile(100) == pytest.approx(2e7, rel=1e-3)
    assert found["1-30_s.e2e"].get_value_at_percentile(100) == pytest.approx(9e7, rel=1e-3)
    rows = re.findall(r"^Tag=[\w.-]+,([\d.]+),([\d.]+),([\d.]+),HISTF", text, re.MULTILINE)
    assert rows[0] == ("0.000", "10.000", "40.000")
    assert rows[4] == ("20.000", "10.000", "50.000")


def test_hdr_leaves_out_what_was_not_measured_and_keeps_what_is_long(tmp_path):
    """A metric without values has no line; a latency above an hour is no reason to lose it; a name cannot break a line."""
    row, tokens = fabricate.answer(gaps_ms=(), ttft_ms=5_000_000.0)
    run = fabricate.write(
        tmp_path / "run", steps=[fabricate.step(name="a,b\nc", offered=1)], requests=[row], tokens=tokens
    )
    con, report, manifest = judged(run)
    with con:
        lines = [line for line in hdr.render(con, report, manifest).splitlines() if line.startswith("Tag=")]
    assert [line.split(",", 1)[0] for line in lines] == ["Tag=0-a_b_c.ttft", "Tag=0-a_b_c.e2e"]
    decoded = HdrHistogram.decode(lines[0].rsplit(",", 1)[1])
    assert decoded.get_max_value() == pytest.approx(5e12, rel=1e-3)


def test_hdr_keeps_a_gap_below_zero_as_zero(tmp_path):
    """Two stamps may lie a few microseconds the wrong way round, which the checks allow and a histogram does not hold."""
    row, tokens = fabricate.answer(gaps_ms=(10.0, -0.03, 10.0))
    con, report, manifest = judged(
        fabricate.write(tmp_path / "run", steps=[fabricate.step(offered=1)], requests=[row], tokens=tokens)
    )
    with con:
        lines = hdr.render(con, report, manifest).splitlines()
    gaps = HdrHistogram.decode(next(line for line in lines if ".icl," in line).rsplit(",", 1)[1])
    assert gaps.get_total_count() == 3
    assert gaps.get_min_value() == 0


def test_hdr_without_its_package_says_what_to_install(tmp_path, monkeypatch):
    """The extra is optional: without it the message names it."""
    monkeypatch.setitem(sys.modules, "hdrh.histogram", None)
    con, report, manifest = judged(small(tmp_path / "run"))
    with con, pytest.raises(OpenloopError, match=re.escape("pip install 'openloop[hdr]'")):
        hdr.render(con, report, manifest)


@pytest.mark.parametrize(("form", "start"), [("junit", "<testsuites>"), ("hdr", "#[openloop run run-1: ")])
def test_the_command_line_writes_each_form(form, start, tmp_path):
    """``--format`` with ``-o`` gives a file of that form."""
    run, out = small(tmp_path / "run"), tmp_path / "out"
    assert cli.main(["report", str(run.path), "--format", form, "-o", str(out)]) == 0
    assert out.read_text().startswith(start)


def test_every_profile_has_its_query():
    """What the command line offers and what the catalog has are the same."""
    queries = {q.name for q in relations.load().values() if q.kind == "profiles"}
    assert queries == {f"profile_{tool.replace('-', '_')}" for tool in PROFILES}


def test_profiles_tell_figures_and_what_the_facts_cannot(tmp_path, capsys):
    """Text has a table a tool with its notes; JSON has the rows, with the verdict beside them."""
    run = small(tmp_path / "run")
    assert cli.main(["report", str(run.path), "--profile", "vllm", "--profile", "inference-perf"]) == 0
    text = capsys.readouterr().out
    assert "vllm, ms" in text
    assert "inference-perf, ms" in text
    assert "ttft: first chunk − issued. Note: a chunk with a role and no text counts in the tool" in text.replace(
        "\n", " "
    )
    assert cli.main(["report", str(run.path), "--profile", "guidellm", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["run_id"] == fabricate.RUN
    (guidellm,) = found["profiles"]
    ttft = next(f for f in guidellm["figures"] if f["metric"] == "time_to_first_token" and f["step"] == "30/s")
    assert ttft["p50_ms"] == pytest.approx(50 - 0.08)


def test_a_profile_of_nothing_says_so(tmp_path):
    """Without an answer there is no table, and no figure made up."""
    con, report, _ = judged(fabricate.write(tmp_path / "run"))
    with con:
        found = profile.build(con, report, ["vllm"])
    assert found["profiles"] == [{"tool": "vllm", "figures": []}]
    assert "nothing to recompute" in profile.render(found)


def test_one_token_has_no_tpot_in_any_profile(tmp_path):
    """Division by N − 1 leaves a single token out rather than calling it zero or infinite."""
    con, report, _ = judged(single(tmp_path / "run"))
    with con:
        found = profile.build(con, report, PROFILES)
    averages = {"tpot", "time_per_output_token", "inter_token_latency", "itl"}
    left = {(p["tool"], f["metric"]) for p in found["profiles"] for f in p["figures"] if f["metric"] in averages}
    assert left == {("guidellm", "time_per_output_token"), ("llmperf", "inter_token_latency")}


@pytest.mark.parametrize("words", [["--format", "html", "-o", "x.html"], ["--format", "junit"], ["--format", "csv"]])
def test_profiles_are_text_or_json(tmp_path, words, capsys):
    """Forms that a profile does not have are refused, not ignored."""
    run = small(tmp_path / "run")
    assert cli.main(["report", str(run.path), "--profile", "vllm", *words]) == 2
    assert "--profile goes with --format text or json alone" in capsys.readouterr().err


def test_a_wide_table_is_printed_whole() -> None:
    """A figure that is cut off says something else; text beside it keeps to the console's width."""
    lines = Lines(20, colour=False)
    table = Table(box=None)
    table.add_column("figure", no_wrap=True)
    table.add_column("interval", no_wrap=True)
    table.add_row("1,391", "1,310 to 1,484, of as many independent ones")
    lines.print(table)
    lines.print("words that do not fit into twenty columns")
    told = lines.text().splitlines()
    assert "1,310 to 1,484, of as many independent ones" in told[1]
    assert max(len(line) for line in told[2:]) <= 20
