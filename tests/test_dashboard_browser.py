"""The dashboard in Chromium, against a real service and the built-in endpoint. Skipped where there is no Chromium."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from browsers import PHONE, WIDE, Visit, holds, launched, visiting
from services import LONG, QUICK, Served, over, reached, served, submitted

pytestmark = pytest.mark.timeout(600)

SHORT = QUICK | {
    "name": "trend",
    "target": QUICK["target"] | {"price_in": 1, "price_out": 2},
    "steps": [{"concurrency": 2, "requests": 12}, {"concurrency": 4, "requests": 20}],
    "slo": {"ttft": "500ms"},
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as found:
        yield found


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("dashboard")) as found:
        yield found


@pytest.fixture(scope="module")
def done(service: Served) -> list[str]:
    """Two runs of one name that are over."""
    ids = [submitted(service.client, scenario=SHORT) for _ in range(2)]
    assert {over(service.client, one)["state"] for one in ids} == {"completed"}
    return ids


@pytest.fixture
def visit(browser: Any, service: Served) -> Iterator[Visit]:
    with visiting(browser, service.url) as found:
        yield found


def moves(page: Any, chart: str) -> None:
    """A chart's line is drawn, and drawn anew with other points."""
    line = f"#chart-{chart} .plot svg .mark-line path"
    holds(page, "line => (document.querySelector(line)?.getAttribute('d') ?? '').length > 20", line)
    before = page.get_attribute(line, "d")
    holds(page, "([line, d]) => document.querySelector(line).getAttribute('d') !== d", [line, before])


def test_from_the_form_to_the_report(visit: Visit, service: Served, done: list[str]) -> None:
    """The form starts a run; four charts move while it goes; its page has a table to sort, a report, queries and downloads."""
    page = visit.page
    visit.go("/ui/new?scenario=quick")
    page.wait_for_selector("#plan dl")
    page.fill("#f-name", "from-the-form")
    page.fill("#f-tags", "tried, in chromium")
    page.fill("#f-rate", "20/s, 40")
    page.fill("#f-duration", "5")
    page.fill("#f-output_tokens", "8-12")
    page.fill("#f-ttft", "400ms")
    page.fill("#f-seed", "7")
    page.fill("#f-thresholds", "p90(ttft) < 2s")
    written = yaml.safe_load(page.inner_text("#yaml"))
    assert written == {
        "name": "from-the-form",
        "seed": 7,
        "target": {"url": "simulator"},
        "workload": {"input_tokens": 100, "output_tokens": {"uniform": [8, 12]}},
        "steps": [{"rate": "20/s", "duration": "5s"}, {"rate": "40/s", "duration": "5s"}],
        "slo": {"ttft": "400ms"},
        "thresholds": ["p90(ttft) < 2s"],
    }
    holds(page, "() => document.querySelector('#plan dl')?.innerText.includes('10 s')")
    page.click("#start")
    page.wait_for_url(re.compile(r"/ui/runs/from-the-form-"))
    for chart in ("requests", "tokens", "flight", "ttft"):
        moves(page, chart)
    first = page.evaluate("document.querySelector('#bar').value")
    holds(page, "first => document.querySelector('#bar')?.value > first", first)
    assert "left" in page.inner_text("#time")

    # The page becomes the run's results by itself.
    page.wait_for_selector("#steps", timeout=120_000)
    assert page.inner_text(".verdict h2") in ("VALID", "INVALID")
    labels = lambda: page.eval_on_selector_all("#steps tbody th", "all => all.map(th => th.textContent.trim())")  # noqa: E731 - asked twice
    assert labels() == ["poisson 20/s", "poisson 40/s"]
    for _ in range(2):  # rising, then falling
        page.click("#steps thead button:text-is('count')")
    assert labels() == ["poisson 40/s", "poisson 20/s"]
    assert page.get_attribute("#steps thead th[aria-sort]", "aria-sort") == "descending"

    page.click("#embedded summary")
    report = page.frame_locator("#embedded iframe")
    report.locator("h1").wait_for()
    assert report.locator("table.steps").count() == 1

    page.click("button[data-query]:text-is('ttft_percentiles')")
    page.wait_for_selector("#answer table")
    assert page.locator("#answer tbody tr").count() == 2
    assert "ms" in page.inner_text("#about")
    page.fill("#sql", "SELECT count(*) AS n FROM requests WHERE step_id >= 0")
    page.click("#query button.first")
    holds(page, "() => document.querySelector('#answer thead')?.innerText.trim() === 'n'")
    with page.expect_download() as kept:
        page.click(".downloads a:text-is('requests, Parquet')")
    assert Path(kept.value.path()).read_bytes()[:4] == b"PAR1"
    with page.expect_download() as kept:
        page.click(".downloads a:text-is('JSON report')")
    assert json.loads(Path(kept.value.path()).read_text())["run"]["name"] == "from-the-form"


def test_a_query_that_is_refused_says_so(visit: Visit, done: list[str]) -> None:
    """Nonsense and writing are refused beside the box, the page lives on."""
    visit.expected = ("status of 400",)
    page = visit.page
    visit.go(f"/ui/runs/{done[0]}")
    for sql, words in (("SELEC 1", "syntax error"), ("DROP TABLE requests", "one SELECT is wanted")):
        page.fill("#sql", sql)
        page.click("#query button.first")
        holds(page, "words => document.querySelector('#answer [role=alert]')?.innerText.includes(words)", words)
    page.fill("#sql", "SELECT '<img src=x onerror=alert(1)>' AS said")
    page.click("#query button.first")
    page.wait_for_selector("#answer tbody td")
    assert page.inner_text("#answer tbody td") == "<img src=x onerror=alert(1)>"
    assert page.locator("#answer img").count() == 0


def test_nonsense_stands_beside_its_field(visit: Visit, service: Served) -> None:
    """A fault of the plan is shown at the field that it is of, and the run cannot be started until it is mended."""
    visit.expected = ("status of 422",)
    page = visit.page
    visit.go("/ui/new?scenario=quick")
    page.wait_for_selector("#plan dl")
    page.fill("#f-duration", "soon")
    page.wait_for_selector("#e-duration:visible")
    assert "soon" in page.inner_text("#e-duration")
    assert page.get_attribute("#f-duration", "aria-invalid") == "true"
    assert page.is_disabled("#start")
    page.fill("#f-thresholds", "p99(luck) < 1")
    page.wait_for_selector("#e-thresholds:visible")
    page.fill("#f-thresholds", "")
    page.fill("#f-duration", "3s")
    page.wait_for_selector("#plan dl")
    assert page.is_enabled("#start")
    assert page.locator("[aria-invalid]").count() == 0
    page.click("#by-hand")
    page.fill("#text", "target: {url: simulator}\nstepps: []")
    holds(page, "() => document.querySelector('#plan').innerText.includes('stepps')")


def test_every_shipped_scenario_goes_through_the_form(visit: Visit) -> None:
    """What the form makes of a shipped scenario, untouched, is planned without a fault: nothing is lost on the way."""
    page = visit.page
    visit.go("/ui/new")
    names = page.eval_on_selector_all("#f-scenario option", "all => all.map(o => o.value)")
    for name in names:
        written = page.evaluate(
            """async (name) => {
              const { read, compose } = await import("/ui/static/scenario.js");
              const base = await (await fetch(`/ui/scenarios/${name}`)).json();
              const { values, kept } = read(base);
              return [base, compose(base, values, kept)];
            }""",
            name,
        )
        assert written[1] == written[0], name


def test_stopping_keeps_what_was_measured(visit: Visit, service: Served) -> None:
    """The stop button ends a run early; its page then shows what was recorded, and says how it ended."""
    page = visit.page
    one = submitted(service.client, scenario=LONG | {"name": "stopped-here"})
    visit.go(f"/ui/runs/{one}")
    moves(page, "requests")
    page.click("#stop")
    page.wait_for_selector("#steps", timeout=120_000)
    assert page.inner_text("#state") == "stopped"
    assert reached(service.client, one, "stopped")["summary"]["requests"] > 0


def test_comparing_two_runs(visit: Visit, done: list[str]) -> None:
    """Two runs are ticked in the list and compared: a verdict in words, figures side by side, both curves in one drawing."""
    page = visit.page
    visit.go("/ui/?name=trend")
    assert page.is_disabled("#picked button")
    for one in done:
        page.check(f"input[value='{one}']")
    page.click("#picked button")
    page.wait_for_selector(".drawn svg")
    assert page.locator(".pick").count() == 0
    assert "against" in page.inner_text("main section .lead >> nth=0")
    assert page.locator(".drawn svg .mark-line path").count() >= 2
    assert page.locator(".side-by-side tbody tr").count() >= 8
    page.click("label:has-text('E2E')")
    page.wait_for_selector(".panel-2 .drawn svg")


def test_the_history_of_a_name(visit: Visit, done: list[str]) -> None:
    """Each run of a name is a point of the trend, and a row of the table."""
    page = visit.page
    visit.go("/ui/history?name=trend")
    page.wait_for_selector(".drawn svg")
    assert page.locator("figure").count() == 3
    told = page.inner_text("table.sortable")
    assert all(one in told for one in done)


def test_the_list_is_sorted_and_filtered(visit: Visit, done: list[str]) -> None:
    """Headings sort, the filter keeps what matches, and both stand in the address."""
    page = visit.page
    visit.go("/ui/?name=trend")
    assert page.locator("table.runs tbody tr").count() == 2
    page.click("table.runs thead a:text-is('requests')")
    page.wait_for_url(re.compile("sort=-requests"))
    assert page.get_attribute("table.runs th[aria-sort]", "aria-sort") == "descending"
    visit.go("/ui/?name=nothing-of-this-name")
    assert "No run matches" in page.inner_text("main")


def test_a_service_that_goes_and_comes_back(browser: Any, tmp_path: Path) -> None:
    """The page says that the service is gone while the run goes on, takes the events up again when it is back, and ends with results."""
    with served(tmp_path) as first, visiting(browser, first.url) as visit:
        visit.expected = ("net::ERR", "status of")
        one = submitted(
            first.client, scenario=LONG | {"name": "outlives", "steps": [{"rate": "20/s", "duration": "25s"}]}
        )
        visit.go(f"/ui/runs/{one}")
        moves(visit.page, "requests")
        port = int(first.url.rpartition(":")[2])
        first.kill()
        visit.page.wait_for_selector("#gone:visible")
        with served(tmp_path, port=port):
            visit.page.wait_for_selector("#gone", state="hidden", timeout=120_000)
            visit.page.wait_for_selector("#steps, main .empty", timeout=120_000)


def test_keyboard_and_theme(visit: Visit, service: Served, done: list[str]) -> None:
    """Hints show for the keyboard and go with Escape; the theme is remembered; a chart is read with the arrow keys."""
    page = visit.page
    visit.go("/ui/new")
    page.wait_for_selector("#plan dl")
    hint = page.locator(".hint[aria-describedby='h-rate']")
    hint.focus()
    assert page.is_visible("#h-rate")
    page.keyboard.press("Escape")
    assert not page.is_visible("#h-rate")
    page.click(".switch")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"

    one = submitted(service.client, scenario=LONG | {"name": "read-by-keys"})
    visit.go(f"/ui/runs/{one}")
    moves(page, "tokens")
    page.focus("#chart-tokens .plot")
    page.keyboard.press("Home")
    holds(page, "() => document.querySelector('#cursor-says').innerText.includes('of the run')")
    page.click("#stop")
    page.wait_for_selector("#steps", timeout=120_000)


def pages(done: list[str]) -> tuple[str, ...]:
    return (
        "/ui/",
        "/ui/new",
        f"/ui/runs/{done[0]}",
        f"/ui/compare?run={done[0]}&run={done[1]}",
        "/ui/compare",
        "/ui/history?name=trend",
        "/ui/login",
        "/ui/runs/there-is-none",
    )


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_accessible_and_never_wider_than_the_screen(
    browser: Any, service: Served, done: list[str], size: tuple[int, int], dark: bool
) -> None:
    """axe finds nothing on any page, and no page scrolls sideways at 360 px."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = []
    with visiting(browser, service.url, size=size, dark=dark) as visit:
        visit.expected = ("status of 404",)
        for path in pages(done):
            visit.go(path)
            visit.page.wait_for_load_state("networkidle")
            assert visit.page.evaluate("document.documentElement.scrollWidth") <= size[0], path
            results = axe.run(visit.page)
            found += [
                f"{path}: {v['id']}: {v['help']}: {[n['target'] for n in v['nodes'][:3]]}"
                for v in results.response["violations"]
            ]
    assert not found, "\n".join(found)


def test_the_live_page_is_accessible(visit: Visit, service: Served) -> None:
    """The same while a run goes."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    one = submitted(service.client, scenario=LONG | {"name": "heard"})
    visit.go(f"/ui/runs/{one}")
    moves(visit.page, "requests")
    results = axe.run(visit.page)
    visit.page.click("#stop")
    assert not results.response["violations"], results.generate_report()
    over(service.client, one)
