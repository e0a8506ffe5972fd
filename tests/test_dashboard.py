"""The dashboard's pages without a browser: what they answer, what they escape, what they may load."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from services import QUICK, client, over, settings, submitted

from console.web.catalogue.store import Filter
from console.web.pages import assets, fields, listing, starts, trend
from console.web.pages.rendering import _environment
from console.web.shapes import Point
from console.web.states import State
from generator.scenario import reading

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


@pytest.fixture(scope="module")
def c(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with client(settings(tmp_path_factory.mktemp("pages"))) as found:
        yield found


@pytest.fixture(scope="module")
def done(c: Any) -> str:
    """A run whose model is called what nobody should call one."""
    one = submitted(
        c, scenario=QUICK | {"name": "told", "target": QUICK["target"] | {"model": HOSTILE}}, keep_texts=True
    )
    assert over(c, one)["state"] == "completed"
    return one


class Page(HTMLParser):
    """Tags with their attributes, and the addresses that a page loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def inline(self) -> list[str]:
        """Whatever the policy forbids: scripts and styles inside the page, handlers."""
        found = [f"<{tag}>" for tag, at in self.tags if tag == "style" or (tag == "script" and not at.get("src"))]
        return found + [
            f"{tag} {name}" for tag, at in self.tags for name in at if name == "style" or name.startswith("on")
        ]

    def loads(self) -> list[str]:
        kinds = {"script": "src", "link": "href", "img": "src", "iframe": "src"}
        return [value for tag, at in self.tags if tag in kinds and (value := at.get(kinds[tag]))]


def paths(done: str) -> list[str]:
    return ["/ui/", "/ui/new", f"/ui/runs/{done}", "/ui/compare", "/ui/history?name=told", "/ui/login"]


def test_pages_have_nothing_inline_and_load_only_their_own(c: Any, done: str) -> None:
    """Every page answers, under a policy that knows no exception, and names no other host."""
    for path in paths(done):
        answer = c.get(path)
        assert answer.status_code == 200, (path, answer.text)
        assert "unsafe" not in answer.headers["content-security-policy"]
        page = Page(answer.text)
        assert page.inline() == [], path
        assert all(address.startswith("/ui/static/") for address in page.loads()), path
        assert all(c.get(address).status_code == 200 for address in set(page.loads()) - {"/ui/static/vega.js"})


def test_the_root_leads_to_the_dashboard(c: Any) -> None:
    """Whoever opens the service's address lands on the list of runs."""
    answer = c.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/ui/")


def test_a_hostile_name_is_text(c: Any, done: str) -> None:
    """What a target calls its model stands on the pages as text, never as markup."""
    for path in ["/ui/", f"/ui/runs/{done}", f"/ui/?model={HOSTILE}", f"/ui/history?name={HOSTILE}"]:
        text = c.get(path).text
        assert HOSTILE not in text, path
        assert not [name for _, at in Page(text).tags for name in at if name.startswith("on")], path
        assert not [at for tag, at in Page(text).tags if tag == "img"], path


def test_a_run_page_has_its_figures_and_downloads(c: Any, done: str) -> None:
    """Verdict, a row for each step, every named query, and links that give what they say."""
    page = Page(c.get(f"/ui/runs/{done}").text)
    links = [at["href"] for tag, at in page.tags if tag == "a" and "download" in at]
    assert {link.rpartition(".")[2].rpartition("=")[2] for link in links if link} >= {"true", "parquet"}
    for link in links:
        assert c.get(link).status_code == 200, link
    assert c.get(f"/ui/runs/{done}/files/requests.parquet").content[:4] == b"PAR1"
    assert sum("data-query" in at for _, at in page.tags) > 20


def test_what_is_not_there_is_said(c: Any, done: str) -> None:
    """Unknown runs, files and modules are 404; a name is never made a path."""
    assert c.get("/ui/runs/there-is-none").status_code == 404
    assert "No such run" in c.get("/ui/runs/there-is-none").text
    assert c.get(f"/ui/compare?run={done}&run=there-is-none").status_code == 404
    for path in ("..%2fapp.py", "%2fetc%2fpasswd", "nothing.js"):
        assert c.get(f"/ui/static/{path}").status_code == 404, path
    assert c.get(f"/ui/runs/{done}/files/..%2fmanifest.parquet").status_code == 404
    assert c.get(f"/ui/runs/{done}/files/texts.parquet").status_code == 404


def test_the_form_starts_from_a_run(c: Any, done: str) -> None:
    """The scenario of a run comes back as data, as it was resolved."""
    again = c.get(f"/ui/again/{done}").json()
    assert again["name"] == "told"
    assert again["steps"] == QUICK["steps"]
    assert f"{done}, again" in c.get(f"/ui/new?again={done}").text


def test_fields_answer_for_keys_that_exist() -> None:
    """Every key that a field claims is a key of scenarios; every field has a hint; names are used once."""
    schema = reading.json_schema()

    def there(path: list[str], at: dict[str, Any]) -> bool:
        if "$ref" in at:
            at = schema["$defs"][at["$ref"].rpartition("/")[2]]
        if not path:
            return True
        branches = [*at.get("anyOf", ()), *at.get("allOf", ())]
        if any(there(path, b) for b in branches):
            return True
        if path[0] == "*":
            return "items" in at and there(path[1:], at["items"])
        return path[0] in at.get("properties", {}) and there(path[1:], at["properties"][path[0]])

    every = [f for group in fields.GROUPS for f in group.fields]
    assert len({f.name for f in every}) == len(every)
    assert all(len(f.hint) > 15 for f in every)
    assert [(f.name, key) for f in every for key in f.keys if not there(key.split("."), schema)] == []


def test_shipped_scenarios_come_as_data_with_their_files() -> None:
    """Each has a purpose; files that one names are found from anywhere."""
    assert all(found["about"] for found in starts.shipped())
    named = starts.of_name("http-json")["workload"]["prompts"]
    assert Path(named).is_file()


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({}, Filter()),
        ({"state": "running", "sort": "name", "page": "3"}, Filter(states=(State.RUNNING,), sort="name", page=3)),
        ({"state": "asleep", "sort": "; DROP TABLE", "page": "-1"}, Filter()),
        ({"page": "99999999999999999999"}, Filter(page=1_000_000)),
        ({"page": "9" * 5000, "name": "a\0b"}, Filter(page=1_000_000, name="ab")),
        ({"tag": "a, b,,", "name": " x "}, Filter(tags=("a", "b"), name="x")),
    ],
)
def test_an_address_typed_by_hand_is_read_kindly(query: dict[str, str], wanted: Filter) -> None:
    """What makes no sense in an address is left out."""
    assert listing.asked(query) == wanted


def test_an_address_leads_back_to_what_it_was_made_of() -> None:
    """Sorting and paging keep the filter."""
    wanted = Filter(states=(State.FAILED,), name="a&b=c", tags=("x", "y z"), sort="-cost_usd", page=4)
    from urllib.parse import parse_qsl

    query = dict(parse_qsl(listing.address(wanted).partition("?")[2]))
    assert listing.asked(query) == wanted


def test_the_list_pages_and_filters(c: Any, done: str) -> None:
    """What does not match is not shown; an empty answer says so, and how to get out of it."""
    assert done in c.get("/ui/?name=TOL").text
    assert done not in c.get("/ui/?state=failed").text
    assert "No run matches" in c.get("/ui/?state=failed").text


def test_beyond_the_last_page_is_the_last_page(c: Any, done: str) -> None:
    """A page that is not there, or no longer, is no empty list: there are runs."""
    text = c.get("/ui/?page=99").text
    assert done in text
    assert "Nothing has been run yet" not in text


def test_too_many_runs_to_compare_are_a_page_that_says_so(c: Any, done: str) -> None:
    """Words for a person, where a form asked; naming one run twice is no more than naming it once."""
    picked = [("run", f"r{i}") for i in range(9)]
    answer = c.get("/ui/compare", params=picked)
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (422, "text/html")
    assert "At most 8 runs are compared at once; 9 were picked." in answer.text
    assert c.get("/ui/compare", params=[("run", done)] * 9).status_code == 200


def _points(values: list[float], verdict: str = "VALID", width: float | None = 1.0) -> list[Point]:
    return [
        Point(
            benchmark_id=f"r{i}",
            created=datetime(2026, 1, 1 + i, tzinfo=UTC),
            verdict=verdict,
            scenario_digest=None,
            step_id=0,
            step="closed 2",
            metric="ttft_p99_ms",
            value=value,
            low=None if width is None else value - width,
            high=None if width is None else value + width,
        )
        for i, value in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("points", "word"),
    [
        (_points([10, 11, 10, 20]), "worse"),
        (_points([10, 11, 10, 5]), "better"),
        (_points([10, 11, 10, 10.5]), None),  # the interval holds the median
        (_points([10, 20]), None),  # too few to call anything usual
        (_points([10, 11, 10, 20], width=None), None),  # nobody knows how sure it is
        (_points([10, 11, 10, 20], verdict="INVALID"), None),  # figures of the generator's own
    ],
)
def test_a_run_out_of_line_is_marked(points: list[Point], word: str | None) -> None:
    """The newest run is marked where its interval excludes the median of those before, and only there."""
    found = trend.changes(trend.METRICS[0], points, [p.benchmark_id for p in points])
    assert [change["word"] for change in found] == ([word] if word else [])


def test_a_trend_has_no_expression_of_anybodys_text() -> None:
    """Names of steps are data of a drawing, never part of an expression that is evaluated."""
    hostile = [p.model_copy(update={"step": "x' ? alert(1) : '"}) for p in _points([1.0, 2.0])]
    spec = trend._spec(trend.METRICS[0], hostile, ["r0", "r1"], [hostile[0].step])
    assert "alert" not in spec["layer"][0]["encoding"]["x"]["axis"]["labelExpr"]


def test_templates_escape_by_default() -> None:
    """Nothing is marked safe, and autoescaping is on for all of them."""
    made = _environment()
    assert made.autoescape is True
    folder = assets.STATIC.parent / "templates"
    assert not [f.name for f in folder.iterdir() if re.search(r"\|\s*safe\b", f.read_text())]


def test_modules_never_write_markup() -> None:
    """No module has a way to turn text into elements or code."""
    for file in assets.STATIC.glob("*.js"):
        text = file.read_text()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text), (
            file.name
        )
        assert not re.search(r"https?://(?!\[)", text.replace("https?:", "")), file.name


def test_the_charting_library_is_one_file_made_once(tmp_path: Path) -> None:
    """It comes from its package, holds all that the charts need, and is not made again."""
    made = assets.bundle(tmp_path)
    assert "vegaEmbed" in made.read_text(encoding="utf-8")
    before = made.stat().st_mtime_ns
    assert assets.bundle(tmp_path) == made
    assert made.stat().st_mtime_ns == before


def test_the_login_page_and_its_way_out(tmp_path: Path) -> None:
    """With a token every page leads to the form; the form's cookie opens them, a wrong token does not, signing out closes them."""
    with client(settings(tmp_path, token="right-token")) as c:
        html = {"accept": "text/html"}
        assert c.get("/ui/", headers=html).headers["location"] == "/ui/login"
        assert c.get("/ui/login").status_code == 200
        assert c.get("/ui/static/dashboard.css").status_code == 200
        wrong = c.post("/login", data={"token": "wrong"}, headers=html)
        assert "That is not the token" in c.get(wrong.headers["location"]).text
        assert c.post("/login", data={"token": "right-token"}, headers=html).status_code == 303
        page = c.get("/ui/", headers=html)
        assert page.status_code == 200
        assert "Sign out" in page.text
        c.post("/logout")
        assert c.get("/ui/", headers=html).status_code == 303
