"""Each API of the simulator over real sockets, to the letter of its provider; chat has tests/test_simulator_server.py."""

from __future__ import annotations

import base64
import json
from array import array
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from simulator_client import ANTHROPIC, Response, Running, ask, chat, completion, message, request, response, running

COMPLETIONS = "/v1/completions"
RESPONSES = "/v1/responses"
MESSAGES = "/v1/messages"
EMBEDDINGS = "/v1/embeddings"


@pytest.fixture(scope="module")
def server():
    with running(model="tiny") as found:
        yield found


@pytest.fixture(scope="module")
def thinker():
    """Half of every answer is reasoning; half of the input was in a cache; usage grows."""
    with running(reasoning="50%", cached="50%", cache_written="25%", usage="growing") as found:
        yield found


def asked(server: Running, body: dict[str, Any], **headers: str) -> Response:
    return ask(server, body, {**ANTHROPIC, **headers}, path=MESSAGES)


def test_completions_to_the_letter(server: Running):
    """No role event; each event a text; the finish one empty; usage alone where asked for; input without a chat template."""
    body = completion(3, stream_options={"include_usage": True})
    *events, finish, usage, done = ask(server, body, path=COMPLETIONS).events()
    assert done == "[DONE]"
    assert len(events) == 3
    assert all(event["choices"][0]["text"].startswith(" ") for event in events)
    assert finish["choices"] == [{"index": 0, "text": "", "logprobs": None, "finish_reason": "length"}]
    assert usage["choices"] == []
    assert (usage["usage"]["prompt_tokens"], usage["usage"]["completion_tokens"]) == (3, 3)
    assert {event["object"] for event in [*events, finish, usage]} == {"text_completion"}
    whole = json.loads(ask(server, completion(3, stream=False), path=COMPLETIONS).body)
    assert len(whole["choices"][0]["text"].split()) == 3
    assert whole["usage"]["total_tokens"] == 6


@pytest.mark.parametrize("prompt", ["one two", ["one two"], [5, 6], [[5, 6]]])
def test_completions_take_texts_and_token_numbers(server: Running, prompt):
    """A word or a token number is a token; a list of one prompt is that prompt."""
    body = json.loads(ask(server, completion(1, stream=False, prompt=prompt), path=COMPLETIONS).body)
    assert body["usage"]["prompt_tokens"] == 2


def test_where_usage_goes():
    """Beside the finish as Together; growing on every event as xAI; vLLM's option asks for the latter, too."""
    counting = {"include_usage": True}
    with running(usage="with-finish") as server:
        *_, finish, done = ask(server, chat(2, stream_options=counting)).events()
        growing = ask(server, chat(2, stream_options={**counting, "continuous_usage_stats": True})).events()
    assert done == "[DONE]"
    assert finish["choices"][0]["finish_reason"] == "length"
    assert finish["usage"]["completion_tokens"] == 2
    assert [event["usage"]["completion_tokens"] for event in growing[:-1]] == [0, 1, 2, 2, 2]


def test_responses_to_the_letter(server: Running):
    """Numbered from 0 without a gap, named by their type, and the last one is the whole answer with its usage."""
    named = ask(server, response(2), path=RESPONSES).named_events()
    assert [name for name, _ in named] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.incomplete",
    ]
    assert [data["sequence_number"] for _, data in named] == list(range(10))
    assert all(data["type"] == name for name, data in named)
    text = "".join(data["delta"] for name, data in named if name.endswith("delta"))
    last = named[-1][1]["response"]
    assert named[6][1]["text"] == text == last["output"][0]["content"][0]["text"]
    assert last["incomplete_details"] == {"reason": "max_output_tokens"}
    assert last["usage"] == {
        "input_tokens": 3 + 8,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 13,
    }


def test_responses_that_end_by_themselves_are_completed(server: Running):
    """Without max_output_tokens the last event is response.completed."""
    named = ask(server, response(None), {"x-sim-output-tokens": "2"}, path=RESPONSES).named_events()
    assert named[-1][0] == "response.completed"
    whole = json.loads(ask(server, response(None, stream=False), {"x-sim-output-tokens": "2"}, path=RESPONSES).body)
    assert (whole["status"], whole["incomplete_details"], len(whole["output"])) == ("completed", None, 1)


def test_responses_reason_first(thinker: Running):
    """Reasoning is an item of its own before the message, and the numbers go on across it."""
    named = ask(thinker, response(4), path=RESPONSES).named_events()
    assert [data["sequence_number"] for _, data in named] == list(range(len(named)))
    deltas = [(name, data["output_index"]) for name, data in named if name.endswith("delta")]
    assert deltas == [("response.reasoning_text.delta", 0)] * 2 + [("response.output_text.delta", 1)] * 2
    last = named[-1][1]["response"]
    assert [item["type"] for item in last["output"]] == ["reasoning", "message"]
    assert last["usage"]["output_tokens_details"] == {"reasoning_tokens": 2}
    assert last["usage"]["input_tokens_details"] == {"cached_tokens": 5}


def test_responses_take_conversations(server: Running):
    """Instructions and every message of the input count."""
    given = [
        {"role": "user", "content": "one two"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "three"}]},
        {"type": "function_call", "name": "f", "arguments": "{}"},
    ]
    body = response(1, stream=False, given=given, instructions="four five")
    assert json.loads(ask(server, body, path=RESPONSES).body)["usage"]["input_tokens"] == 5 + 8


def test_messages_to_the_letter(server: Running):
    """message_start with a pre-count, a block with a ping in it, message_delta with the total, message_stop, and no [DONE]."""
    named = asked(server, message(2)).named_events()
    assert [name for name, _ in named] == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert all(data["type"] == name for name, data in named)
    start = named[0][1]["message"]
    assert start["usage"] == {
        "input_tokens": 11,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 1,
    }
    assert named[3][1]["delta"]["type"] == "text_delta"
    assert named[6][1]["delta"] == {"stop_reason": "max_tokens", "stop_sequence": None}
    assert named[6][1]["usage"]["output_tokens"] == 2


def test_messages_think_and_count_the_cache(thinker: Running):
    """Thinking is a block of its own with a signature; counts are cumulative; the three kinds of input sum to all of it."""
    named = asked(thinker, message(8)).named_events()
    deltas = [(data["index"], data["delta"]["type"]) for name, data in named if name == "content_block_delta"]
    assert deltas == [(0, "thinking_delta")] * 4 + [(0, "signature_delta")] + [(1, "text_delta")] * 4
    starts = [data["content_block"]["type"] for name, data in named if name == "content_block_start"]
    assert starts == ["thinking", "text"]
    usages = [data["usage"] for name, data in named if name == "message_delta"]
    assert [usage["output_tokens"] for usage in usages] == [4, 8]
    last = usages[-1]
    assert last["output_tokens_details"] == {"thinking_tokens": 4}
    parts = (last["input_tokens"], last["cache_read_input_tokens"], last["cache_creation_input_tokens"])
    assert (sum(parts), parts) == (11, (4, 5, 2))
    whole = json.loads(asked(thinker, message(8, stream=False)).body)
    assert [block["type"] for block in whole["content"]] == ["thinking", "text"]
    assert whole["usage"] == last


def test_messages_that_stop_by_themselves(server: Running):
    """Fewer tokens than max_tokens is end_turn."""
    named = asked(server, message(9), **{"x-sim-output-tokens": "2"}).named_events()
    assert named[-2][1]["delta"]["stop_reason"] == "end_turn"


def test_the_system_text_is_input(server: Running):
    """A system prompt, in one text or in blocks, counts like a message."""
    for system in ("one two", [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]):
        whole = json.loads(asked(server, message(1, stream=False, system=system)).body)
        assert whole["usage"]["input_tokens"] == 2 + 3 + 8


@pytest.mark.parametrize(
    ("body", "headers", "words"),
    [
        (message(2), {}, "anthropic-version"),
        (message(None), ANTHROPIC, "max_tokens"),
        (message(2) | {"messages": [{"role": "system", "content": "x"}]}, ANTHROPIC, "system"),
        (b"{", ANTHROPIC, "not JSON"),
    ],
)
def test_wrong_messages_get_anthropics_errors(server: Running, body, headers, words):
    """400, Anthropic's error body, and the id of the request in body and head."""
    found = ask(server, body, headers, path=MESSAGES)
    told = json.loads(found.body)
    assert found.status == 400
    assert (told["type"], told["error"]["type"]) == ("error", "invalid_request_error")
    assert words in told["error"]["message"]
    assert told["request_id"] == found.headers["request-id"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (COMPLETIONS, completion(1, prompt=["a", "b"])),
        (COMPLETIONS, completion(1, prompt=7)),
        (RESPONSES, response(1, given=[])),
        (RESPONSES, response(1, previous_response_id="resp_1")),
        (EMBEDDINGS, {"model": "m", "input": ""}),
        (EMBEDDINGS, {"model": "m", "input": "a", "encoding_format": "hex"}),
        ("/tokenize", {"model": "m"}),
    ],
)
def test_wrong_requests_of_the_other_apis(server: Running, path, body):
    """400 and OpenAI's error body."""
    found = ask(server, body, path=path)
    assert found.status == 400
    assert json.loads(found.body)["error"]["type"] == "invalid_request_error"


def test_embeddings(server: Running):
    """A vector for each text, of the dimensions asked for, as numbers or as base64 of 32-bit floats; usage without output."""
    body = {"model": "m", "input": ["one two", "three"], "dimensions": 4}
    found = json.loads(ask(server, body, path=EMBEDDINGS).body)
    assert [entry["index"] for entry in found["data"]] == [0, 1]
    assert found["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    packed = json.loads(ask(server, body | {"encoding_format": "base64"}, path=EMBEDDINGS).body)
    floats = array("f", base64.b64decode(packed["data"][0]["embedding"]))
    assert floats.tolist() == pytest.approx(found["data"][0]["embedding"])
    assert len(set(floats)) == 4


def test_the_plain_service(server: Running):
    """The words of the input in capitals, whatever the method below /plain/; the body comes back whole."""
    record = {"id": 7, "input": "hello you"}
    for path, method in (("/v1/predict", "POST"), ("/plain/any/thing", "PUT")):
        found = json.loads(ask(server, record, path=path, method=method).body)
        assert (found["output"]["text"], found["count"], found["received"]) == ("HELLO YOU", 2, record)
    drawn = json.loads(ask(server, None, {"x-sim-output-tokens": "3"}, path="/plain/x", method="GET").body)
    assert len(drawn["output"]["text"].split()) == 3
    assert drawn["received"] is None


def test_the_plain_service_streams(server: Running):
    """As events or as lines: a word each, and the end says how many."""
    events = ask(server, {"input": "hello you", "stream": True}, path="/v1/predict").named_events()
    lines = ask(server, {"input": "hello you"}, {"accept": "application/x-ndjson"}, path="/plain/x")
    assert [json.loads(line) for line in lines.body.splitlines()] == [data for _, data in events]
    assert lines.headers["content-type"] == "application/x-ndjson"
    assert events == [
        ("", {"index": 0, "text": " HELLO"}),
        ("", {"index": 1, "text": " YOU"}),
        ("done", {"done": True, "count": 2}),
    ]


def test_tokenize_agrees_with_usage():
    """A prompt's count is what completions charge; with messages it is what chat does, template included."""
    with running(tokens_per_word=1.5) as server:
        alone = json.loads(ask(server, {"model": "m", "prompt": "one two three"}, path="/tokenize").body)
        body = {"model": "m", "messages": chat(1)["messages"]}
        whole = json.loads(ask(server, body, path="/tokenize").body)
        completed = json.loads(ask(server, completion(1, stream=False), path=COMPLETIONS).body)
        chatted = json.loads(ask(server, chat(1, stream=False)).body)
    assert alone["count"] == len(alone["tokens"]) == completed["usage"]["prompt_tokens"]
    assert whole["count"] == chatted["usage"]["prompt_tokens"]


def metrics(server: Running) -> dict[str, float]:
    text = ask(server, None, path="/metrics", method="GET")
    assert text.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(text.body.decode())
    return {sample.name: sample.value for family in families for sample in family.samples}


def test_metrics_tell_what_is_under_way():
    """Prometheus' own parser reads them; running and waiting are those of this moment, tokens count up with the stream."""
    with running(timing="batch", max_batch=1, decode_base="20ms", model='a"b\\c') as server:
        with server.connect() as runs, server.connect() as waits:
            runs.sendall(request(chat(1_000)))
            assert b"200" in runs.recv(12)
            waits.sendall(request(chat(1_000)))
            found = metrics(server)
            while not found["vllm:num_requests_waiting"]:
                found = metrics(server)
            assert (found["vllm:num_requests_running"], found["vllm:num_requests_waiting"]) == (1, 1)
            first = found["vllm:generation_tokens_total"]
            while metrics(server)["vllm:generation_tokens_total"] == first:
                pass
        while metrics(server)["vllm:num_requests_running"]:
            pass
        found = metrics(server)
    assert found["vllm:prompt_tokens_total"] == 22
    assert found["process_cpu_seconds_total"] > 0
    assert found["process_resident_memory_bytes"] > 1 << 20


def test_each_api_wants_its_own_key():
    """A bearer token, but x-api-key for Anthropic; the plain routes that say nothing of a model want none."""
    with running(api_key="k") as server:
        bearer = {"authorization": "Bearer k"}
        assert ask(server, completion(1), bearer, path=COMPLETIONS).status == 200
        assert asked(server, message(1), **{"x-api-key": "k"}).status == 200
        refused = asked(server, message(1), **bearer)
        assert ask(server, {"prompt": "x"}, path="/tokenize").status == 401
        assert ask(server, None, path="/metrics", method="GET").status == 200
    assert refused.status == 401
    assert json.loads(refused.body)["error"]["type"] == "authentication_error"
