"""Messages, Responses, completions and embeddings where servers differ, err or lie; and that the short cut is taken at all."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from chat import SSE, C, R, T, bytewise, meaning, run

from generator.apis.anthropic_messages import AnthropicMessages
from generator.apis.api import Api
from generator.apis.openai_chat import OpenAIChat
from generator.apis.openai_completions import OpenAICompletions
from generator.apis.openai_embeddings import OpenAIEmbeddings
from generator.apis.openai_responses import OpenAIResponses

MESSAGES, RESPONSES, COMPLETIONS, EMBEDDINGS = (
    AnthropicMessages(),
    OpenAIResponses(),
    OpenAICompletions(),
    OpenAIEmbeddings(),
)
WORDS = ["a", " b", "é", '"', "}", '"}', "  ", "c\n"] * 30


def event(what: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (what.encode(), orjson.dumps({"type": what, **fields}))


def text(word: str) -> bytes:
    return event("content_block_delta", index=0, delta={"type": "text_delta", "text": word})


def start(**usage: int) -> bytes:
    return event("message_start", message={"id": "msg_1", "usage": usage})


def closing(reason: str | None, **usage: Any) -> bytes:
    return event("message_delta", delta={"stop_reason": reason}, usage=usage)


STOP = event("message_stop")


def delta(word: str, number: int, **more: Any) -> bytes:
    return event("response.output_text.delta", sequence_number=number, item_id="m", delta=word, **more)


def last(status: str, **response: Any) -> bytes:
    return event(f"response.{status}", sequence_number=999, response={"id": "resp_1", "status": status, **response})


CHUNKS: dict[str, tuple[Api, list[bytes]]] = {
    "openai-chat": (
        OpenAIChat(),
        [b"data: %b\n\n" % orjson.dumps({"choices": [{"index": 0, "delta": {"content": w}}]}) for w in WORDS],
    ),
    "openai-chat, obfuscated": (
        OpenAIChat(),
        [
            b"data: %b\n\n" % orjson.dumps({"choices": [{"delta": {"content": w}}], "obfuscation": "x" * (n % 9)})
            for n, w in enumerate(WORDS)
        ],
    ),
    "openai-completions": (
        COMPLETIONS,
        [b"data: %b\n\n" % orjson.dumps({"choices": [{"index": 0, "text": w}]}) for w in WORDS],
    ),
    "openai-responses": (RESPONSES, [delta(w, n) for n, w in enumerate(WORDS)]),
    "openai-responses, obfuscated": (
        RESPONSES,
        [delta(w, n, logprobs=[], obfuscation=f"o{n}") for n, w in enumerate(WORDS)],
    ),
    "anthropic-messages": (MESSAGES, [text(w) for w in WORDS]),
    "anthropic-messages, padded": (
        MESSAGES,
        [text(w).replace(b"}\n\n", b" " * (n * 7 % 15) + b"}\n\n") for n, w in enumerate(WORDS)],
    ),
}


@pytest.mark.parametrize("name", CHUNKS)
def test_the_short_cut_is_taken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nearly every token of an answer is understood without a full parse, and as that would have: counters that get longer,
    letters and blanks that vary, and texts that look like what follows them do not hinder it.
    """
    api, reads = CHUNKS[name]
    rows: list[bytes] = []
    decoder: Any = api.decoder(7, SSE, rows.append)
    parsed: list[bytes] = []
    whole = type(decoder)._event
    monkeypatch.setattr(
        type(decoder), "_event", lambda self, data, *of: (parsed.append(data), whole(self, data, *of))[1]
    )
    for n, payload in enumerate(reads):
        decoder.feed([(payload, n, n, True)])
    assert len(parsed) <= 2
    monkeypatch.undo()
    assert [row[4] for row in run(reads, api=api)[0]] == [len(word) for word in WORDS]
    assert meaning(reads, api=api) == meaning(bytewise(b"".join(reads)), api=api)
    assert run([b"".join(reads)], api=api, keep_text=True)[1].text(C) == "".join(WORDS)


def test_counts_of_before_the_answer_are_no_totals() -> None:
    """message_start says 1 or 3 output tokens before there is one: a stream that is cut there had none."""
    _, answer = run([start(input_tokens=5, output_tokens=3)], api=MESSAGES)
    assert (answer.input_tokens, answer.output_tokens, answer.token_source) == (5, 0, "chunks")


@pytest.mark.parametrize(
    ("reads", "tokens"),
    [
        # cumulative: the last holds, no sum
        ([closing(None, output_tokens=3), text("b"), closing("end_turn", output_tokens=8)], (5, 8, "usage")),
        # a 0 that fills a gap does not take a count away, a count does replace one
        ([closing("end_turn", input_tokens=0, output_tokens=8)], (5, 8, "usage")),
        ([closing("end_turn", input_tokens=6, output_tokens=8)], (6, 8, "usage")),
        ([closing("end_turn", input_tokens=6, cache_creation_input_tokens=None, output_tokens=8)], (6, 8, "usage")),
        # rows after the last count: counted instead
        ([closing(None, output_tokens=3), text("b")], (5, 2, "chunks")),
        # a cut stream whose last row had been counted, but not at its end
        ([closing(None, output_tokens=3)], (5, 3, "chunk_usage")),
        ([closing("end_turn", output_tokens="8")], (5, 1, "chunks")),
        ([closing("end_turn")], (5, 1, "chunks")),
    ],
)
def test_usage_of_messages(reads: list[bytes], tokens: tuple[Any, ...]) -> None:
    """Input of the start unless the end knows better; output of the last message_delta."""
    begun = [start(input_tokens=5, output_tokens=1), text("a")]
    _, answer = run([*begun, *reads], api=MESSAGES)
    assert (answer.input_tokens, answer.output_tokens, answer.token_source) == tokens


def test_an_input_that_no_column_holds_is_unknown() -> None:
    """Three counts that each fit may not do so together."""
    most = 2**31 - 1
    _, answer = run([start(input_tokens=most, cache_read_input_tokens=most), STOP], api=MESSAGES)
    assert (answer.input_tokens, answer.cached_tokens) == (None, most)


def test_an_input_of_zero_is_unknown() -> None:
    """No request has no token: a server that fills in a 0 does not say."""
    _, answer = run([start(input_tokens=0, output_tokens=0), text("a"), closing("end_turn"), STOP], api=MESSAGES)
    assert (answer.terminal, answer.input_tokens) == (True, None)


@pytest.mark.parametrize(
    ("api", "end"), [(MESSAGES, STOP), (RESPONSES, last("completed")), (RESPONSES, last("incomplete"))]
)
def test_nothing_after_the_end_is_read(api: Api, end: bytes) -> None:
    """Bytes after the API's own end are neither rows nor errors."""
    late = event("error", error={"type": "overloaded_error"}) + text("x") + delta("x", 3) + b"data: {broken\n\n"
    rows, answer = run([end + late, late], api=api)
    assert (rows, answer.terminal, answer.error_outcome) == ([], True, None)


@pytest.mark.parametrize(
    ("read", "outcome", "word"),
    [
        (last("failed", error={"code": "server_is_overloaded", "message": "m"}), "overloaded", "server_is_overloaded"),
        (last("failed", error={"code": "rate_limit_exceeded", "message": "m"}), "stream_error", "rate_limit_exceeded"),
        (last("failed", error=None), "stream_error", "failed"),
        (event("response.completed"), "stream_error", "malformed"),
        (event("response.completed", response=[]), "stream_error", "malformed"),
        (event("error", error={"code": None, "type": "server_error", "message": "m"}), "stream_error", "server_error"),
        (b'data: {"type":"error","message":"m"}\n\n', "stream_error", "error"),
        (b'event: error\ndata: {"message":"m"}\n\n', "stream_error", "error"),
        (b"event: response.output_text.delta\ndata: {broken\n\n", "stream_error", "malformed"),
    ],
)
def test_errors_of_responses(read: bytes, outcome: str, word: str) -> None:
    """Each way in which a response says that it failed, and events that are none."""
    rows, answer = run([delta("a", 1), read, delta("b", 2)], api=RESPONSES)
    assert (len(rows), answer.terminal, answer.error_outcome, answer.error_type) == (1, False, outcome, word)


def test_kinds_by_turns() -> None:
    """Reasoning, text and calls that alternate are each of their own kind, whatever template was learned before."""
    names = {
        "response.reasoning_text.delta": R,
        "response.output_text.delta": C,
        "response.function_call_arguments.delta": T,
    }
    kinds = [list(names)[n // 3 % 3] for n in range(60)]
    reads = [event(kind, sequence_number=n, delta=f"w{n}") for n, kind in enumerate(kinds)]
    rows, answer = run(reads, api=RESPONSES, keep_text=True)
    assert [row[6] for row in rows] == [names[kind] for kind in kinds]
    assert [row[6] for row in run(reads, api=RESPONSES)[0]] == [names[kind] for kind in kinds]
    assert answer.parts == [(names[kind], f"w{n}") for n, kind in enumerate(kinds)]


@pytest.mark.parametrize(
    ("api", "body", "word"),
    [
        (MESSAGES, {"type": "message", "content": "Hi", "stop_reason": "end_turn"}, "malformed"),
        (MESSAGES, {"choices": []}, "malformed"),
        (MESSAGES, {"type": "message", "content": [], "stop_reason": None}, None),
        (RESPONSES, {"object": "response", "status": "queued", "output": []}, None),
        (RESPONSES, {"object": "response", "output": []}, None),
        (COMPLETIONS, {"choices": [{"text": "a"}]}, None),
        (EMBEDDINGS, {"data": [{"embedding": []}]}, "malformed"),
        (EMBEDDINGS, {"data": [{"embedding": [0.5]}, {"vector": [0.5]}]}, "malformed"),
        (EMBEDDINGS, {"embedding": [0.5]}, "malformed"),
    ],
)
def test_documents_that_are_not_complete(api: Api, body: dict[str, Any], word: str | None) -> None:
    """Another API's, unfinished, or without what was asked for: never ok."""
    _, answer = run([orjson.dumps(body)], "application/json", api=api)
    assert (answer.terminal, answer.error_type) == (False, word)


def test_embeddings_are_one_document_whatever_the_type_says() -> None:
    """No stream, no rows, no chunks to count; not even where nothing came."""
    body = orjson.dumps({"data": [{"embedding": [0.5, 1]}], "usage": {"prompt_tokens": 3}})
    for reads in ([body], bytewise(b"\n" + body)):
        rows, answer = run(reads, SSE, api=EMBEDDINGS)
        assert (rows, answer.streamed, answer.terminal, answer.input_tokens) == ([], False, True, 3)
        assert (answer.output_tokens, answer.token_source) == (None, None)
    _, answer = run([], SSE, api=EMBEDDINGS)
    assert (answer.streamed, answer.terminal, answer.output_tokens) == (False, False, None)
