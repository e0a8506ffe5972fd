"""Prompts and answers on the page: only where asked, as text whatever they hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from fabricate import answer, beat, step, text, write
from report_runs import HOSTILE, judged
from test_report_html import Page

from analysis.report import html
from analysis.report.texts import CHARS, MOST
from console import cli
from generator.run_dir import RunDir

ESCAPES = "\x1b[2J\x1b]0;title\x07 \x00 \x9b31m \u202e"


def run(path: Path, **texts: Any) -> RunDir:
    """Answer n has a TTFT of n + 1 ms; the later it starts the sooner it is done, but the last of 30 takes the longest."""
    answers = [answer(n, at_ms=n, ttft_ms=n + 1, gaps_ms=[200 if n == 29 else 100 - 2 * n]) for n in range(30)]
    return write(
        path / "run-1",
        steps=[step(offered=30, name="only")],
        requests=[row for row, _ in answers],
        tokens=[token for _, tokens in answers for token in tokens],
        health=[beat(second=s) for s in range(11)],
        texts=[text(row, **texts) for row, _ in answers],
    )


def page(of: RunDir, *, with_texts: bool = True) -> tuple[str, Page]:
    con, report, manifest = judged(of)
    made = html.render(con, report, manifest, with_texts=with_texts)
    con.close()
    return made, Page(made)


def test_texts_are_on_the_page_only_where_asked(tmp_path: Path) -> None:
    """The folder's own report has none, whatever the run kept."""
    kept = run(tmp_path, prompt="Tell me a secret.", response="No.")
    assert "Tell me a secret." not in page(kept, with_texts=False)[0]
    assert page(kept)[1].said.count("Tell me a secret.") == 2 * MOST - 1, "one request is among the slowest by both"


def test_the_slowest_by_both_times(tmp_path: Path) -> None:
    """Each says why it is there."""
    said = page(run(tmp_path))[1].said
    assert "request 29 · only · ok · TTFT 30.0 ms · E2E 230 ms · TTFT no. 1, E2E no. 1" in " ".join(said.split())
    assert "TTFT 1.00 ms · E2E 101 ms · E2E no. 2" in " ".join(said.split())


def test_hostile_texts_are_text(tmp_path: Path) -> None:
    """Markup opens nothing, a template is not run, control characters are spelt out, line ends stay."""
    made, parsed = page(run(tmp_path, prompt=HOSTILE, response=f"one\ntwo {ESCAPES}"))
    assert parsed.all("img") == []
    assert len(parsed.all("script")) == 1
    assert "{{ 7*7 }}" in parsed.said
    assert "one\ntwo \\x1b[2J\\x1b]0;title\\x07 \\x00 \\x9b31m \\u202e" in parsed.said
    assert not set("\x1b\x07\x00\x9b\u202e") & set(made)


def test_long_texts_are_cut(tmp_path: Path) -> None:
    """The page stays small whatever was kept."""
    made, _ = page(run(tmp_path, prompt="p" * 20_000))
    assert "p" * CHARS + "…" in made
    assert "p" * (CHARS + 1) not in made


def test_a_run_without_texts_says_so(tmp_path: Path) -> None:
    """With the key that would have kept them."""
    bare = run(tmp_path)
    bare.table_path("texts").unlink()
    assert "The run kept no texts: record: {texts: sample}" in page(bare)[1].said


@pytest.mark.parametrize("form", ["text", "json", "csv"])
def test_other_forms_refuse(tmp_path: Path, form: str) -> None:
    """And name the way."""
    found = CliRunner().invoke(cli.openloop, ["report", str(run(tmp_path).path), "--format", form, "--texts"])
    assert found.exit_code == 2
    assert "slowest_texts" in found.output


def test_the_command(tmp_path: Path) -> None:
    """Writes the page with texts to the file that is named; the folder's report is not touched."""
    kept, out = run(tmp_path, prompt="Tell me a secret."), tmp_path / "out.html"
    found = CliRunner().invoke(
        cli.openloop, ["report", str(kept.path), "--format", "html", "--texts", "-o", str(out)], catch_exceptions=False
    )
    assert found.exit_code == 0, found.output
    assert "Tell me a secret." in out.read_text()
    assert not kept.report_path.exists()
