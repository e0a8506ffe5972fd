"""Chat answers' texts: kept where asked, by kind, on every way through the decoder; and content that comes as a list of parts."""

from __future__ import annotations

import orjson
import pytest
from chat import C, F, R, T, bytewise, chunk, golden, meaning, run

MANY = [chunk({"content": word}) for word in ["a", " b", "é", '"', " c"] * 6]


@pytest.mark.parametrize("size", [1, 7, 30])
def test_texts_of_all_rows_are_kept(size: int) -> None:
    """One event a read and many a read, those on the short cut included: the same text, and the same rows as without."""
    reads = [b"".join(MANY[i : i + size]) for i in range(0, len(MANY), size)]
    rows, answer = run(reads, keep_text=True)
    assert answer.text(C) == 'a bé" c' * 6
    assert rows == run(reads)[0]
    assert run(reads)[1].parts is None


def test_kinds_of_one_row_are_kept_apart() -> None:
    """A chunk with reasoning and content is one row; a history needs its content alone."""
    rows, answer = run([chunk({"reasoning": "Hm", "content": "Yes"}), chunk({"content": "."})], keep_text=True)
    assert [(row[6], row[4]) for row in rows] == [(C, 5), (C, 1)]
    assert (answer.text(C), answer.text(R), answer.text(C, R)) == ("Yes.", "Hm", "YesHm.")


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("openai_tools.sse", T, None),
        ("openai_refusal.sse", F, None),
        ("deepseek.sse", R, None),
        ("vllm.sse", C, None),
        ("openai.sse", C, None),
        ("whole.json", C, "content"),
    ],
)
def test_texts_of_transcripts(name: str, kind: int, text: str | None) -> None:
    """What is kept is what the rows count, whatever the server; a document keeps its message's."""
    rows, answer = run([golden(name)], keep_text=True)
    assert answer.parts
    if text is None:
        assert sum(len(part) for _, part in answer.parts) == sum(row[4] for row in rows)
        assert kind in {part_kind for part_kind, _ in answer.parts}
    else:
        assert answer.text(kind) == orjson.loads(golden(name))["choices"][0]["message"][text]
    assert meaning(bytewise(golden(name)), keep_text=True) == meaning([golden(name)], keep_text=True)


def test_half_a_surrogate_pair_is_kept_as_something_storable() -> None:
    """JSON may spell it; UTF-8, and so Parquet, cannot hold it."""
    _, answer = run([b'data: {"choices":[{"delta":{"content":"a\\ud83d"}}]}\n\n'], keep_text=True)
    assert answer.text(C) == "a?"


def test_content_as_a_list_of_parts() -> None:
    """Mistral's reasoning models: thinking with parts of its own, then text; parts of other types are nothing of ours."""
    think = {"type": "thinking", "thinking": [{"type": "text", "text": "Let me"}, {"type": "text", "text": " see"}]}
    reads = [
        chunk({"content": [think]}),
        chunk({"content": [think, {"type": "text", "text": "Yes"}]}),
        chunk({"content": [{"type": "text", "text": ", it"}, {"type": "text", "text": " is"}]}),
        chunk({"content": [{"type": "reference", "reference_ids": [1]}]}),
        chunk({"content": []}),
        chunk({"content": "."}, "stop"),
    ]
    rows, answer = run(reads, keep_text=True)
    assert [(row[6], row[4]) for row in rows] == [(R, 10), (C, 13), (C, 7), (C, 1)]
    assert (answer.text(C), answer.text(R), answer.terminal) == ("Yes, it is.", "Let me seeLet me see", True)
    assert run(reads)[0] == rows


def test_a_list_of_parts_in_a_document() -> None:
    """The same in an answer that is one document."""
    body = {"choices": [{"message": {"content": [{"type": "text", "text": "Hi"}]}, "finish_reason": "stop"}]}
    rows, answer = run([orjson.dumps(body)], "application/json", keep_text=True)
    assert (rows, answer.text(C), answer.terminal) == ([], "Hi", True)


@pytest.mark.parametrize(
    "odd", [[1, None, "a"], [{"text": 3}], [{"thinking": 7}], [{"thinking": [1, {"text": None}]}], [[]]]
)
def test_odd_parts_are_nothing(odd: list[object]) -> None:
    """Wrong kinds within the list make no row and no error."""
    rows, answer = run([chunk({"content": odd})], keep_text=True)
    assert (rows, answer.parts, answer.error_outcome) == ([], [], None)
