"""Refusals and faults of every API in its own words, and rate-limit headers in every dialect."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from simulator_client import (
    ANTHROPIC,
    Response,
    Running,
    ask,
    chat,
    completion,
    message,
    request,
    response,
    running,
)

from generator.apis.limits import parse_limits
from simulator.faults import FAULTS

PLAIN_BODY = {"input": "one two three four", "stream": True}
STREAMS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": chat(4),
    "/v1/completions": completion(4),
    "/v1/responses": response(4),
    "/v1/messages": message(4),
    "/v1/predict": PLAIN_BODY,
}
UNSTREAMED: dict[str, dict[str, Any]] = {path: body | {"stream": False} for path, body in STREAMS.items()} | {
    "/v1/embeddings": {"model": "m", "input": "one two"}
}
WORDS = {
    "/v1/chat/completions": b'"delta":{"content":" ',
    "/v1/completions": b'"text":" ',
    "/v1/responses": b"event: response.output_text.delta",
    "/v1/messages": b'"type":"text_delta"',
    "/v1/predict": b'"text":" ',
}
ENDS = {
    "/v1/chat/completions": b'"finish_reason":"length"',
    "/v1/completions": b'"finish_reason":"length"',
    "/v1/responses": b"event: response.incomplete",
    "/v1/messages": b"event: message_stop",
    "/v1/predict": b'"done":true',
}


@pytest.fixture(scope="module")
def server():
    with running() as found:
        yield found


def broken(server: Running, path: str, fault: str, body: dict[str, Any]) -> Response:
    return ask(server, body, {**ANTHROPIC, "x-sim-fault": fault}, path=path)


def error_words(path: str, document: dict[str, Any]) -> set[str]:
    """Type and code of an error of ``path``'s API."""
    if path == "/v1/predict":
        assert isinstance(document["detail"], str)
        return set()
    error = document["error"]
    assert error["message"]
    return {error["type"], error.get("code")} - {None}


@pytest.mark.parametrize("path", UNSTREAMED)
@pytest.mark.parametrize("fault", [name for name, fault in FAULTS.items() if fault.refusal])
def test_refusals_are_told_in_the_apis_own_words(server: Running, path, fault):
    """Status and error type by provider: 529 is Anthropic's alone; a plain service says only why."""
    found = broken(server, path, fault, UNSTREAMED[path])
    told = error_words(path, json.loads(found.body))
    anthropic = path == "/v1/messages"
    status, words = {
        "429": (429, {"rate_limit_error"} if anthropic else {"requests", "rate_limit_exceeded"}),
        "quota": (
            402 if path in ("/v1/messages", "/v1/predict") else 429,
            {"billing_error"} if anthropic else {"insufficient_quota"},
        ),
        "500": (500, {"api_error"} if anthropic else {"server_error"}),
        "503": (
            529 if anthropic else 503,
            {"overloaded_error"} if anthropic else {"server_error", "server_is_overloaded"},
        ),
    }[fault]
    assert found.status == status
    assert told == (set() if path == "/v1/predict" else words)
    assert ("retry-after" in found.headers) == (fault in ("429", "503"))
    if anthropic:
        assert json.loads(found.body)["request_id"] == found.headers["request-id"]


@pytest.mark.parametrize("path", STREAMS)
@pytest.mark.parametrize(
    ("fault", "ended", "tokens", "finished"),
    [
        ("truncated", "eof", 2, False),
        ("bad-framing", "broken", 2, False),
        ("no-finish", "clean", 2, False),
        ("error-in-200", "clean", 2, False),
        ("overloaded-in-200", "clean", 2, False),
        ("bad-json", "clean", 4 + 1, True),
    ],
)
def test_faults_in_the_middle_of_every_stream(server: Running, path, fault, ended, tokens, finished):
    """Half of the tokens come; what ends or goes on, and whether the API's end mark is there, is the fault's."""
    found = broken(server, path, fault, STREAMS[path])
    assert found.status == 200
    assert found.ended == ended
    assert found.body.count(WORDS[path]) == tokens
    assert (ENDS[path] in found.body) == finished
    assert sum(unreadable(data) for data in found.events() if data != "[DONE]") == (fault == "bad-json")


def unreadable(data: object) -> bool:
    """The client leaves what is no JSON as text."""
    return isinstance(data, str)


@pytest.mark.parametrize("path", STREAMS)
@pytest.mark.parametrize(("fault", "overloaded"), [("error-in-200", False), ("overloaded-in-200", True)])
def test_errors_inside_a_stream(server: Running, path, fault, overloaded):
    """The last event is an error of the API's own shape; whether it is overload can be read from its words."""
    name, event = broken(server, path, fault, STREAMS[path]).named_events()[-1]
    if path == "/v1/responses":
        assert (name, event["type"]) == ("error", "error")
        assert event["code"] == ("server_is_overloaded" if overloaded else "server_error")
    elif path == "/v1/messages":
        assert (name, event["type"]) == ("error", "error")
        assert event["error"]["type"] == ("overloaded_error" if overloaded else "api_error")
    elif path == "/v1/predict":
        assert (name, list(event)) == ("error", ["error"])
    else:
        assert name == ""
        assert event["error"]["code"] == ("server_is_overloaded" if overloaded else None)


@pytest.mark.parametrize("path", UNSTREAMED)
@pytest.mark.parametrize("fault", ["error-in-200", "overloaded-in-200", "bad-json", "no-finish", "bad-framing"])
def test_faults_of_answers_in_one_piece(server: Running, path, fault):
    """An error or broken JSON as the body of a 200; what only a stream can have leaves them whole."""
    found = broken(server, path, fault, UNSTREAMED[path])
    assert found.status == 200
    if fault == "bad-json":
        with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
            json.loads(found.body)
        return
    document = json.loads(found.body)
    assert bool(document.get("error")) == fault.endswith("in-200")


@pytest.mark.parametrize("path", STREAMS)
def test_a_reset_reaches_every_stream(server: Running, path):
    """The connection ends with RST, whatever the API."""
    with server.connect() as sock:
        sock.sendall(request(STREAMS[path], {**ANTHROPIC, "x-sim-fault": "reset"}, path=path))
        assert was_reset(sock)


def was_reset(sock: socket.socket) -> bool:
    """Reads to the end; a reset may overtake what was sent before it."""
    try:
        while sock.recv(65_536):
            pass
    except ConnectionResetError:
        return True
    return False


def test_ndjson_has_faults_of_its_own(server: Running):
    """A line of broken JSON, and an error on a line."""
    headers = {"accept": "application/x-ndjson", "x-sim-fault": "bad-json"}
    lines = ask(server, {"input": "one two"}, headers, path="/plain/x").body.splitlines()
    assert lines[1] == b'{"index": '
    lines = ask(server, {"input": "one two"}, headers | {"x-sim-fault": "error-in-200"}, path="/plain/x").body
    assert "error" in json.loads(lines.splitlines()[-1])


@pytest.mark.parametrize(
    ("dialect", "names", "refusal"),
    [
        (
            "openai",
            {"x-ratelimit-limit-requests": "1", "x-ratelimit-reset-requests": "1m0s", "retry-after": "60"},
            ("requests", "try again in 1m0s"),
        ),
        (
            "groq",
            {"x-ratelimit-limit-requests": "1", "x-ratelimit-remaining-requests": "0", "retry-after": "60"},
            ("requests", "try again in 1m0s"),
        ),
        (
            "together",
            {"x-ratelimit-limit": "1", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "60"},
            ("dynamic_request_limited", "Limit 1, Used 1"),
        ),
        ("anthropic", {"anthropic-ratelimit-requests-limit": "1", "retry-after": "60"}, ("requests", "Limit 1")),
        ("none", {"retry-after": "60"}, ("requests", "Limit 1")),
    ],
)
def test_limits_in_each_dialect(dialect, names, refusal):
    """A refusal's headers and body, whatever the API; and openloop reads the same limits out of every dialect."""
    with running(rpm=1, tpm=100_000, limit_law="fixed", limit_headers=dialect) as server:
        admitted, refused = ask(server, chat(1)), ask(server, chat(1))
    for found, remaining in ((admitted, 0), (refused, 0)):
        read = parse_limits([(name.encode(), value.encode()) for name, value in found.headers.items()])
        if dialect != "none":
            assert (read.limit_requests, read.remaining_requests) == (1, remaining)
            assert (read.limit_tokens, read.remaining_tokens) == (100_000, 100_000 - 11)
            assert read.reset_requests_s == pytest.approx(60, abs=2)
    assert refused.status == 429
    fixed = {name: value for name, value in names.items() if "reset" not in name and name != "retry-after"}
    assert fixed.items() <= refused.headers.items()
    assert names.keys() <= refused.headers.keys()
    error = json.loads(refused.body)["error"]
    assert error["type"] == refusal[0]
    assert refusal[1].split(" in ")[0] in error["message"]


def test_each_api_has_its_own_dialect_by_itself():
    """Unless told otherwise: OpenAI's headers, Anthropic's, and none for a plain service."""
    with running(rpm=100) as server:
        openai = ask(server, response(1), path="/v1/responses").headers
        anthropic = ask(server, message(1), ANTHROPIC, path="/v1/messages").headers
        plain = ask(server, PLAIN_BODY, path="/v1/predict").headers
    assert [name for name in openai if "ratelimit" in name] == [
        f"x-ratelimit-{part}-requests" for part in ("limit", "remaining", "reset")
    ]
    assert [name for name in anthropic if "ratelimit" in name] == [
        f"anthropic-ratelimit-requests-{part}" for part in ("limit", "remaining", "reset")
    ]
    assert not [name for name in plain if "ratelimit" in name]


def test_anthropics_refusal():
    """rate_limit_error, with the wait in whole seconds."""
    with running(rpm=1) as server:
        asked = [ask(server, message(1), ANTHROPIC, path="/v1/messages") for _ in range(2)]
    told = json.loads(asked[1].body)
    assert (asked[1].status, told["error"]["type"]) == (429, "rate_limit_error")
    assert "1 requests per min" in told["error"]["message"]
    assert 0 < int(asked[1].headers["retry-after"]) <= 60
