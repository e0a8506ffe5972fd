"""Transcripts of every API but chat (which has a file of its own), whole and cut at every byte: rows and answers written out."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from chat import GOLDEN, SSE, C, F, R, T, bytewise, golden, meaning, run
from hypothesis import given
from hypothesis import strategies as st

from generator.apis.anthropic_messages import AnthropicMessages
from generator.apis.api import Api
from generator.apis.openai_completions import OpenAICompletions
from generator.apis.openai_embeddings import OpenAIEmbeddings
from generator.apis.openai_responses import OpenAIResponses

APIS: tuple[Api, ...] = (AnthropicMessages(), OpenAIResponses(), OpenAICompletions(), OpenAIEmbeddings())
BY_NAME = {api.name: api for api in APIS}

Rows = list[tuple[int, int, int]]

_PREFIX = "anthropic-messages"
MESSAGES: dict[str, tuple[Rows, dict[str, Any]]] = {
    # pings, opening and closing blocks are no rows; message_start's output_tokens (1) is no total
    "text.sse": (
        [(C, n, -1) for n in (5, 3, 3, 10, 13, 1)],
        {
            "terminal": True,
            "finish_reason": "end_turn",
            "response_id": "msg_01Abc",
            "input_tokens": 25,
            "cached_tokens": 0,
            "output_tokens": 15,
            "reasoning_tokens": None,
            "token_source": "usage",
        },
    ),
    # signatures, citations and redacted thinking are no rows, a tool's name is; usage is cumulative: the last one holds
    "thinking_tools.sse": (
        [(R, 8, -1), (R, 15, -1), (C, 8, -1), (C, 5, -1), (T, 11, -1), (T, 5, -1), (T, 15, -1)],
        {
            "terminal": True,
            "finish_reason": "tool_use",
            "input_tokens": 472 + 100 + 1000,
            "cached_tokens": 1000,
            "cache_write_tokens": 100,
            "output_tokens": 89,
            "reasoning_tokens": 31,
            "token_source": "usage",
        },
    ),
    # an error after 200: what HTTP 529 would have been
    "overloaded.sse": (
        [(C, 4, -1), (C, 3, -1)],
        {
            "terminal": False,
            "error_outcome": "overloaded",
            "error_type": "overloaded_error",
            "error_message": "Overloaded",
            "input_tokens": 9,
            "output_tokens": 2,
            "token_source": "chunks",
        },
    ),
    "api_error.sse": (
        [(C, 1, -1)],
        {"terminal": False, "error_outcome": "stream_error", "error_type": "api_error"},
    ),
    # everything but message_stop came: not complete, though the count is final
    "truncated.sse": (
        [(C, 3, -1), (C, 4, -1)],
        {"terminal": False, "error_outcome": None, "finish_reason": "max_tokens", "output_tokens": 2},
    ),
    "refusal.sse": ([(C, 5, -1)], {"terminal": True, "finish_reason": "refusal", "output_tokens": 6}),
    # no event names, CRLF, a comment; the block opens with text; the input is known at the end; [DONE]
    "gateway.sse": (
        [(C, 2, -1), (C, 2, -1), (C, 5, -1)],
        {"terminal": True, "input_tokens": 10, "cached_tokens": 3, "output_tokens": 3, "token_source": "usage"},
    ),
    # events, blocks and deltas that do not exist yet
    "unknown_events.sse": ([(C, 2, -1)], {"terminal": True, "error_outcome": None, "output_tokens": 4}),
    "document.json": (
        [],
        {
            "terminal": True,
            "finish_reason": "tool_use",
            "response_id": "msg_01Doc",
            "input_tokens": 20,
            "cached_tokens": 6,
            "output_tokens": 21,
            "reasoning_tokens": 5,
            "token_source": "usage",
        },
    ),
    # a real one: no pings, no padding
    "llama_cpp.sse": (
        [(C, n, -1) for n in (1, 2, 3, 1, 2, 2, 3, 5)],
        {
            "terminal": True,
            "finish_reason": "max_tokens",
            "input_tokens": 34,
            "cached_tokens": 0,
            "cache_write_tokens": None,
            "output_tokens": 8,
            "token_source": "usage",
        },
    ),
    "llama_cpp.json": (
        [],
        {"terminal": True, "finish_reason": "max_tokens", "input_tokens": 34, "cached_tokens": 27, "output_tokens": 4},
    ),
    "document_error.json": (
        [],
        {"terminal": False, "error_outcome": "overloaded", "error_type": "overloaded_error", "output_tokens": None},
    ),
}

RESPONSES: dict[str, tuple[Rows, dict[str, Any]]] = {
    # only deltas are rows: items, parts and what is done repeat them
    "text.sse": (
        [(C, n, -1) for n in (2, 2, 4, 4, 5, 1, 2, 7, 1, 1, 1, 2, 1, 1)],
        {
            "terminal": True,
            "finish_reason": "completed",
            "response_id": "resp_68",
            "input_tokens": 37,
            "cached_tokens": 12,
            "output_tokens": 15,
            "reasoning_tokens": 0,
            "token_source": "usage",
        },
    ),
    # random letters beside each delta are no payload
    "obfuscated.sse": (
        [(C, 3, -1), (C, 4, -1), (C, 3, -1), (C, 3, -1)],
        {"terminal": True, "input_tokens": 5, "output_tokens": 4},
    ),
    # summaries and raw reasoning are both reasoning; names and arguments are both a tool's
    "reasoning_tools.sse": (
        [
            *((R, 7, -1), (R, 5, -1), (R, 4, -1), (R, 7, -1), (T, 11, -1)),
            *((T, 2, -1), (T, 4, -1), (T, 9, -1), (T, 2, -1), (T, 5, -1)),
        ],
        {"terminal": True, "finish_reason": "completed", "output_tokens": 45, "reasoning_tokens": 20},
    ),
    "refusal.sse": ([(F, 9, -1), (F, 5, -1)], {"terminal": True, "finish_reason": "completed", "output_tokens": 6}),
    "incomplete.sse": (
        [(C, 4, -1), (C, 5, -1)],
        {"terminal": True, "finish_reason": "max_output_tokens", "output_tokens": 2, "error_outcome": None},
    ),
    "failed.sse": (
        [(C, 4, -1)],
        {
            "terminal": False,
            "error_outcome": "stream_error",
            "error_type": "server_error",
            "error_message": "The model failed to generate a response.",
            "output_tokens": 1,
            "token_source": "chunks",
        },
    ),
    "error.sse": (
        [(C, 4, -1), (C, 3, -1)],
        {
            "terminal": False,
            "error_outcome": "overloaded",
            "error_type": "server_is_overloaded",
            "error_message": "The server is overloaded.",
        },
    ),
    "truncated.sse": (
        [(C, 4, -1), (C, 5, -1), (C, 2, -1)],
        {"terminal": False, "error_outcome": None, "output_tokens": 3, "token_source": "chunks"},
    ),
    # keys sorted, blanks after colons, no event names, log-probabilities, an event that does not exist yet
    "other_order.sse": (
        [(C, 3, -1), (C, 4, -1), (C, 3, -1), (C, 3, -1), (C, 1, -1)],
        {"terminal": True, "response_id": "resp_vl", "output_tokens": 6, "token_source": "usage"},
    ),
    # a real one: no sequence numbers, no indices; the length was reached, and it says completed
    "llama_cpp.sse": (
        [(C, n, -1) for n in (1, 2, 2, 1, 3, 2, 2, 9)],
        {
            "terminal": True,
            "finish_reason": "completed",
            "input_tokens": 34,
            "cached_tokens": 27,
            "output_tokens": 8,
            "reasoning_tokens": None,
            "server_ms": 85.277 + 133.527,
        },
    ),
    "llama_cpp.json": (
        [],
        {"terminal": True, "finish_reason": "completed", "input_tokens": 34, "cached_tokens": 27, "output_tokens": 4},
    ),
    "document.json": (
        [],
        {
            "terminal": True,
            "finish_reason": "completed",
            "response_id": "resp_dc",
            "input_tokens": 9,
            "output_tokens": 30,
            "reasoning_tokens": 12,
            "token_source": "usage",
        },
    ),
    "document_failed.json": (
        [],
        {"terminal": False, "error_outcome": "stream_error", "error_type": "server_error", "error_message": "Broken"},
    ),
    "document_incomplete.json": (
        [],
        {"terminal": True, "finish_reason": "content_filter", "output_tokens": 3, "token_source": "usage"},
    ),
}

COMPLETIONS: dict[str, tuple[Rows, dict[str, Any]]] = {
    "openai.sse": (
        [(C, 6, -1), (C, 3, -1), (C, 2, -1), (C, 5, -1)],
        {
            "terminal": True,
            "finish_reason": "length",
            "response_id": "cmpl-7",
            "input_tokens": 5,
            "cached_tokens": 2,
            "output_tokens": 4,
            "token_source": "usage",
        },
    ),
    # a real one: usage and timings with the finish
    "llama_cpp.sse": (
        [(C, n, -1) for n in (9, 9, 1, 4, 6, 4, 3, 2)],
        {
            "terminal": True,
            "finish_reason": "length",
            "input_tokens": 2,
            "cached_tokens": 0,
            "output_tokens": 8,
            "token_source": "usage",
            "server_ms": 25.091 + 123.12,
        },
    ),
    # growing usage on every chunk: tokens a chunk are its differences
    "vllm_usage.sse": (
        [(C, 3, 1), (C, 10, 2), (C, 1, 1)],
        {"terminal": True, "finish_reason": "stop", "input_tokens": 3, "output_tokens": 4, "token_source": "usage"},
    ),
    "finish_with_usage.sse": (
        [(C, 1, -1)] * 4,
        {"terminal": True, "finish_reason": "stop", "input_tokens": 9, "output_tokens": 5, "token_source": "usage"},
    ),
    "logprobs.sse": ([(C, 1, -1)] * 3, {"terminal": True, "output_tokens": 3, "token_source": "chunks"}),
    "error.sse": (
        [(C, 2, -1), (C, 2, -1)],
        {"terminal": False, "error_outcome": "stream_error", "error_type": "InternalServerError"},
    ),
    "truncated.sse": ([(C, 2, -1), (C, 2, -1)], {"terminal": False, "error_outcome": None, "output_tokens": 2}),
    "document.json": (
        [],
        {"terminal": True, "finish_reason": "length", "input_tokens": 6, "output_tokens": 4, "token_source": "usage"},
    ),
}

_NO_OUTPUT = {"output_tokens": None, "token_source": None, "finish_reason": None, "streamed": False}
EMBEDDINGS: dict[str, tuple[Rows, dict[str, Any]]] = {
    "floats.json": ([], {"terminal": True, "input_tokens": 5, **_NO_OUTPUT}),
    "base64.json": ([], {"terminal": True, "input_tokens": 8, **_NO_OUTPUT}),
    "llama_cpp.json": ([], {"terminal": True, "input_tokens": 7, **_NO_OUTPUT}),
    "error.json": ([], {"terminal": False, "error_outcome": "stream_error", "error_type": "NotFoundError"}),
    "empty.json": ([], {"terminal": False, "error_outcome": "stream_error", "error_type": "malformed"}),
}

EXPECTED = {
    "anthropic-messages": MESSAGES,
    "openai-responses": RESPONSES,
    "openai-completions": COMPLETIONS,
    "openai-embeddings": EMBEDDINGS,
}
CASES = [(api, file) for api, files in EXPECTED.items() for file in files]

# What is kept of the payloads of some of them.
PARTS: dict[tuple[str, str], list[tuple[int, str]]] = {
    ("anthropic-messages", "thinking_tools.sse"): [
        (R, "The user wants weather."),
        (C, "Checking now."),
        (T, 'get_weather{"location": "Oslo"}'),
    ],
    ("anthropic-messages", "text.sse"): [(C, 'Hello, I’ll say "hi"} and {"a": 1}.')],
    ("anthropic-messages", "document.json"): [(R, "Hm."), (C, "Hi there"), (T, 'f{"a":1}')],
    ("openai-responses", "text.sse"): [(C, 'In a far-off land, “quotes"\n}: 12!')],
    ("openai-responses", "reasoning_tools.sse"): [
        (R, "**Thinking**raw thought"),
        (T, 'get_weather{"city":"Oslo"}shls -l'),
    ],
    ("openai-responses", "refusal.sse"): [(F, "I'm sorry, no.")],
    ("openai-responses", "document.json"): [(R, "Hmm."), (C, "Hi"), (F, "No"), (T, "f{}")],
    ("openai-completions", "openai.sse"): [(C, "\n\nThis is a test")],
    ("openai-completions", "document.json"): [(C, "four tokens of it")],
    ("openai-embeddings", "floats.json"): [],
}


def content_type(file: str) -> str:
    return SSE if file.endswith(".sse") else "application/json"


def test_every_transcript_has_its_expectation() -> None:
    """A transcript that nobody reads proves nothing."""
    found = {(api, path.name) for api in EXPECTED for path in (GOLDEN / api).iterdir()}
    assert found == set(CASES)


@pytest.mark.parametrize(("api", "file"), CASES)
def test_transcript(api: str, file: str) -> None:
    """What each API sends is understood as its provider documents it."""
    rows, answer = run([golden(f"{api}/{file}")], content_type(file), api=BY_NAME[api])
    want_rows, want_answer = EXPECTED[api][file]
    assert [(kind, chars, tokens) for *_, chars, tokens, kind, _ in rows] == want_rows
    assert {key: getattr(answer, key) for key in want_answer} == want_answer
    assert answer.streamed == file.endswith(".sse")
    assert answer.rows == len(rows)
    assert [row[2] for row in rows] == list(range(len(rows)))
    assert answer.parts is None


@pytest.mark.parametrize(("api", "file"), CASES)
def test_a_transcript_cut_at_every_byte(api: str, file: str) -> None:
    """Two reads cut anywhere, and reads of one byte, mean what one read means; so do the texts that are kept."""
    text, kind = golden(f"{api}/{file}"), content_type(file)
    whole = meaning([text], kind, BY_NAME[api])
    for keep_text in (False, True):
        assert meaning(bytewise(text), kind, BY_NAME[api], keep_text) == meaning([text], kind, BY_NAME[api], keep_text)
    for at in range(1, len(text)):
        assert meaning([text[:at], text[at:]], kind, BY_NAME[api]) == whole


@pytest.mark.parametrize(("api", "file"), CASES)
@given(cuts=st.lists(st.integers(0, 6000), max_size=30))
def test_a_transcript_cut_anyhow(api: str, file: str, cuts: list[int]) -> None:
    """Any number of cuts changes nothing."""
    text, kind = golden(f"{api}/{file}"), content_type(file)
    edges = [0, *sorted(min(c, len(text)) for c in cuts), len(text)]
    assert meaning([text[a:b] for a, b in pairwise(edges)], kind, BY_NAME[api]) == meaning([text], kind, BY_NAME[api])


@pytest.mark.parametrize(("api", "file"), CASES)
def test_events_read_one_by_one(api: str, file: str) -> None:
    """One event a read is how answers come, and takes the short cut: the same meaning."""
    text, kind = golden(f"{api}/{file}"), content_type(file)
    end = b"\r\n\r\n" if b"\r" in text else b"\n\n"
    events = [event + end for event in text.split(end) if event]
    if file.endswith(".sse"):
        assert meaning(events, kind, BY_NAME[api]) == meaning([text], kind, BY_NAME[api])


@pytest.mark.parametrize(("api", "file"), [case for case in CASES if case[1].endswith(".sse")])
def test_a_transcript_that_ends_early_is_never_complete_by_accident(api: str, file: str) -> None:
    """Cut short at any byte, an answer is terminal only once the event with the API's end mark is whole."""
    marks = {
        "anthropic-messages": (b'"message_stop"',),
        "openai-responses": (b'"response.completed"', b'"response.incomplete"', b'"type": "response.completed"'),
        "openai-completions": (b'"finish_reason":"',),
    }[api]
    text = golden(f"{api}/{file}")
    for at in range(len(text)):
        _, answer = run([text[:at]], api=BY_NAME[api])
        assert not answer.terminal or any(mark in text[:at] for mark in marks)


@pytest.mark.parametrize(("api", "file"), PARTS)
def test_texts_are_kept_where_asked(api: str, file: str) -> None:
    """The text of every row, and of a document's payloads, in order and by kind."""
    name = f"{api}/{file}"
    rows, answer = run([golden(name)], content_type(file), api=BY_NAME[api], keep_text=True)
    assert answer.parts is not None
    kinds = list(dict.fromkeys(kind for kind, _ in answer.parts))
    assert [(kind, answer.text(kind)) for kind in kinds] == PARTS[api, file]
    if file.endswith(".sse"):
        assert [len(text) for _, text in answer.parts] == [row[4] for row in rows]
    without, _ = run([golden(name)], content_type(file), api=BY_NAME[api])
    assert rows == without
