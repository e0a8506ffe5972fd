"""JSONPaths and JSON templates: what they pick, what they put in, and that no value breaks out of its place."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonpath import JSONPathEnvironment

from generator.apis import http_template, table
from generator.apis.api import Call
from generator.apis.http_json import HttpJson
from generator.apis.json_path import MISSING, JsonPath
from generator.job import Http, Target

RECORD = {"question": "Why?", "n": 3, "deep": {"list": [{"x": 1}, {"x": None}]}, "a b": True}
VALUES: dict[str, Any] = {
    "prompt": 'He said "hi"\n',
    "record": RECORD,
    "payload": RECORD["deep"],
    "messages": [{"role": "user", "content": "x"}],
    "max_tokens": 16,
    "stream": False,
}


@pytest.mark.parametrize(
    ("template", "wanted"),
    [
        ("{{prompt}}", 'He said "hi"\n'),
        ("{{ prompt }}", 'He said "hi"\n'),
        ("say: {{prompt}}!", 'say: He said "hi"\n!'),
        ("{{max_tokens}}", 16),
        ("up to {{max_tokens}}", "up to 16"),
        ("{{record}}", RECORD),
        ("{{record.question}} {{record.n}}", "Why? 3"),
        ("{{record.deep.list[0].x}}", 1),
        ("{{record['a b']}}", True),
        ("is {{record['a b']}}", "is true"),
        ("{{record.deep}}", RECORD["deep"]),
        ("see {{record.deep.list}}", 'see [{"x":1},{"x":null}]'),
        ("{{payload.list[-1].x}}", None),
        ("[{{payload.list[-1].x}}]", "[]"),
        ("{{stream}}", False),
        ("{{messages}}", [{"role": "user", "content": "x"}]),
        ("no placeholder {here}", "no placeholder {here}"),
        ("", ""),
        (5, 5),
        (None, None),
        (["{{max_tokens}}", {"k": "{{prompt}}"}], [16, {"k": 'He said "hi"\n'}]),
    ],
)
def test_placeholders(template: Any, wanted: Any) -> None:
    """A whole string keeps its value's kind; inside a longer one it is text."""
    assert http_template.compiled(template)(VALUES) == wanted


def test_what_is_not_there() -> None:
    """A missing value takes its key along, is null in a list, nothing in a text; null itself stays."""
    template = {
        "a": "{{model}}",
        "b": ["{{model}}", 1],
        "c": "<{{record.no.such}}>",
        "d": "{{payload.list[1].x}}",
        "e": None,
    }
    assert http_template.compiled(template)(VALUES) == {"b": [None, 1], "c": "<>", "d": None, "e": None}
    assert http_template.compiled("{{model}}")(VALUES) is MISSING


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{promt}}", "nearest: prompt"),
        ({"a": ["{{nothing}}"]}, "unknown placeholder"),
        ("{{prompt.x}}", "only record and payload have fields"),
        ("{{record..x}}", "several"),
        ("{{record[*]}}", "several"),
        ("{{record.a[}}", "no JSONPath"),
        ("{{}}", "unknown placeholder"),
    ],
)
def test_placeholders_that_cannot_be(template: Any, said: str) -> None:
    """They are refused when the scenario is read, with what would do."""
    with pytest.raises(ValueError, match=said):
        http_template.compiled(template)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec=None), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
TEXT = st.text(st.characters(codec=None), max_size=20)  # lone surrogates and NUL, too


@settings(deadline=None)
@given(TEXT, ANY_JSON)
def test_no_value_breaks_out_of_its_place(prompt: str, record: Any) -> None:
    """Whatever prompt and record hold, the body is JSON whose places hold exactly them."""
    spec = Http(body={"p": "{{prompt}}", "in": "a {{prompt}} b", "r": "{{record}}", "list": ["{{prompt}}"]})
    encoded = HttpJson(spec).encode(Call("m", prompt, 4, False, record={"x": record}))
    wanted = {"p": prompt, "in": f"a {prompt} b", "r": {"x": record}, "list": [prompt]}
    assert json.loads(encoded.body) == wanted


@settings(deadline=None)
@given(TEXT)
def test_no_value_breaks_out_of_the_path(prompt: str) -> None:
    """What is put into a path or a query is one part of it, whatever it holds, and one line of printable ASCII."""
    encoded = HttpJson(Http(method="GET", path="/find/{{prompt}}?q={{prompt}}&k=1")).encode(
        Call("", prompt, None, False)
    )
    path, _, query = encoded.path.partition("?")
    assert encoded.path.isascii()
    assert encoded.path.isprintable()
    assert " " not in encoded.path
    assert path.count("/") == 2
    assert query.endswith("&k=1")
    assert unquote(path[6:], errors="surrogatepass") == prompt
    assert unquote(query[2:-4], errors="surrogatepass") == prompt
    assert encoded.body == b""


def test_a_value_is_never_read_as_a_template() -> None:
    """A record that holds a placeholder's text sends that text."""
    encoded = HttpJson(Http(body="{{record.x}}")).encode(Call("m", "p", 4, False, record={"x": "{{prompt}} {{model}}"}))
    assert json.loads(encoded.body) == "{{prompt}} {{model}}"


@pytest.mark.parametrize(
    ("spec", "record", "wanted"),
    [
        (Http(), {"a": 1}, {"a": 1}),
        (Http(), "just text", "just text"),
        (Http(), ["a", 2], ["a", 2]),
        (Http(payload="$.input"), {"input": {"t": 1}, "id": 9}, {"t": 1}),
        (Http(payload="$.input"), {"other": 1}, {"other": 1}),
        (Http(payload="$.input"), {"input": None}, None),
        (Http(payload="$..t"), {"input": [{"t": 1}, {"t": 2}]}, 1),
        (
            Http(payload="$.input", body={"i": "{{payload}}", "id": "{{record.id}}"}),
            {"input": 5, "id": 9},
            {"i": 5, "id": 9},
        ),
    ],
)
def test_the_body_is_the_payload_or_the_record(spec: Http, record: Any, wanted: Any) -> None:
    """The first match of ``payload``, the whole record where it does not match, a template of either."""
    assert json.loads(HttpJson(spec).encode(Call("", "p", 4, False, record=record)).body) == wanted


def test_without_a_dataset_the_record_is_made_of_the_prompt() -> None:
    """Synthetic prompts come with the length to ask for, by the name that the target gives it."""
    api = HttpJson(Http())
    assert json.loads(api.encode(Call("m", "p", 4, False)).body) == {"prompt": "p", "max_tokens": 4}
    assert json.loads(api.encode(Call("m", "p", None, False, "n")).body) == {"prompt": "p"}
    assert json.loads(api.encode(Call("m", "p", 4, False, "n")).body) == {"prompt": "p", "n": 4}


def test_extra_body_fields_are_laid_over_an_object() -> None:
    """``target.body`` adds and replaces; its null takes a field away, a record's own null stays; what is no object is left alone."""
    over = {"x": 1, "gone": None, "kept": 2}
    call = Call("", "p", None, False, body=over, record={"gone": 5, "kept": 1, "own": None})
    assert json.loads(HttpJson(Http()).encode(call).body) == {"kept": 2, "own": None, "x": 1}
    assert json.loads(HttpJson(Http()).encode(Call("", "p", None, False, body=over, record=[1])).body) == [1]


@pytest.mark.parametrize(
    ("method", "body"),
    [("GET", b""), ("DELETE", b""), ("POST", b'{"a":1}'), ("PUT", b'{"a":1}'), ("PATCH", b'{"a":1}')],
)
def test_methods(method: str, body: bytes) -> None:
    """GET and DELETE have no body, and then no content type, unless one is written out."""
    encoded = HttpJson(Http(method=method)).encode(Call("", "p", None, False, record={"a": 1}))
    assert (encoded.method, encoded.body) == (method, body)
    assert ("content-type" in dict(encoded.headers)) == bool(body)
    encoded = HttpJson(Http(method=method, body={"q": "{{record.a}}"})).encode(
        Call("", "p", None, False, record={"a": 1})
    )
    assert json.loads(encoded.body) == {"q": 1}


def test_a_streamed_answer_is_asked_for_by_accept() -> None:
    """Services that can do both look there; ``headers`` of the target replace it."""
    asked = [dict(HttpJson(Http()).encode(Call("", "p", 1, stream)).headers)["accept"] for stream in (True, False)]
    assert asked[0].startswith("text/event-stream, application/x-ndjson")
    assert asked[1] == "application/json, */*"


def test_the_table_makes_it() -> None:
    """A target's own words reach its API; without any the record is posted."""
    target = Target("t", "http://127.0.0.1:1", "http-json", "", http=Http(method="PUT"))
    assert table.make(target).encode(Call("", "p", None, False)).method == "PUT"
    assert table.make(Target("t", "http://127.0.0.1:1", "http-json", "")).auth("k") == ("authorization", "Bearer k")


DOCUMENT = {"a": {"b": [{"c": 1}, {"c": "two"}, [3]]}, "": 0, "x.y": {"z": None}}


@pytest.mark.parametrize(
    "path",
    ["$", "$.a", "$.a.b[0].c", "$['a']['b'][1]['c']", "$.a.b[-1][0]", "$.a.b[3]", "$.a.b[-4]", "$.a.c", "$['x.y'].z", "$['']", "$.a[0]", "$.a.b.c", "$..c", "$.a.b[*].c", "$.a.b[0:2]", "$.a.b[?@.c == 'two'].c", "$.a.b[0, 1].c"],
)  # fmt: skip
def test_paths_are_the_librarys(path: str) -> None:
    """Our walk of names and indices finds what the library finds."""
    wanted = JSONPathEnvironment(strict=True).findall(path, DOCUMENT)
    assert JsonPath(path).all(DOCUMENT) == wanted
    assert JsonPath(path).first(DOCUMENT) == (wanted[0] if wanted else MISSING)


@settings(deadline=None)
@given(ANY_JSON, st.lists(st.one_of(st.integers(-3, 3), st.text("ab'\\\"", max_size=2)), max_size=4))
def test_the_walk_is_the_librarys_on_any_document(document: Any, keys: list[int | str]) -> None:
    """Singular queries of any names and indices, quoted as RFC 9535 quotes them."""
    path = "$" + "".join(f"[{key}]" if isinstance(key, int) else f"[{orjson.dumps(key).decode()}]" for key in keys)
    assert JsonPath(path).keys == tuple(keys)
    assert JsonPath(path).all(document) == JSONPathEnvironment(strict=True).findall(path, document)


@pytest.mark.parametrize(
    "path",
    ["", "a.b", "$.", "$.a[", "$.a | $.b", "$.a ", "$[?@.a =]", "$[?nothing(@)]", "$.a.length()", "$" + "[?@" * 2000],
)
def test_what_is_no_jsonpath_is_refused(path: str) -> None:
    """One line that names it; extensions of RFC 9535 are none."""
    with pytest.raises(ValueError, match="no JSONPath") as told:
        JsonPath(path)
    assert "\n" not in str(told.value)


def test_a_document_too_deep_for_the_query_has_no_match() -> None:
    """A target cannot end a worker by nesting."""
    deep = json.loads("[" * 900 + "]" * 900)
    assert JsonPath("$..x").all(deep) == []
    assert JsonPath("$..x").first(deep) is MISSING
