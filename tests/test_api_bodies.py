"""What each API's request is made of: the fields that its provider documents, conversations, overrides, keys."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from generator.apis import table
from generator.apis.api import Api, Call, Messages
from generator.job import Target

USER = {"role": "user", "content": "Hi"}
TALK: Messages = (
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "One"}, {"type": "text", "text": "Two"}]},
    {"role": "assistant", "content": [{"type": "text", "text": "Three"}]},
    {"role": "user", "content": "Four"},
)


def api_of(name: str) -> Api:
    return table.make(Target(name="t", url="http://127.0.0.1/v1", api=name, model="m"))


def body_of(name: str, **fields: Any) -> dict[str, Any]:
    call = Call(**{"model": "m", "prompt": "Hi", "max_tokens": 16, "stream": True, **fields})
    body: dict[str, Any] = orjson.loads(api_of(name).encode(call).body)
    return body


@pytest.mark.parametrize(
    ("name", "path", "body"),
    [
        (
            "openai-chat",
            "/chat/completions",
            {"messages": [USER], "max_tokens": 16, "stream": True, "stream_options": {"include_usage": True}},
        ),
        (
            "openai-completions",
            "/completions",
            {"prompt": "Hi", "max_tokens": 16, "stream": True, "stream_options": {"include_usage": True}},
        ),
        ("openai-responses", "/responses", {"input": "Hi", "max_output_tokens": 16, "stream": True}),
        ("anthropic-messages", "/messages", {"messages": [USER], "max_tokens": 16, "stream": True}),
        ("openai-embeddings", "/embeddings", {"input": "Hi"}),
    ],
)
def test_a_streaming_request(name: str, path: str, body: dict[str, Any]) -> None:
    """The least that asks for a streamed answer with its usage."""
    call = Call("m", "Hi", 16, stream=True)
    encoded = api_of(name).encode(call)
    assert (encoded.method, encoded.path) == ("POST", path)
    assert orjson.loads(encoded.body) == {"model": "m", **body}
    headers = dict(encoded.headers)
    assert headers["content-type"] == "application/json"
    assert headers["accept"] == ("application/json" if name == "openai-embeddings" else "text/event-stream")


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("openai-chat", {"messages": [USER]}),
        ("openai-completions", {"prompt": "Hi"}),
        ("openai-responses", {"input": "Hi"}),
        ("anthropic-messages", {"messages": [USER], "max_tokens": 4096}),
        ("openai-embeddings", {"input": "Hi"}),
    ],
)
def test_a_request_without_stream_or_length(name: str, body: dict[str, Any]) -> None:
    """Nothing of a stream is sent, and no length but where the API insists on one."""
    assert body_of(name, stream=False, max_tokens=None) == {"model": "m", **body}


def test_a_whole_conversation() -> None:
    """Each API gets it in its own form: turns as they are, system apart, parts renamed, or one text."""
    assert body_of("openai-chat", messages=TALK)["messages"] == list(TALK)
    messages = body_of("anthropic-messages", messages=TALK)
    assert (messages["system"], messages["messages"]) == ("Be brief.", list(TALK[1:]))
    assert body_of("openai-responses", messages=TALK)["input"] == [
        {"type": "message", **TALK[0]},
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "One"}, {"type": "input_text", "text": "Two"}],
        },
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Three"}]},
        {"type": "message", **TALK[3]},
    ]
    text = "System: Be brief.\n\nUser: One\nTwo\n\nAssistant: Three\n\nUser: Four"
    assert body_of("openai-completions", messages=TALK)["prompt"] == text + "\n\nAssistant:"
    assert body_of("openai-embeddings", messages=TALK)["input"] == text


def test_a_system_of_blocks_stays_blocks() -> None:
    """Anthropic's prompt cache is steered by a mark on a block, which must arrive."""
    block = {"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral"}}
    talk: Messages = ({"role": "system", "content": [block]}, {"role": "developer", "content": "Brief."}, USER)
    body = body_of("anthropic-messages", messages=talk)
    assert (body["system"], body["messages"]) == ([block, {"type": "text", "text": "Brief."}], [USER])


@pytest.mark.parametrize("name", [name for name in table.NAMES if name not in ("http-json", "openai-embeddings")])
def test_a_name_of_ones_own_for_the_length(name: str) -> None:
    """``max_tokens_field`` replaces the API's own name."""
    body = body_of(name, max_tokens_field="max_completion_tokens")
    assert body["max_completion_tokens"] == 16
    assert not {"max_tokens", "max_output_tokens"} & set(body)


@pytest.mark.parametrize("name", [name for name in table.NAMES if name != "http-json"])
def test_extras_are_laid_over_and_null_takes_away(name: str) -> None:
    """Any field can be added, replaced or taken away; options of the stream are merged one by one."""
    extra = {"temperature": 0, "model": None, "stream_options": {"include_obfuscation": False}}
    body = body_of(name, body=extra)
    assert body["temperature"] == 0
    assert "model" not in body
    usage = {"include_usage": True} if name in ("openai-chat", "openai-completions") else {}
    assert body["stream_options"] == {**usage, "include_obfuscation": False}


def test_a_call_is_not_changed_by_its_encoding() -> None:
    """One body of extras serves every request of a target."""
    extra = {"stream_options": {"include_obfuscation": False}, "metadata": {"a": 1}}
    for name in table.NAMES:
        body_of(name, body=extra, messages=TALK)
    assert extra == {"stream_options": {"include_obfuscation": False}, "metadata": {"a": 1}}
    assert TALK[1]["content"][0]["type"] == "text"


def test_where_the_key_goes() -> None:
    """A bearer token, but for Anthropic, which has a header of its own and wants a version beside it."""
    for name in ("openai-chat", "openai-completions", "openai-responses", "openai-embeddings"):
        assert api_of(name).auth("k") == ("authorization", "Bearer k")
    api = api_of("anthropic-messages")
    assert api.auth("k") == ("x-api-key", "k")
    assert ("anthropic-version", "2023-06-01") in api.encode(Call("m", "Hi", 1, stream=True)).headers


@pytest.mark.parametrize("name", [name for name in table.NAMES if name != "http-json"])
def test_records_that_only_python_s_json_can_write(name: str) -> None:
    """Half a surrogate pair in a dataset's text is escaped, as the SDKs do, and costs no request."""
    body = api_of(name).encode(Call("m", "a\ud83d", 1, stream=True)).body
    assert b"a\\ud83d" in body
    body.decode()
