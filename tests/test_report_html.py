"""The page of a run: one file that loads nothing, runs nothing but its own script, and reads in every state of a run."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from fabricate import Load, realistic
from report_runs import HOSTILE, INVALID, STATES, VALID, hostile, judged

from analysis.report import chart_rows, charts, drawing, html, style

VOID = {"meta", "link", "input", "br", "img", "rect", "path", "circle", "line"}
LOADS = {"src", "srcset", "action", "formaction", "poster", "data", "background", "ping"}


class Page(HTMLParser):
    """Elements with their attributes, the text of the body, and the text of each script and style."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.inside: list[str] = []
        self.said = ""
        self.scripts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {k: v or "" for k, v in attrs}))
        self.inside.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {k: v or "" for k, v in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag in self.inside:
            while self.inside.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if "script" in self.inside:
            self.scripts.append(data)
        elif "style" not in self.inside:
            self.said += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def tile(*steps: tuple[int, float | None, str]) -> str:
    """What stands under the first latency's median; ``steps``: (n, p99 in ms, why it is withheld)."""
    nothing = {"n": 0, "p50": None, "p99": None, "withheld": {}}
    made = [
        {"ttft_ms": {"n": n, "p50": 5.0, "p99": p99, "withheld": {"p99": why} if why else {}}}
        | {"tpot_ms": nothing, "e2e_ms": nothing, "output_tokens_per_s": None}
        for n, p99, why in steps
    ]
    totals = {"requests": 0, "success_rate": None, "window_output_tokens": 0}
    return html.tiles(made, totals)[1]["note"]


def test_a_headline_s_p99_says_what_is_withheld_and_why() -> None:
    """The reason is the withheld figure's own, and a largest p99 tells that it is of some steps alone."""
    unsteady, few = "not steady: it depends on how long the step was", "n too small: 9 of 299"
    assert tile((600, None, unsteady)) == "p99 withheld: not steady"
    assert tile((600, None, unsteady), (9, None, few), (8, None, few)) == "p99 withheld: not steady, n too small"
    assert tile((600, 70.0, "")) == "p99 70.0 ms"
    assert tile((600, 70.0, ""), (600, 90.0, "")) == "p99 up to 90.0 ms"
    assert tile((600, 70.0, ""), (600, None, unsteady)) == "p99 70.0 ms, 1 step withheld"
    assert (
        tile((600, 70.0, ""), (600, 90.0, ""), (9, None, few), (9, None, few)) == "p99 up to 90.0 ms, 2 steps withheld"
    )
    assert tile((0, None, few)) == ""


@functools.cache
def made(state: str) -> tuple[str, Page]:
    """Each page is made once: drawing its charts takes a second."""
    verdict = VALID if state == "hostile" else INVALID
    with TemporaryDirectory() as folder:
        con, report, manifest = judged((STATES | {"hostile": hostile})[state](Path(folder) / "run-1"), verdict)
        text = html.render(con, report, manifest)
        con.close()
    return text, Page(text)


def test_hostile_text_is_only_text() -> None:
    """Names, models, URLs and messages that open elements appear on the page, and open none."""
    _, page = made("hostile")
    assert page.said.count(HOSTILE) >= 5
    assert page.all("img") == []
    assert len(page.all("script")) == 1
    assert [name for _, attributes in page.elements for name in attributes if name.startswith("on")] == []


def test_hostile_text_reaches_charts_as_text() -> None:
    """What a mark says on hover holds the step's name whole, in one attribute."""
    _, page = made("hostile")
    assert any(HOSTILE in attributes.get("data-tip", "") for _, attributes in page.elements)


def test_templates_in_text_are_not_run() -> None:
    """A model that speaks Jinja is quoted."""
    assert "{{ 7*7 }}" in made("hostile")[1].said


@pytest.mark.parametrize("state", ["small", "hostile"])
def test_the_page_loads_nothing(state: str) -> None:
    """No attribute names a resource, no style fetches one, and the page's policy forbids both."""
    text, page = made(state)
    for tag, attributes in page.elements:
        assert not LOADS & set(attributes), (tag, attributes)
        assert attributes.get("href", "#").startswith("#") or attributes["href"] == "data:,", attributes
        assert not re.search(r"url\((?!#)|@import|expression\(", attributes.get("style", ""))
    styles = "".join(re.findall(r"<style>(.*?)</style>", text, re.DOTALL))
    assert not re.search(r"url\(|@import", styles)
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]


def test_the_policy_names_the_script_that_is_there() -> None:
    """Browsers run a script under this policy only where its digest is the one named."""
    _, page = made("small")
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256("".join(page.scripts).encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("empty", ["INVALID", "interrupted", "No step was recorded"]),
        ("failed", ["connect_error", "No request ended ok", "No TTFT was measured"]),
        ("warming", ["was sent in its warm-up: nothing of it is measured"]),
        ("single", ["No TPOT was measured", "1 of 299"]),
        ("unstreamed", ["Answers came whole", "No TTFT was measured"]),
        ("small", ["10/s", "30/s", "rate_limited", "slow down", "VALID", "p50(ttft) < 40ms", "1 of 2 held"]),
    ],
)
def test_every_state_has_a_page(state: str, told: list[str]) -> None:
    """Runs without figures say so where the figures would stand."""
    _, page = made(state)
    assert [words for words in told if words not in page.said] == []
    assert "None" not in page.said
    assert "nan" not in re.findall(r"\w+", page.said)


def test_an_invalid_run_says_so_first() -> None:
    """The verdict, its reasons and the broken rules come before any figure of the target."""
    _, page = made("small")
    at = [page.said.index(words) for words in ("INVALID", INVALID.reasons[0], "spread the starts", "TTFT")]
    assert at == sorted(at)


def test_ids_are_unique() -> None:
    """Drawings share one page: a clip path found by an id that two have would cut the wrong one."""
    _, page = made("small")
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    labelled = {ref for _, a in page.elements for ref in a.get("aria-labelledby", "").split()}
    assert labelled <= set(ids)


def test_the_page_speaks_to_those_who_listen() -> None:
    """Language, one h1, landmarks, a caption a table, a name for every drawing, a scope for every heading cell."""
    _, page = made("small")
    tags = [tag for tag, _ in page.elements]
    assert page.all("html")[0]["lang"] == "en"
    assert (tags.count("h1"), tags.count("main"), tags.count("header"), tags.count("footer")) == (1, 1, 1, 1)
    assert tags.count("table") == tags.count("caption")
    assert all(a.get("aria-label") for a in page.all("div") if a.get("role") == "img")
    assert all(a.get("aria-hidden") == "true" for a in page.all("svg"))
    assert all("scope" in a for a in page.all("th"))


def test_charts_do_not_grow_with_the_run(tmp_path: Path) -> None:
    """Ten times the requests give hardly more rows to draw: all are aggregates, over the same axes."""

    def rows(name: str, requests: int) -> int:
        con, report, _ = judged(realistic(tmp_path / name, [Load(requests, rate_rps=requests / 10)]))
        found = chart_rows.gather(con, report)
        con.close()
        return len(found.timeline) + len(found.curves) + sum(map(len, found.histograms.values())) + len(found.buckets)

    assert rows("more", 2000) < 2 * rows("less", 200)


def test_histogram_lines_fall_to_zero_in_holes() -> None:
    """Empty bins between two that have values, and one at each end of a step, are drawn as zero."""
    rows = [
        {"step_id": 0, "low_ms": 10.0, "high_ms": 20.0, "n": 3},
        {"step_id": 0, "low_ms": 40.0, "high_ms": 80.0, "n": 1},
    ]
    rows.append({"step_id": 1, "low_ms": 10.0, "high_ms": 20.0, "n": 2})
    filled = [(r["step_id"], r["low_ms"], r["n"]) for r in chart_rows.without_holes(rows)]
    assert filled == [(0, 5, 0), (0, 10, 3), (0, 20, 0), (0, 40, 1), (0, 80, 0), (1, 5, 0), (1, 10, 2), (1, 20, 0)]


def test_ramp_runs_from_light_to_heavy() -> None:
    """The first step has the first stop's colour, the last the last's; a step alone has neither end's."""
    assert style.ramp(0, 5) == "color-mix(in oklab, var(--ramp-1) 0%, var(--ramp-0))"
    assert style.ramp(4, 5) == "color-mix(in oklab, var(--ramp-3) 100%, var(--ramp-2))"
    assert "var(--ramp-1)" in style.ramp(0, 1)


def test_every_colour_of_the_charts_is_on_the_page() -> None:
    """A custom property that the style sheet lacks would draw nothing."""
    assets = Path(html.__file__).parent / "assets"
    defined = set(re.findall(r"(--[\w-]+):", (assets / "report.css").read_text()))
    sources = "".join(p.read_text() for p in Path(html.__file__).parent.glob("*.py"))
    used = set(re.findall(r"var\((--[a-z][\w-]*)\)", sources + (assets / "report.html.j2").read_text()))
    assert used <= defined
    assert {f"--ramp-{i}" for i in range(4)} <= defined


def test_log_axes_only_where_values_spread() -> None:
    """Values within a decade or so are drawn from zero; wide ones on a log axis, whose ticks are 1, 2, 5 of each decade."""
    assert not style.wants_log([10, 150])
    assert style.wants_log([10, 250])
    assert style.log_ticks(8, 120) == [10, 20, 50, 100]
    assert style.log_ticks(0.9, 2e6, 10) == [1, 10, 100, 1000, 10_000, 100_000, 1_000_000]


def test_drawings_keep_their_text_and_drop_their_size() -> None:
    """A drawing takes the width of its place, and speaks only through data-tip."""
    rows = [
        {"load": 1.0, "value": 2.0, "group": "", "text": "here"},
        {"load": 2.0, "value": 3.0, "group": "", "text": "<there>"},
    ]
    svg = drawing.draw(charts.value_against_load(rows, "load", 300), "one")
    assert svg.startswith("<svg")
    assert 'data-tip="here"' in svg
    assert "&lt;there" in svg
    assert 'width="' not in svg.split(">", 1)[0]
