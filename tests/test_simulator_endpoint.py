"""The simulator's endpoint alone, without sockets: whatever comes, one answer of the API's own."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import model
from simulator.answer import Answer
from simulator.api import Endpoint, Reply
from simulator.connection import HttpRequest
from simulator.routes import BELOW_BASE
from simulator.settings import from_options

PATHS = [*(f"/v1{path}" for path in BELOW_BASE), "/plain/x", "/tokenize"]
KEYS = [
    "model",
    "messages",
    "prompt",
    "input",
    "instructions",
    "system",
    "role",
    "content",
    "text",
    "type",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "stream",
    "stream_options",
    "include_usage",
    "continuous_usage_stats",
    "dimensions",
    "encoding_format",
]
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 300), st.floats(), st.sampled_from(["user", "float", "base64", "a b", ""])
)
JSON: st.SearchStrategy[Any] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)),
    max_leaves=12,
)
BODIES = st.one_of(
    st.binary(max_size=40),
    JSON.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries({"model": st.just("m")}, optional=dict.fromkeys(KEYS[1:], JSON)).map(
        lambda value: json.dumps(value).encode()
    ),
)


def endpoint(**options: object) -> Endpoint:
    made = from_options({"jitter": 0, **options})
    return Endpoint(made, 0, model.from_settings(made))


def reply(of: Endpoint, path: str, body: bytes, **headers: bytes) -> Reply:
    named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return of.reply(HttpRequest("POST", path, named, body, keep_alive=True), 1, 1, 0)


def whole(found: Reply) -> tuple[bytes, bytes]:
    """All bytes of an admitted answer, and how many content chunks are among them."""
    shape = found.shape
    assert shape is not None
    assert found.row is not None
    answer = Answer(None, 7, shape, found.row)  # type: ignore[arg-type]  # nothing here writes to a connection
    streamed = b""
    while not answer.last():
        if answer.index == answer.special:
            streamed += answer.turn()
        if shape.streamed:
            streamed += answer.event()
        answer.index += 1
    if not shape.streamed:
        return b"", answer.whole(1)
    return answer.stream_head(1) + streamed + answer.stream_end(), b""


@pytest.mark.parametrize("path", PATHS)
@settings(deadline=None, max_examples=60)
@given(body=BODIES, reasoning=st.sampled_from([0, "50%", 1]), usage=st.sampled_from(["own", "with-finish", "growing"]))
def test_any_body_has_an_answer(path: str, body: bytes, reasoning: object, usage: str) -> None:
    """Refused as the client's mistake, or answered: never an exception, never a status that says it is the server's fault."""
    of = endpoint(reasoning=reasoning, usage=usage, output_tokens=5)
    found = reply(of, path, body, anthropic_version=b"2023-06-01")
    assert found.status in (200, 400)
    if found.shape is None:
        document = orjson.loads(found.body)
        assert found.status == 200 or document.get("error") or document.get("detail")
        return
    stream, one_piece = whole(found)
    assert stream.startswith(b"HTTP/1.1 200") if found.shape.streamed else one_piece.startswith(b"HTTP/1.1 200")
    if one_piece:
        orjson.loads(one_piece.partition(b"\r\n\r\n")[2])


@settings(deadline=None, max_examples=40)
@given(
    tokens=st.integers(1, 40),
    per_chunk=st.integers(1, 7),
    percent=st.integers(0, 100),
    path=st.sampled_from(["/v1/chat/completions", "/v1/messages", "/v1/responses"]),
)
def test_every_stream_says_exactly_its_tokens(tokens: int, per_chunk: int, percent: int, path: str) -> None:
    """Words over all deltas are the tokens of usage, reasoning among them, however events and kinds divide them; and the framing
    holds, since the chunks add up.
    """
    of = endpoint(reasoning=f"{percent}%", tokens_per_chunk=per_chunk)
    messages = [{"role": "user", "content": "x"}]
    body = {"model": "m", "messages": messages, "input": "x", "stream": True, "stream_options": {"include_usage": True}}
    body |= {"max_output_tokens": tokens} if path == "/v1/responses" else {"max_tokens": tokens}
    found = reply(of, path, orjson.dumps(body), anthropic_version=b"x")
    stream, _ = whole(found)
    payload = unchunked(stream.partition(b"\r\n\r\n")[2])
    events = [orjson.loads(line[6:]) for line in payload.split(b"\n") if line.startswith(b"data: {")]
    assert sum(len(text.split()) for text in texts(path, events)) == tokens
    assert found.shape is not None
    said = found.shape.reasoning_tokens
    # Half an event by rounding to whole ones, and less than one because the last event may be short.
    assert abs(said - percent / 100 * tokens) < 1.5 * per_chunk


def texts(path: str, events: list[dict[str, Any]]) -> list[str]:
    if path == "/v1/messages":
        deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
        return [delta.get("text") or delta.get("thinking") or "" for delta in deltas]
    if path == "/v1/responses":
        return [event["delta"] for event in events if event["type"].endswith("_text.delta")]
    deltas = [event["choices"][0]["delta"] for event in events if event["choices"]]
    return [delta.get("content") or delta.get("reasoning") or "" for delta in deltas]


def unchunked(data: bytes) -> bytes:
    found = []
    while data:
        size, _, rest = data.partition(b"\r\n")
        length = int(size, 16)
        found.append(rest[:length])
        assert rest[length : length + 2] == b"\r\n"
        data = rest[length + 2 :]
    assert found[-1] == b""
    return b"".join(found)
