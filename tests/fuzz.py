"""Ways to spoil a transcript, and what must hold of a decoder whatever it is fed."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

from chat import GOLDEN, bytewise, meaning
from hypothesis import strategies as st

from generator.apis.anthropic_messages import AnthropicMessages
from generator.apis.api import Api
from generator.apis.fields import COUNT_MAX
from generator.apis.http_json import HttpJson
from generator.apis.openai_chat import OpenAIChat
from generator.apis.openai_completions import OpenAICompletions
from generator.apis.openai_embeddings import OpenAIEmbeddings
from generator.apis.openai_responses import OpenAIResponses
from generator.job import Http
from generator.schema import KINDS, OUTCOMES, TOKEN_SOURCES

_PATHS = Http(answer="$.output.text", input_tokens="$.usage.in", output_tokens="$.usage.out", error="$.problem")

SUBJECTS: dict[str, tuple[Api, str]] = {
    "openai-chat": (OpenAIChat(), "."),
    "openai-completions": (OpenAICompletions(), "openai-completions"),
    "openai-responses": (OpenAIResponses(), "openai-responses"),
    "anthropic-messages": (AnthropicMessages(), "anthropic-messages"),
    "openai-embeddings": (OpenAIEmbeddings(), "openai-embeddings"),
    "http-json": (HttpJson(_PATHS), "http_json"),
    "http-json, whole records": (HttpJson(Http()), "http_json"),
}
"""Each API with the folder of its transcripts."""

TYPES = ("text/event-stream", "application/json", "application/x-ndjson", "text/html", "")
_SEEDS = ("*.sse", "*.ndjson", "whole.json", "document*.json", "floats.json")
SEEDS = {
    folder: [path.read_bytes() for pattern in _SEEDS for path in sorted((GOLDEN / folder).glob(pattern))]
    for _, folder in SUBJECTS.values()
}
ALL_SEEDS = [seed for seeds in SEEDS.values() for seed in seeds]

_DEEP: Any = "deep"
for _ in range(300):
    _DEEP = [_DEEP]
ODD: list[Any] = [
    *(None, True, 0, -1, 7, 2**31 - 1, 2**31, 2**63, 2**70, 1.5, 1e308, float("nan"), "", "x", "error", "\ud83d", "é"),
    *([], {}, [None], [[]], {"type": []}, {"error": {}}, {"text": 1}, [{"text": "a"}, 3], [{"index": 2**70}], _DEEP),
]
PATCHES = [
    *(
        b"",
        b"\n",
        b"\r",
        b"\n\n",
        b"\r\n\r\n",
        b"data: ",
        b"data:",
        b"event: error\n",
        b": x\n",
        b"\xef\xbb\xbf",
        b"\x00",
    ),
    *(
        b'"',
        b"\\",
        b"{",
        b"}",
        b"]",
        b",",
        b" ",
        b"\xff",
        b"\xf0\x9d",
        b"[DONE]",
        b"null",
        b"1e999",
        b'"\\ud800"',
        b"<",
    ),
]
_EVENT = re.compile(rb".+?(?:\n\n|\Z)", re.DOTALL)
_DATA = re.compile(rb"^(?:data: ?)?(\{.*\})\r?$", re.MULTILINE)


@st.composite
def spoilt(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A transcript with bytes deleted, doubled, moved, replaced or put in, spliced with another, or of wrong JSON types."""
    text = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(text)))
        end = min(len(text), at + draw(st.sampled_from((0, 1, 2, 5, 30, 400))))
        match draw(st.integers(0, 5)):
            case 0:
                text = text[:at] + text[end:]
            case 1:
                text = text[:end] + text[at:end] + text[end:]
            case 2:
                text = text[:at] + draw(st.sampled_from(PATCHES)) + text[end:]
            case 3:
                other = draw(st.sampled_from(ALL_SEEDS))
                text = text[:at] + other[draw(st.integers(0, len(other))) :]
            case 4:
                to = draw(st.integers(0, len(text)))
                text = text[:to] + text[at:end] + text[to:]
            case _:
                text = _retyped(text, draw)
        text = text[:6000]
    return text


def _retyped(text: bytes, draw: st.DrawFn) -> bytes:
    """One value somewhere in the JSON of one event replaced by one of a wrong type."""
    found = list(_DATA.finditer(text))
    if not found:
        return text
    where = draw(st.sampled_from(found))
    try:
        event = json.loads(where[1])
    except (ValueError, RecursionError):
        return text
    holders = list(_holders(event))
    if not holders:
        return text
    holder, key = draw(st.sampled_from(holders))
    holder[key] = draw(st.sampled_from(ODD))
    return text[: where.start(1)] + json.dumps(event).encode() + text[where.end(1) :]


def _holders(value: Any, depth: int = 0) -> Any:
    """(container, key) of every value in a JSON document."""
    keys: Any = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        if depth < 20:
            yield from _holders(value[key], depth + 1)


def retyped(text: bytes) -> Iterator[bytes]:
    """The transcript once for every value in its JSON and every other type, that value replaced."""
    for where in _DATA.finditer(text):
        count = sum(1 for _ in _holders(json.loads(where[1])))
        for n, odd in itertools.product(range(count), (None, True, 7, -1, 2**63, 0.5, "x", [], {}, ["x"], [{}])):
            event = json.loads(where[1])
            holder, key = next(itertools.islice(_holders(event), n, None))
            holder[key] = odd
            yield text[: where.start(1)] + json.dumps(event).encode() + text[where.end(1) :]


def check_quickly(api: Api, text: bytes, content_type: str) -> None:
    """As ``check``, without the reads of one byte, which take nearly all of its time."""
    rows, facts = whole = meaning([text], content_type, api)
    assert meaning(_EVENT.findall(text), content_type, api) == whole
    _recordable(rows, facts)


def check(api: Api, text: bytes, content_type: str, cut: int, keep_text: bool) -> None:
    """Whatever the bytes: no exception; whole, byte by byte, event by event (which is the short cut's way) and in two pieces mean
    the same; and all of it can be recorded.
    """
    rows, facts = whole = meaning([text], content_type, api, keep_text)
    assert meaning(bytewise(text), content_type, api, keep_text) == whole
    assert meaning(_EVENT.findall(text), content_type, api, keep_text) == whole
    at = cut % (len(text) + 1)
    assert meaning([text[:at], text[at:]], content_type, api, keep_text) == whole
    _recordable(rows, facts)
    assert (facts["parts"] is not None) == keep_text
    for _, part in facts["parts"] or ():
        part.encode()


def _recordable(rows: list[tuple[int, int, int, int]], facts: dict[str, Any]) -> None:
    assert facts["error_outcome"] is None or facts["error_outcome"] in OUTCOMES
    assert facts["token_source"] is None or facts["token_source"] in TOKEN_SOURCES
    assert facts["rows"] == len(rows)
    for kind, chars, tokens, _ in rows:
        assert 0 <= kind < len(KINDS)
        assert chars > 0
        assert tokens == -1 or tokens > 0
    for name, fact in facts.items():
        if isinstance(fact, str):
            fact.encode()
        elif isinstance(fact, int):
            assert 0 <= fact <= COUNT_MAX, name  # what a column of int32 holds
