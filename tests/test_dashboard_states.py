"""The dashboard in Chromium where something is otherwise than usual: a token, a refusal, no charts, a run stopped twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from browsers import Visit, holds, launched, visiting
from services import LONG, QUICK, Served, over, served, submitted

pytestmark = pytest.mark.timeout(600)

SILENT = LONG | {"target": {"url": "simulator", "simulator": {"ttft": "100s"}}}
"""Nothing is answered while anybody waits."""

MOMENT = {
    "phase": "step", "step_id": 0, "step": "a", "steps": 1, "elapsed_s": 2.0, "left_s": 9.0, "step_elapsed_s": 1.0, "step_expected_s": 10.0,
    "sent": 3, "done": 3, "in_flight": 0, "tokens": 9, "sent_per_s": 3.0, "tokens_per_s": 9.0, "ttft_p50_ms": 1.0, "ttft_p99_ms": 2.0,
    "success_share": 1.0, "late_1ms": 0, "outcomes": {"ok": 3}, "spent_usd": None, "notes": ["a worker said so"],
}  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as found:
        yield found


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("states")) as found:
        yield found


@pytest.fixture(scope="module")
def done(service: Served) -> list[str]:
    """Two runs of one name that are over, with their texts."""
    ids = [submitted(service.client, scenario=QUICK | {"name": "kept"}, keep_texts=True) for _ in range(2)]
    assert {over(service.client, one)["state"] for one in ids} == {"completed"}
    return ids


@pytest.fixture
def visit(browser: Any, service: Served) -> Iterator[Visit]:
    with visiting(browser, service.url) as found:
        yield found


@pytest.fixture
def going(service: Served) -> Iterator[str]:
    """A run that goes on as long as the test."""
    one = submitted(service.client, scenario=LONG | {"name": "going"})
    yield one
    service.client.post(f"/benchmarks/{one}/stop")
    over(service.client, one)


def sign_in(visit: Visit, token: str) -> None:
    visit.go("/ui/")
    visit.page.fill("#token", token)
    visit.page.click("form button.first")
    visit.page.wait_for_url(visit.url + "/ui/")


def test_the_theme_and_signing_out_are_two_buttons(browser: Any, tmp_path: Path) -> None:
    """With a token both are there: one changes the theme and nothing else, the other signs out."""
    token = "a-token-of-some-length"
    with served(tmp_path, OPENLOOP_TOKEN=token) as behind, visiting(browser, behind.url) as visit:
        page = visit.page
        sign_in(visit, token)
        page.click(".switch")
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        assert page.inner_text(".aside form button") == "Sign out"
        assert page.url == behind.url + "/ui/"
        page.click(".aside form button")
        page.wait_for_url(behind.url + "/ui/login")
        visit.go("/ui/")
        assert page.url == behind.url + "/ui/login"


def test_a_token_that_is_wanted_again_leads_to_the_login(browser: Any, tmp_path: Path) -> None:
    """A service that came back with another token is not one that is away."""
    with served(tmp_path, OPENLOOP_TOKEN="the-token-of-before") as first, visiting(browser, first.url) as visit:
        visit.expected = ("net::ERR", "status of 401")
        sign_in(visit, "the-token-of-before")
        first.client.headers["authorization"] = "Bearer the-token-of-before"
        one = submitted(first.client, scenario=LONG)
        visit.go(f"/ui/runs/{one}")
        visit.page.wait_for_selector("#charts:visible")
        port = int(first.url.rpartition(":")[2])
        first.kill()
        visit.page.wait_for_selector("#gone:visible")
        with served(tmp_path, port=port, OPENLOOP_TOKEN="the-token-of-after"):
            visit.page.wait_for_url(first.url + "/ui/login")


def test_a_list_without_active_runs_is_left_alone(visit: Visit, service: Served, done: list[str], going: str) -> None:
    """A run that goes on elsewhere is no reason to load this page again and again; one more that begins is."""
    page = visit.page
    visit.go("/ui/?name=kept")
    page.evaluate("() => { globalThis.stayed = true; }")
    looked = "() => performance.getEntriesByType('resource').filter(e => e.name.includes('state=queued')).length"
    holds(page, f"() => ({looked})() >= 2")
    assert page.evaluate("() => globalThis.stayed")
    other = submitted(service.client, scenario=LONG | {"name": "other"})
    holds(page, "() => !globalThis.stayed")
    service.client.post(f"/benchmarks/{other}/stop")
    over(service.client, other)


def test_more_than_can_be_compared_cannot_be_asked_for(visit: Visit, done: list[str]) -> None:
    """The list says how many may be picked, and its button waits until they are few enough."""
    page = visit.page

    def fewer(route: Any) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace('data-most="8"', 'data-most="1"'))

    page.route("**/ui/?name=kept", fewer)
    visit.go("/ui/?name=kept")
    for one in done:
        page.check(f"input[value='{one}']")
    assert page.inner_text("#picks") == "2 picked: at most 1 are compared at once."
    assert page.is_disabled("#picked button")


def test_keeping_texts_is_part_of_the_scenario(visit: Visit, service: Served, done: list[str]) -> None:
    """A run that kept its texts starts the form with the box ticked; what the box says is what the YAML says and what is run."""
    page = visit.page
    visit.go(f"/ui/new?again={done[0]}")
    page.wait_for_selector("#plan dl")
    assert page.is_checked("#f-keep_texts")
    assert yaml.safe_load(page.inner_text("#yaml"))["record"] == {"texts": "all"}
    page.uncheck("#f-keep_texts")
    assert "record" not in yaml.safe_load(page.inner_text("#yaml"))
    page.click("#start")
    page.wait_for_url("**/ui/runs/kept-*")
    one = page.url.rpartition("/")[2]
    assert "texts" not in over(service.client, one)["scenario"]


@pytest.mark.parametrize(
    ("record", "shown", "asked", "written"),
    [
        (None, "", "all", {"texts": "all"}),
        ({"texts": "all", "max_chars": 9}, "all", "", {"max_chars": 9}),
        ({"texts": "sample", "share": 0.5}, "sample", "sample", {"texts": "sample", "share": 0.5}),
        ({"texts": "none"}, "", "", {"texts": "none"}),
    ],
)
def test_the_box_and_the_key_say_the_same(visit: Visit, record: Any, shown: str, asked: str, written: Any) -> None:
    """What the box cannot show in full is carried along unless it is changed."""
    visit.go("/ui/login")
    found = visit.page.evaluate(
        """async ([record, asked]) => {
          const { read, compose } = await import("/ui/static/scenario.js");
          const base = { target: { url: "simulator" }, steps: [{ rate: "1/s", duration: "1s" }], ...(record && { record }) };
          const { values, kept } = read(base);
          return [values.keep_texts, compose(base, { ...values, keep_texts: asked }, kept).record];
        }""",
        [record, asked],
    )
    assert found == [shown, written]


def test_a_plan_that_has_to_wait_is_asked_for_again(visit: Visit) -> None:
    """A busy service is no fault of the form: nothing is to be mended, and the plan comes by itself."""
    visit.expected = ("status of 503",)
    page = visit.page
    answers = iter([{"detail": "busy for now", "errors": ["busy for now"]}])

    def busy(route: Any) -> None:
        first = next(answers, None)
        if first is None:
            route.continue_()
        else:
            route.fulfill(status=503, content_type="application/json", body=json.dumps(first))

    page.route("**/plan", busy)
    visit.go("/ui/new?scenario=quick")
    holds(page, "() => document.querySelector('#plan').innerText.includes('busy for now')")
    assert "mended" not in page.inner_text("#plan")
    page.wait_for_selector("#plan dl")


def test_a_run_is_followed_without_its_charts(visit: Visit, service: Served, going: str) -> None:
    """Where the charting library cannot be had, progress, words and the end are there all the same."""
    visit.expected = ("status of 422",)
    page = visit.page
    page.route("**/ui/static/vega.js", lambda route: route.fulfill(status=422, body="{}"))
    visit.go(f"/ui/runs/{going}")
    holds(page, "() => document.querySelector('#notes-list').innerText.includes('cannot be drawn')")
    holds(page, "() => /[1-9]\\d* ended/.test(document.querySelector('#figures').innerText)")
    assert not page.is_visible("#charts")
    service.client.post(f"/benchmarks/{going}/stop")
    page.wait_for_selector("#steps", timeout=120_000)


@pytest.mark.parametrize(("status", "words"), [(429, "others follow runs, too"), (404, "it was deleted")])
def test_a_refusal_is_not_called_an_absence(visit: Visit, going: str, status: int, words: str) -> None:
    """What a service refuses is told as such: for now, and the page goes on by itself; or for good."""
    visit.expected = (f"status of {status}",)
    page, events = visit.page, f"**/benchmarks/{going}/events"
    tries = []

    def refuse(route: Any) -> None:
        tries.append(1)
        route.fulfill(status=status, body="{}")

    page.route(events, refuse)
    if status == 404:
        gone = json.dumps({"detail": "no such benchmark", "errors": []})
        page.route(
            f"**/benchmarks/{going}?size=0",
            lambda route: route.fulfill(status=404, content_type="application/json", body=gone),
        )
    visit.go(f"/ui/runs/{going}")
    holds(page, "words => document.querySelector('#gone').innerText.includes(words)", words)
    if status == 404:
        page.wait_for_timeout(2500)
        assert len(tries) == 1
        return
    page.unroute(events)
    page.wait_for_selector("#gone", state="hidden")
    holds(page, "() => document.querySelector('#figures').innerText.includes('sent')")


def test_a_moment_that_is_told_twice_is_noted_once(visit: Visit, going: str) -> None:
    """A new connection begins with what was told before."""
    page, tries = visit.page, []

    def told(route: Any) -> None:
        tries.append(1)
        body = f"retry: 200\nid: 1\nevent: live\ndata: {json.dumps(MOMENT)}\n\n"
        route.fulfill(status=200, content_type="text/event-stream", body=body)

    page.route(f"**/benchmarks/{going}/events", told)
    visit.go(f"/ui/runs/{going}")
    holds(page, "() => document.querySelectorAll('#notes-list li').length > 0")
    while len(tries) < 3:
        page.wait_for_timeout(100)
    page.wait_for_timeout(300)
    assert page.inner_text("#notes-list") == "a worker said so"


def test_a_run_that_is_stopped_can_be_cut(visit: Visit, service: Served) -> None:
    """Stopped, it waits for the answers on their way; asked again, also by who comes later, it ends without them."""
    page = visit.page
    one = submitted(service.client, scenario=SILENT | {"name": "silent"})
    visit.go(f"/ui/runs/{one}")
    holds(page, "() => /[1-9]\\d* in flight/.test(document.querySelector('#figures')?.innerText ?? '')")
    page.click("#stop")
    page.wait_for_selector("#stop:enabled:text-is('Cut')")
    page.reload()
    page.wait_for_selector("#stop:enabled:text-is('Cut')")
    page.click("#stop")
    page.wait_for_selector("#steps, main .empty", timeout=120_000)
    assert page.inner_text("#state") == "stopped"
