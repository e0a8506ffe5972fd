"""The chat decoder where servers differ, err or lie: stamps, short cuts, odd values, errors, counts; and bytes that are no answer."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from chat import GOLDEN, SSE, C, R, bytewise, chunk, golden, meaning, run
from hypothesis import given
from hypothesis import strategies as st

from generator.apis.events import DOCUMENT_BYTES
from generator.apis.openai_chat import OpenAIChat


def test_stamps_follow_the_read_that_completed_the_event() -> None:
    """t_ns and read_index are those of the read with the event's last byte; exact only if that byte ends the read."""
    one, two = chunk({"content": "a"}), chunk({"content": "b"})
    rows, answer = run([one[:5], one[5:], two + one, two + one[:9], one[9:]])
    assert [(t, read, exact) for _, t, _, read, _, _, _, exact in rows] == [
        (1001, 1, 1),
        (1002, 2, 0),
        (1002, 2, 1),
        (1003, 3, 0),
        (1004, 4, 1),
    ]
    assert (answer.first_row_ns, answer.first_row_read_index, answer.last_row_ns) == (1001, 1, 1004)


def test_no_row_is_exact_where_the_stamp_cannot_be() -> None:
    """``certain`` false, as for a read that filled its buffer, makes every row inexact."""
    rows, _ = run([chunk({"content": "a"})] * 30, certain=False)
    assert len(rows) == 30
    assert not any(row[-1] for row in rows)


def test_live_facts_do_not_wait_for_the_end() -> None:
    """Time limits look at rows and last_row_ns while the answer is still coming."""
    decoder = OpenAIChat().decoder(1, SSE, [].append)
    for n in range(20):
        decoder.feed([(chunk({"content": "a"}), 50 + n, n, True)])
        assert (decoder.answer.rows, decoder.answer.last_row_ns) == (n + 1, 50 + n)
    assert decoder.answer.first_row_ns == 50


TEXT = st.one_of(
    st.sampled_from(["", " the", '"', "\\", "\n", "é", "𝄞", "assistant", "c", "\x00"]), st.text(max_size=6)
)
DELTAS = st.one_of(
    st.builds(lambda text: {"content": text}, TEXT),
    st.builds(lambda text: {"content": None, "reasoning_content": text}, TEXT),
    st.builds(lambda text: {"reasoning": text}, TEXT),
    st.builds(lambda a, b: {"content": a, "reasoning": b}, TEXT, TEXT),
    st.builds(lambda text: {"role": "assistant", "content": text, "x": {"content": text}}, TEXT),
    st.just({}),
)


@given(st.lists(st.tuples(DELTAS, st.booleans()), max_size=60), st.integers(0, 4))
def test_the_short_cut_counts_what_a_full_parse_counts(deltas: list[tuple[dict[str, Any], bool]], many: int) -> None:
    """A template learned from one chunk never changes what a later chunk is: against a plain reading of the same JSON."""
    wanted = []
    events = []
    for delta, escaped in deltas:
        texts = {
            "content": delta.get("content") or "",
            "thought": delta.get("reasoning") or delta.get("reasoning_content") or "",
        }
        if texts["content"] or texts["thought"]:
            wanted.append((C if texts["content"] else R, len(texts["content"]) + len(texts["thought"])))
        body = {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": None}], "n": "content"}
        if escaped:
            events.append(b"data: " + json.dumps(body).encode() + b"\n\n")
        else:
            events.append(b"data: " + orjson.dumps(body) + b"\n\n")
    reads = events if not many else [b"".join(events[i : i + many]) for i in range(0, len(events), many)]
    rows, _ = run(reads)
    assert [(kind, chars) for *_, chars, _, kind, _ in rows] == wanted


@pytest.mark.parametrize(
    "odd",
    [
        b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a","content":""},"finish_reason":null}]}\n\n',
        b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null},"b"],"x":["c"},"finish_reason":null}]}\n\n',
        b'data: {"id":"c","choices":[{"index":0,"delta":{"content":null},"finish_reason":null}]}\n\n',
        b'data: {"id":"c","choices":[{"index":0,"delta":{"content":["a"]},"finish_reason":null}]}\n\n',
        b'data: {"id":"c","choices":[{"index":0,"delta":{"content":""},"finish_reason":null}]}\n\n',
    ],
)
def test_bytes_between_the_templates_that_are_no_string(odd: bytes) -> None:
    """Same beginning and same end, but more than a string between: the chunk is parsed, not assumed."""
    plain = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":null}]}\n\n'
    rows, answer = run([plain % b"ab", plain % b"c", odd])
    assert len(rows) == 2
    assert answer.error_outcome == ("stream_error" if b'"b"]' in odd else None)


def test_a_line_end_inside_an_event_is_not_in_a_template() -> None:
    """Data of two lines is one JSON document; the same bytes without the second "data:" are another event."""
    first = b'data: {"choices":[\ndata: {"index":0,"delta":{"content":"a"}}]}\n\n'
    other = b'data: {"choices":[\n{"index":0,"delta":{"content":"a"}}]}\n\n'
    rows, answer = run([first, other])
    assert (len(rows), answer.error_outcome) == (1, "stream_error")


@pytest.mark.parametrize("blank", [b"\n", b"\r", b"\r\n", b"\n\n"])
def test_a_line_end_where_a_template_has_its_string(blank: bytes) -> None:
    """JSON allows it before a string, an event does not: its data ends there, and is no JSON."""
    plain = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":%b"%b"},"finish_reason":null}]}\n\n'
    reads = [plain % (b"", b"ab"), plain % (b"", b"c"), plain % (blank, b"d")]
    rows, answer = run(reads)
    assert (len(rows), answer.error_outcome) == (2, "stream_error")
    assert meaning(reads) == meaning(bytewise(b"".join(reads)))


ODD_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 2**62), st.floats(), st.text(max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    "id",
                    "object",
                    "choices",
                    "delta",
                    "message",
                    "index",
                    "content",
                    "reasoning",
                    "tool_calls",
                    "function_call",
                    "function",
                    "name",
                    "arguments",
                    "refusal",
                    "finish_reason",
                    "usage",
                    "prompt_tokens",
                    "completion_tokens",
                    "prompt_tokens_details",
                    "completion_tokens_details",
                    "cached_tokens",
                    "reasoning_tokens",
                    "timings",
                    "prompt_ms",
                    "predicted_ms",
                    "error",
                    "type",
                    "code",
                    "detail",
                    "loc",
                    "msg",
                ]
            ),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=25,
)


@given(st.lists(ODD_VALUES, max_size=6), st.sampled_from([SSE, "application/json", ""]))
def test_json_of_the_wrong_kinds_never_raises(values: list[Any], content_type: str) -> None:
    """Every field may be anything: the answer is still storable, and reads of one byte agree."""
    lines = b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in values)
    for text in (lines, json.dumps(values[0]).encode() if values else b""):
        whole = meaning([text], content_type)
        assert meaning(bytewise(text), content_type) == whole
        for fact in whole[1].values():
            if isinstance(fact, str):
                fact.encode()


@given(st.binary(max_size=300), st.sampled_from([SSE, "application/json", "text/html", ""]))
def test_arbitrary_bytes_never_raise(text: bytes, content_type: str) -> None:
    """Whole and byte by byte agree on kinds, characters, outcome and counts, whatever the bytes."""
    assert meaning(bytewise(text), content_type) == meaning([text], content_type)


@given(
    st.sampled_from(sorted(path.name for path in GOLDEN.glob("*.sse"))),
    st.lists(st.tuples(st.integers(0, 4000), st.binary(max_size=3)), min_size=1, max_size=5),
)
def test_damaged_transcripts_never_raise(name: str, wounds: list[tuple[int, bytes]]) -> None:
    """A few bytes overwritten anywhere: no exception, and the same meaning however it is read."""
    text = golden(name)
    for at, patch in wounds:
        start = at % len(text)
        text = text[:start] + patch + text[start + len(patch) :]
    assert meaning(bytewise(text)) == meaning([text])


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (b"data: {broken\n\n", "{broken"),
        (b"data: 7\n\n", "7"),
        (b'data: ["a"]\n\n', '["a"]'),
        (b"data: null\n\n", "null"),
        (b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n', "\ufffd"),
        (b"data: <html>gateway\n\n", "<html>gateway"),
    ],
)
def test_what_is_not_the_apis_is_a_stream_error_with_an_excerpt(event: bytes, said: str) -> None:
    """Malformed JSON, JSON that is no object, invalid UTF-8: rows before are kept, the outcome says what came."""
    rows, answer = run([chunk({"content": "a"}), event, chunk({"content": "b"}, "stop")])
    assert len(rows) == 1
    assert (answer.error_outcome, answer.error_type, answer.terminal) == ("stream_error", "malformed", False)
    assert said in (answer.error_message or "")


def test_messages_are_bounded_and_storable() -> None:
    """A megabyte of error and a lone surrogate both end up as at most 500 characters of valid UTF-8."""
    _, answer = run([b'data: {"error":{"message":"' + b"m" * 600_000 + b'"}}\n\n'])
    assert len(answer.error_message or "") == 500
    _, answer = run([b'data: {"error":{"message":"\\ud83d","type":"\\ud83d"}}\n\n'])
    assert (answer.error_message, answer.error_type) == ("?", "?")


def test_what_python_reads_and_orjson_refuses() -> None:
    """A lone surrogate (half an emoji a chunk) and NaN among log-probabilities are tokens, as for the SDKs."""
    rows, answer = run(
        [
            b'data: {"choices":[{"index":0,"delta":{"content":"\\ud83d"},"finish_reason":null}]}\n\n',
            b'data: {"choices":[{"index":0,"delta":{"content":"a"},"logprobs":{"x":NaN},"finish_reason":"stop"}]}\n\n',
        ]
    )
    assert (len(rows), answer.error_outcome, answer.terminal) == (2, None, True)


def test_an_event_above_the_bound_is_a_stream_error() -> None:
    """Megabytes without a line end stop being kept, and the answer says so."""
    rows, answer = run([chunk({"content": "a"}), b"data: " + b"x" * 65_536] + [b"x" * 65_536] * 20)
    assert (len(rows), answer.error_outcome, answer.error_type) == (1, "stream_error", "too_long")


def test_the_bound_holds_on_the_short_way_too() -> None:
    """A chunk that fits a template but is above the bound is the same error."""
    rows, answer = run([chunk({"content": "a"}), chunk({"content": "b"}), chunk({"content": "c" * (1 << 20)})])
    assert (len(rows), answer.error_type) == (2, "too_long")


def test_nothing_after_done_is_read() -> None:
    """Bytes after [DONE] are neither rows nor errors."""
    rows, answer = run([chunk({"content": "a"}, "stop") + b"data: [DONE]\n\n" + b"data: {broken\n\n", b"\xff\xfe"])
    assert (len(rows), answer.terminal, answer.error_outcome) == (1, True, None)


def test_usage_of_a_cut_stream_is_marked_as_such() -> None:
    """Growing usage up to the cut is chunk_usage; rows that came after the last usage are counted instead."""
    usage = {"prompt_tokens": 3, "completion_tokens": 7}
    _, answer = run([chunk({"content": "a"}, usage=usage)])
    assert (answer.output_tokens, answer.token_source) == (7, "chunk_usage")
    _, answer = run([chunk({"content": "a"}, usage=usage), chunk({"content": "b"}), chunk({"content": "c"})])
    assert (answer.output_tokens, answer.token_source) == (3, "chunks")


def test_tokens_of_a_row_are_unknown_where_usage_skipped_one() -> None:
    """A difference over two rows belongs to neither."""
    reads = [
        chunk({"content": "a"}, usage={"completion_tokens": 2}),
        chunk({"content": "b"}),
        chunk({"content": "c"}, usage={"completion_tokens": 7}),
        chunk({"content": "d"}, usage={"completion_tokens": 9}),
        chunk({"content": "e"}, usage={"completion_tokens": 8}),
    ]
    rows, _ = run(reads)
    assert [row[5] for row in rows] == [2, -1, -1, 2, -1]


def test_hidden_reasoning_is_not_in_the_first_row() -> None:
    """Tokens that were thought before the first visible chunk are not that chunk's."""
    usage = {"completion_tokens": 52, "completion_tokens_details": {"reasoning_tokens": 50}}
    rows, _ = run([chunk({"content": "a"}, usage=usage)])
    assert rows[0][5] == 2


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", SSE, ""])
def test_one_document_where_a_stream_was_asked_for(content_type: str) -> None:
    """No rows, its own end mark, usage; whatever the content type claims."""
    rows, answer = run(bytewise(b"\n\n " + golden("whole.json")), content_type)
    assert rows == []
    assert (answer.streamed, answer.terminal, answer.finish_reason) == (False, True, "stop")
    assert (answer.input_tokens, answer.output_tokens, answer.token_source) == (8, 4, "usage")


def test_a_document_without_usage_has_no_count() -> None:
    """There are no chunks to count, and nothing is made up."""
    _, answer = run([b'{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}'], "application/json")
    assert (answer.terminal, answer.output_tokens, answer.token_source) == (True, None, None)


@pytest.mark.parametrize(
    ("body", "outcome", "word"),
    [
        (b'{"error":{"message":"no","type":"overloaded_error"}}', "overloaded", "overloaded_error"),
        (b'{"error":"no"}', "stream_error", "error"),
        (b"<html><title>Sign in</title></html>", "stream_error", "malformed"),
        (b'{"choices":[{"message"', "stream_error", "malformed"),
    ],
)
def test_documents_that_are_no_answer(body: bytes, outcome: str, word: str) -> None:
    """An error in a 200, a sign-in page, half a document."""
    _, answer = run([body], "application/json")
    assert (answer.terminal, answer.error_outcome, answer.error_type) == (False, outcome, word)


def test_a_document_above_the_bound_is_a_stream_error() -> None:
    """What cannot be kept is not kept."""
    _, answer = run([b"{" + b" " * DOCUMENT_BYTES], "application/json")
    assert (answer.error_outcome, answer.error_type) == ("stream_error", "too_long")


def test_an_empty_body_has_no_end_mark() -> None:
    """Nothing came: no error of the API's, and not complete either."""
    _, answer = run([])
    assert (answer.terminal, answer.error_outcome, answer.rows) == (False, None, 0)
