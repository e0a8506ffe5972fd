"""A request as bytes: which header wins, what is refused, where the path goes."""

from __future__ import annotations

from typing import Any

import pytest
from plans import target

from generator.apis.api import Encoded
from generator.apis.openai_chat import OpenAIChat
from generator.errors import ScenarioError
from generator.transport.wire import Wire, fixed_headers, port_of, split_url

BODY = "{}☃".encode()
ASK = Encoded(
    "POST", "/chat/completions", (("content-type", "application/json"), ("accept", "text/event-stream")), BODY
)


def sent(
    request_id: int = 7, *, keep_alive: bool = True, encoded: Encoded = ASK, **fields: Any
) -> tuple[str, dict[str, str], bytes]:
    """(request line, headers by lower-case name, body) of one request; a header twice fails here."""
    wire = Wire(target(**fields), OpenAIChat(), "run-1", keep_alive)
    head, _, body = wire.bytes_for(encoded, request_id).partition(b"\r\n\r\n")
    line, *rest = head.decode("latin-1").split("\r\n")
    pairs = [text.split(": ", 1) for text in rest]
    found = {name.lower(): value for name, value in pairs}
    assert len(found) == len(pairs), pairs
    return line, found, body


def test_a_request() -> None:
    """Request line, our own headers, the API's, the key, the mark, the body's length in bytes."""
    line, headers, body = sent(url="http://localhost:8000/v1", api_key="sk-1")
    assert line == "POST /v1/chat/completions HTTP/1.1"
    assert headers == {
        "host": "localhost:8000",
        "user-agent": "openloop",
        "accept-encoding": "identity",
        "connection": "keep-alive",
        "authorization": "Bearer sk-1",
        "content-type": "application/json",
        "accept": "text/event-stream",
        "x-request-id": "run-1-7",
        "content-length": "5",
    }
    assert body == BODY


@pytest.mark.parametrize(
    ("name", "value"), [("api-key", "sk-1"), ("Authorization", "Bearer sk-1"), ("x-goog-api-key", "sk-1")]
)
def test_a_key_in_a_header_of_the_targets_own(name: str, value: str) -> None:
    """The key alone, but for authorization, which says Bearer; the API's own header does not go out beside it."""
    _, headers, _ = sent(api_key="sk-1", auth_header=name)
    assert headers[name.lower()] == value
    assert ("authorization" in headers) is (name.lower() == "authorization")


def test_a_query_stays_behind_the_apis_path() -> None:
    """Azure wants its api-version on every request."""
    line, _, _ = sent(url="https://r.openai.azure.com/openai/deployments/d?api-version=2024-10-21")
    assert line == "POST /openai/deployments/d/chat/completions?api-version=2024-10-21 HTTP/1.1"


@pytest.mark.parametrize(
    ("url", "host", "path", "port"),
    [
        ("http://h", "h", "/chat/completions", 80),
        ("http://h/", "h", "/chat/completions", 80),
        ("https://h/v1/", "h", "/v1/chat/completions", 443),
        ("http://h:81/a/b", "h:81", "/a/b/chat/completions", 81),
        ("http://[::1]:8000/v1", "[::1]:8000", "/v1/chat/completions", 8000),
        ("http://[::1]/v1", "[::1]", "/v1/chat/completions", 80),
        ("http://h/a%20b/ü", "h", "/a%20b/%C3%BC/chat/completions", 80),
        ("http://h/d:x/@y/~z", "h", "/d:x/@y/~z/chat/completions", 80),
    ],
)
def test_where_it_goes(url: str, host: str, path: str, port: int) -> None:
    """The API's path follows the base's, with one slash; what a request line cannot hold is escaped, what is escaped stays."""
    line, headers, _ = sent(url=url)
    assert (line, headers["host"]) == (f"POST {path} HTTP/1.1", host)
    assert port_of(split_url(target(url=url))) == port


@pytest.mark.parametrize("url", ["ftp://h", "h/v1", "http://", "http://h:0", "http://h:99999", "http://[::1", "//h"])
def test_what_is_no_url(url: str) -> None:
    """Told with the target's name and the form that is wanted."""
    with pytest.raises(ScenarioError, match="target 't': url"):
        split_url(target(url=url))


def test_the_scenarios_headers_win() -> None:
    """Over ours, the API's and the key's, whatever their case; the later of two."""
    given = {
        "USER-AGENT": "mine",
        "Content-Type": "application/x",
        "Authorization": "Basic x",
        "accept-encoding": "gzip",
    }
    _, headers, _ = sent(api_key="sk-1", headers=given)
    assert {name: headers[name.lower()] for name in given} == given


def test_options_that_are_headers() -> None:
    """gzip, connections that are not used again, another name for the mark, or none."""
    assert sent(gzip=True)[1]["accept-encoding"] == "gzip, deflate"
    assert sent(keep_alive=False)[1]["connection"] == "close"
    assert sent(-3, request_id_header="x-trace")[1]["x-trace"] == "run-1--3"
    assert "run-1" not in str(sent(request_id_header=None)[1])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-a", "1\r\nx-b: 2"),
        ("x-a", "1\n2"),
        ("x-a", "\0"),
        ("x-a", "☃"),
        ("x-a\r\nx-b", "1"),
        ("x a", "1"),
        ("x-a:", "1"),
        ("", "1"),
        ("Content-Length", "5"),
        ("transfer-encoding", "chunked"),
        ("X-Request-Id", "mine"),
    ],
)
def test_headers_that_would_be_another_request(name: str, value: str) -> None:
    """Line breaks, names that are none, and those that every request carries already: refused before anything is sent."""
    with pytest.raises(ScenarioError, match="target 't': header"):
        Wire(target(headers={name: value}), OpenAIChat(), "r", keep_alive=True)


def test_a_refused_key_is_not_shown() -> None:
    """A secret with a line break is refused without its value."""
    with pytest.raises(ScenarioError) as told:
        fixed_headers(target(api_key="sk-secret\n"), OpenAIChat(), keep_alive=True)
    assert "secret" not in str(told.value)
    assert "authorization" in str(told.value)


def test_heads_differ_by_path_and_method() -> None:
    """What is made once is made once for each kind of request."""
    wire = Wire(target(), OpenAIChat(), "r", keep_alive=True)
    first = wire.bytes_for(ASK, 1)
    other = wire.bytes_for(Encoded("PUT", "/x", (), b""), 1)
    assert other.startswith(b"PUT /v1/x HTTP/1.1\r\n")
    assert wire.bytes_for(ASK, 1) == first
    assert wire.bytes_for(ASK, 2) == first.replace(b": r-1\r\n", b": r-2\r\n")
