"""OpenAI chat, server by server: what is sent, and transcripts of what comes back, whole and cut at every byte."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import orjson
import pytest
from chat import GOLDEN, C, F, R, T, bytewise, golden, meaning, run
from hypothesis import given
from hypothesis import strategies as st

from generator.apis.api import Call
from generator.apis.openai_chat import OpenAIChat

# file: rows as (kind, characters, tokens; -1 unknown), and what the answer must have understood
EXPECTED: dict[str, tuple[list[tuple[int, int, int]], dict[str, Any]]] = {
    # the role chunk, the finish chunk and the usage chunk (choices: []) are no rows
    "openai.sse": (
        [(C, 2, -1), (C, 3, -1), (C, 5, -1), (C, 5, -1), (C, 6, -1)],
        {
            "terminal": True,
            "finish_reason": "stop",
            "response_id": "chatcmpl-CtQ9Zp",
            "input_tokens": 13,
            "output_tokens": 5,
            "reasoning_tokens": 0,
            "cached_tokens": 4,
            "token_source": "usage",
        },
    ),
    # the function's name is a payload, and so is each piece of its arguments
    "openai_tools.sse": (
        [(T, 11, -1), (T, 2, -1), (T, 4, -1), (T, 3, -1), (T, 4, -1), (T, 2, -1)],
        {"terminal": True, "finish_reason": "tool_calls", "output_tokens": 16, "token_source": "usage"},
    ),
    "openai_refusal.sse": (
        [(F, 3, -1), (F, 7, -1)],
        {"terminal": True, "finish_reason": "stop", "output_tokens": 2, "token_source": "chunks", "input_tokens": None},
    ),
    # usage on the chunk with the finish
    "together.sse": (
        [(C, 5, -1), (C, 6, -1), (C, 1, -1)],
        {"terminal": True, "finish_reason": "stop", "output_tokens": 4, "input_tokens": 36, "token_source": "usage"},
    ),
    # growing usage on every chunk: tokens a chunk are its differences
    "xai.sse": (
        [(C, 3, 1), (C, 10, 2), (C, 5, 1)],
        {"terminal": True, "output_tokens": 4, "input_tokens": 9, "cached_tokens": 2, "token_source": "usage"},
    ),
    # comments and null or empty texts are nothing
    "deepseek.sse": (
        [(R, 2, -1), (R, 6, -1), (C, 2, -1)],
        {"terminal": True, "finish_reason": "length", "output_tokens": 3, "reasoning_tokens": 2, "cached_tokens": 0},
    ),
    # the finish chunk has text too; a chunk with reasoning and content is one row
    "vllm.sse": (
        [(R, 3, 1), (R, 3, 1), (C, 6, 2), (C, 2, 1), (C, 1, 1)],
        {"terminal": True, "finish_reason": "stop", "output_tokens": 6, "input_tokens": 21, "token_source": "usage"},
    ),
    "llama_cpp.sse": (
        [(C, 4, -1), (C, 1, -1), (C, 2, -1)],
        {"terminal": True, "finish_reason": "length", "output_tokens": 3, "input_tokens": 31, "server_ms": 299.75},
    ),
    "litellm.sse": (
        [(C, 1, -1), (C, 2, -1)],
        {"terminal": True, "output_tokens": 2, "input_tokens": 11, "token_source": "usage", "reasoning_tokens": None},
    ),
    # each choice must finish; usage comes beside "choices": null
    "two_choices_crlf.sse": (
        [(C, 1, -1), (C, 2, -1), (C, 1, -1), (C, 1, -1)],
        {"terminal": True, "finish_reason": "stop", "output_tokens": 4, "input_tokens": 5, "token_source": "usage"},
    ),
    # nothing after the error is looked at
    "error_after_200.sse": (
        [(C, 2, -1), (C, 4, -1)],
        {
            "terminal": False,
            "error_outcome": "stream_error",
            "error_type": "server_error",
            "error_message": "The server had an error while processing your request",
            "output_tokens": 2,
            "token_source": "chunks",
        },
    ),
    "overloaded_in_stream.sse": (
        [(C, 1, -1)],
        {
            "terminal": False,
            "error_outcome": "overloaded",
            "error_type": "overloaded_error",
            "error_message": "Overloaded",
        },
    ),
    # [DONE] is no end mark of the answer
    "done_without_finish.sse": ([(C, 3, -1)], {"terminal": False, "error_outcome": None, "output_tokens": 1}),
}


def test_every_transcript_has_its_expectation() -> None:
    """A transcript that nobody reads proves nothing."""
    assert {path.name for path in GOLDEN.glob("*.sse")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_transcript(name: str) -> None:
    """What each server sends is understood as providers document it."""
    rows, answer = run([golden(name)])
    want_rows, want_answer = EXPECTED[name]
    assert [(kind, chars, tokens) for *_, chars, tokens, kind, _ in rows] == want_rows
    assert {key: getattr(answer, key) for key in want_answer} == want_answer
    assert answer.streamed
    assert answer.rows == len(rows)
    assert [row[2] for row in rows] == list(range(len(rows)))
    assert {row[0] for row in rows} == {42}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_transcript_cut_at_every_byte(name: str) -> None:
    """Two reads cut anywhere, and reads of one byte, mean what one read means."""
    text = golden(name)
    whole = meaning([text])
    assert meaning(bytewise(text)) == whole
    for at in range(1, len(text)):
        assert meaning([text[:at], text[at:]]) == whole


@pytest.mark.parametrize("name", EXPECTED)
@given(cuts=st.lists(st.integers(0, 4000), max_size=30))
def test_a_transcript_cut_anyhow(name: str, cuts: list[int]) -> None:
    """Any number of cuts changes nothing."""
    text = golden(name)
    edges = [0, *sorted(min(c, len(text)) for c in cuts), len(text)]
    assert meaning([text[a:b] for a, b in pairwise(edges)]) == meaning([text])


@pytest.mark.parametrize("name", EXPECTED)
def test_a_transcript_that_ends_early_is_never_complete_by_accident(name: str) -> None:
    """Cut short at any byte, an answer is terminal only once the event with the last finish_reason is whole."""
    text = golden(name)
    for at in range(len(text)):
        _, answer = run([text[:at]])
        if answer.terminal:
            assert b'"finish_reason":"' in text[:at]


def body_of(**fields: Any) -> dict[str, Any]:
    call = Call(**{"model": "m", "prompt": "Hi", "max_tokens": 16, "stream": True, **fields})
    body: dict[str, Any] = orjson.loads(OpenAIChat().encode(call).body)
    return body


def test_a_stream_asks_for_usage() -> None:
    """The request as OpenAI documents it."""
    assert body_of() == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 16,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_without_streaming_nothing_of_a_stream_is_sent() -> None:
    """Servers reject stream_options where stream is not true."""
    body = body_of(stream=False, max_tokens=None)
    assert body == {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def test_extras_are_laid_over_and_null_takes_away() -> None:
    """stream_options merges key by key, so that asking for more does not lose the usage."""
    body = body_of(
        max_tokens_field="max_completion_tokens",
        body={"temperature": 0, "stream_options": {"continuous_usage_stats": True}, "model": "other"},
    )
    assert body["stream_options"] == {"include_usage": True, "continuous_usage_stats": True}
    assert (body["max_completion_tokens"], body["temperature"], body["model"]) == (16, 0, "other")
    assert "stream_options" not in body_of(body={"stream_options": None})
