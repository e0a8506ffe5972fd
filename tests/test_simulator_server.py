"""The simulator over real sockets: OpenAI's stream to the letter, HTTP's corners, faults, limits."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess

import pytest
from simulator_client import Reader, Running, ask, chat, request, running


@pytest.fixture(scope="module")
def server():
    with running(model="tiny") as found:
        yield found


def test_a_stream_is_openais_to_the_letter(server: Running):
    """Role first, one event a token, an empty delta with the finish, usage with no choices where asked for, [DONE]."""
    response = ask(server, chat(3, usage=True), {"x-request-id": "mine"})
    assert response.status == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["x-request-id"] == "mine"
    assert response.ended == "clean"
    *events, finish, usage, done = response.events()
    assert done == "[DONE]"
    assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert [event["choices"][0]["finish_reason"] for event in events] == [None] * 4
    assert len(response.deltas()) == 3
    assert all(event["usage"] is None for event in [*events, finish])
    assert finish["choices"] == [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "length"}]
    assert usage["choices"] == []
    assert usage["usage"]["prompt_tokens"] == 3 + 8
    assert usage["usage"]["completion_tokens"] == 3
    assert usage["usage"]["total_tokens"] == 14
    assert {event["id"] for event in [*events, finish, usage]} == {usage["id"]}
    assert {event["object"] for event in [*events, finish, usage]} == {"chat.completion.chunk"}
    assert {event["model"] for event in [*events, finish, usage]} == {"m"}


def test_each_event_is_a_chunk_of_its_own(server: Running):
    """One SSE event in one HTTP chunk, so that a reader sees each as it was written."""
    response = ask(server, chat(3))
    assert all(
        chunk.startswith(b"data: ") and chunk.endswith(b"\n\n") and chunk.count(b"\n\n") == 1
        for chunk in response.chunks
    )
    assert len(response.chunks) == 1 + 3 + 1 + 1


def test_usage_comes_only_when_asked_for(server: Running):
    """Without stream_options no event has a usage."""
    assert not any("usage" in event for event in ask(server, chat(2)).events() if isinstance(event, dict))


def test_an_unstreamed_answer_is_one_object(server: Running):
    """The whole text, its counts, and a length."""
    response = ask(server, chat(5, stream=False))
    body = json.loads(response.body)
    assert body["object"] == "chat.completion"
    assert len(body["choices"][0]["message"]["content"].split()) == 5
    assert body["usage"]["completion_tokens"] == 5


def test_without_max_tokens_the_answer_stops_by_itself(server: Running):
    """The default length, and finish_reason stop; max_completion_tokens counts like max_tokens."""
    response = ask(server, chat(None))
    assert len(response.deltas()) == 128
    assert response.events()[-2]["choices"][0]["finish_reason"] == "stop"
    assert len(ask(server, chat(None, max_completion_tokens=2)).deltas()) == 2


def test_models_and_health(server: Running):
    """The standard library's client understands the small routes."""
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    client.request("GET", "/v1/models")
    assert json.load(client.getresponse())["data"][0]["id"] == "tiny"
    client.request("GET", "/health?probe=1")
    assert client.getresponse().status == 200
    client.close()


def test_pipelined_requests_are_answered_in_order(server: Running):
    """Requests that come before the answer to an earlier one wait for it, on the same connection."""
    with server.connect() as sock:
        sock.sendall(request(chat(3)) + request(chat(1)) + request(None, path="/health", method="GET"))
        reader = Reader(sock)
        assert [len(reader.response().deltas()) for _ in range(2)] == [3, 1]
        assert reader.response().body == b'{"status":"ok"}'


def test_a_request_may_come_in_any_pieces(server: Running):
    """Byte by byte gives the same answer as at once."""
    with server.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request(chat(2)):
            sock.send(bytes([byte]))
        assert len(Reader(sock).response().deltas()) == 2


def test_a_long_prompt_is_counted(server: Running):
    """A request of megabytes, and its words in usage."""
    response = ask(server, chat(1, usage=True, prompt="word " * 500_000))
    assert response.events()[-2]["usage"]["prompt_tokens"] == 500_008


def test_a_client_may_wait_for_100_continue(server: Running):
    """Expect: 100-continue is answered before the body comes."""
    head, _, body = request(chat(1), {"expect": "100-continue"}).partition(b"\r\n\r\n")
    with server.connect() as sock:
        sock.sendall(head + b"\r\n\r\n")
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        assert Reader(sock).response().status == 200


def test_connection_close_is_kept(server: Running):
    """A client that asks for the connection's end gets it, after the whole answer."""
    with server.connect() as sock:
        sock.sendall(request(chat(2), {"connection": "close"}))
        response = Reader(sock).response()
        assert response.headers["connection"] == "close"
        assert response.ended == "clean"
        assert sock.recv(1) == b""


@pytest.mark.parametrize(
    ("body", "path", "method", "status", "words"),
    [
        (chat(), "/v1/chat", "POST", 404, "/v1/chat/completions"),
        (None, "/v1/chat/completions", "GET", 405, "POST"),
        (b"{", "/v1/chat/completions", "POST", 400, "not JSON"),
        (b"[]", "/v1/chat/completions", "POST", 400, "object"),
        ({"messages": []}, "/v1/chat/completions", "POST", 400, "model"),
        ({"model": "m"}, "/v1/chat/completions", "POST", 400, "messages"),
        ({"model": "m", "messages": [1]}, "/v1/chat/completions", "POST", 400, "role"),
        (chat(0), "/v1/chat/completions", "POST", 400, "at least 1"),
        (chat(10**9), "/v1/chat/completions", "POST", 400, "too large"),
    ],
)
def test_wrong_requests_get_openai_errors(server: Running, body, path, method, status, words):
    """The right status, and OpenAI's error body with a message that says what is wrong."""
    response = ask(server, body, path=path, method=method)
    assert response.status == status
    assert words in json.loads(response.body)["error"]["message"]


def test_what_is_not_http_is_refused(server: Running):
    """Bytes that are no HTTP get 400 and a closed connection."""
    with server.connect() as sock:
        sock.sendall(b"hello there\r\n\r\n")
        assert Reader(sock).response().status == 400
        assert sock.recv(1) == b""


def test_a_key_can_be_required():
    """With api_key set, only its bearer gets an answer."""
    with running(api_key="k") as server:
        assert ask(server, chat(1)).status == 401
        assert ask(server, chat(1), {"authorization": "Bearer k"}).status == 200


@pytest.mark.parametrize(
    ("fault", "status", "ended", "tokens", "finished"),
    [
        ("429", 429, "clean", 0, False),
        ("500", 500, "clean", 0, False),
        ("503", 503, "clean", 0, False),
        ("reset", 200, "reset", None, False),
        ("truncated", 200, "eof", 4, False),
        ("no-finish", 200, "clean", 4, False),
        ("bad-json", 200, "clean", 8, True),
        ("bad-framing", 200, "broken", 4, False),
        ("error-in-200", 200, "clean", 4, False),
    ],
)
def test_faults_on_demand(server: Running, fault, status, ended, tokens, finished):
    """Each fault breaks an answer of 8 tokens in its own way, after 4 of them; the server lives on."""
    response = ask(server, chat(8), {"x-sim-fault": fault})
    assert response.status == status
    assert response.ended == ended
    if status != 200:
        assert json.loads(response.body)["error"]["message"]
        return
    if tokens is not None:  # a reset may overtake what was sent before it
        assert len(response.deltas()) == tokens
    assert (b'"finish_reason":"length"' in response.body) == finished
    assert (b'"error"' in response.body) == (fault == "error-in-200")
    assert (response.body.endswith(b"data: [DONE]\n\n")) == (fault in ("no-finish", "bad-json"))
    broken = [event for event in response.events() if isinstance(event, str) and event != "[DONE]"]
    assert len(broken) == (fault == "bad-json")
    assert ask(server, chat(1)).ended == "clean"


def test_a_stall_leaves_the_connection_open(server: Running):
    """Half of the tokens, then nothing, and no end."""
    with server.connect() as sock:
        sock.sendall(request(chat(4), {"x-sim-fault": "stall"}))
        data = b""
        while data.count(b'"content":" ') < 2:
            data += sock.recv(65_536)
        sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            sock.recv(1)


def test_an_unknown_fault_is_told(server: Running):
    """A wrong x-sim-fault is the client's error, not a fault of another kind."""
    response = ask(server, chat(1), {"x-sim-fault": "boom"})
    assert response.status == 400
    assert "truncated" in json.loads(response.body)["error"]["message"]


@pytest.mark.parametrize("fault", ["truncated", "error-in-200", "bad-json"])
def test_faults_of_unstreamed_answers(server: Running, fault):
    """They show in the body, or in its absence."""
    with server.connect() as sock:
        sock.sendall(request(chat(4, stream=False), {"x-sim-fault": fault}))
        data = sock.recv(65_536)
    if fault == "truncated":
        assert data == b""
    else:
        assert data.startswith(b"HTTP/1.1 200")
        assert (b'"error"' in data) == (fault == "error-in-200")


def test_limits_are_told_and_kept():
    """Headers on every answer, then a 429 whose headers and message agree with each other."""
    with running(rpm=2, tpm=100_000, charge="input+max_tokens") as server:
        first, second, third = (ask(server, chat(2)) for _ in range(3))
    assert (first.headers["x-ratelimit-limit-requests"], first.headers["x-ratelimit-remaining-requests"]) == ("2", "1")
    assert first.headers["x-ratelimit-limit-tokens"] == "100000"
    assert first.headers["x-ratelimit-remaining-tokens"] == str(100_000 - 11 - 2)
    assert second.headers["x-ratelimit-remaining-requests"] == "0"
    assert third.status == 429
    error = json.loads(third.body)["error"]
    assert (error["type"], error["code"]) == ("requests", "rate_limit_exceeded")
    match = re.search(r"Limit 2, Used 2, Requested 1\. Please try again in (\d+)s\.", error["message"])
    assert match is not None
    assert third.headers["retry-after"] == match[1] == "30"


def test_concurrency_limit():
    """One more in flight than allowed gets 429; when the first is gone there is room again."""
    with running(concurrency=1) as server:
        with server.connect() as sock:
            sock.sendall(request(chat(4), {"x-sim-fault": "stall"}))
            sock.recv(1)
            refused = ask(server, chat(1))
            assert refused.status == 429
            assert "Limit 1, Used 1" in json.loads(refused.body)["error"]["message"]
        statuses = [ask(server, chat(1)).status for _ in range(50)]
    assert statuses[-1] == 200


def test_a_full_queue_is_overload():
    """Beyond queue_max waiting sequences the answer is 503, as servers say that they are overloaded."""
    flags = {"timing": "batch", "max_batch": 1, "queue_max": 1, "prefill_base": "60s", "head": "at-once"}
    with running(**flags) as server, server.connect() as runs, server.connect() as waits:
        for sock in (runs, waits):
            sock.sendall(request(chat(1)))
            assert sock.recv(12) == b"HTTP/1.1 200"  # it was admitted; its tokens are a minute away
        response = ask(server, chat(1))
    assert response.status == 503
    assert json.loads(response.body)["error"]["code"] == "server_is_overloaded"


def test_close_delimited_bodies():
    """body=close sends no chunks and ends the answer with the connection."""
    with running(body="close") as server:
        response = ask(server, chat(3, usage=True))
    assert "transfer-encoding" not in response.headers
    assert len(response.deltas()) == 3
    assert response.events()[-1] == "[DONE]"


def test_reasoning_and_several_tokens_an_event():
    """A share of the events comes first as reasoning; an event carries as many words as tokens, the last one the rest."""
    with running(reasoning="50%", tokens_per_chunk=3) as server:
        response = ask(server, chat(10, usage=True))
        whole = json.loads(ask(server, chat(10, stream=False)).body)
    assert [len(text.split()) for text in response.deltas("reasoning")] == [3, 3]
    assert [len(text.split()) for text in response.deltas()] == [3, 1]
    assert response.events()[-2]["usage"]["completion_tokens_details"] == {"reasoning_tokens": 6}
    message = whole["choices"][0]["message"]
    assert (len(message["reasoning"].split()), len(message["content"].split())) == (6, 4)


def test_the_head_can_go_at_once():
    """head=at-once sends status line, headers and role before the first token's time has come."""
    with running(head="at-once", ttft="60s") as server, server.connect() as sock:
        sock.sendall(request(chat(1)))
        assert b'"role":"assistant"' in sock.recv(65_536)


def test_ipv6():
    """A host with a colon is an IPv6 address, and the URL has it in brackets."""
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_STREAM).bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with running(host="::1") as server:
        assert server.ready["url"] == f"http://[::1]:{server.port}/v1"
        with server.connect("::1") as sock:
            sock.sendall(request(chat(2)))
            assert len(Reader(sock).response().deltas()) == 2


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes its certificate with openssl")
def test_tls(tmp_path):
    """The same stream through TLS, and two requests on one connection."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    words = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
        *subject,
    ]
    subprocess.run([*words, "-keyout", key, "-out", cert], check=True, capture_output=True)
    context = ssl.create_default_context(cafile=str(cert))
    with running(tls_cert=cert, tls_key=key) as server:
        assert server.ready["url"].startswith("https://")
        with context.wrap_socket(server.connect(), server_hostname="localhost") as sock:
            reader = Reader(sock)
            for tokens in (3, 40):
                sock.sendall(request(chat(tokens, usage=True, prompt="word " * 20_000)))
                assert len(reader.response().deltas()) == tokens


def test_idle_connections_close_when_asked_to():
    """With keep_alive set, a connection that nobody uses ends; one with an answer under way does not."""
    with running(keep_alive="700ms", itl="40ms") as server, server.connect() as sock, server.connect() as idle:
        sock.sendall(request(chat(30)))
        assert idle.recv(1) == b""
        assert len(Reader(sock).response().deltas()) == 30


def test_a_late_server_ends_a_broken_answer_once():
    """Events of an answer that are due together with its fault write nothing after it: the next answer stands alone."""
    with running(itl=0) as late, late.connect() as sock:
        reader = Reader(sock)
        for fault in ("no-finish", "error-in-200"):
            sock.sendall(request(chat(50), {"x-sim-fault": fault}) + request(chat(3)))
            assert len(reader.response().deltas()) == 25
            assert len(reader.response().deltas()) == 3


def test_any_model_name_is_echoed(server: Running):
    """Quotes, markup and NUL in a model's name come back as JSON, in every event."""
    name = 'a"b\\c</script>\0é'
    response = ask(server, {**chat(2), "model": name})
    assert {event["model"] for event in response.events() if isinstance(event, dict)} == {name}
    assert len(response.deltas()) == 2
