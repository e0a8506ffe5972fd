"""The plain HTTP API's answers: transcripts whole and cut at every byte, stamps, the short cut, errors, and bytes that are anything."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_http import GOLDEN, JSON, LINES, SSE, TYPES, bytewise, meaning, run

from generator.apis import http_json
from generator.apis.events import DOCUMENT_BYTES
from generator.apis.fields import parse
from generator.apis.http_json import HttpJson
from generator.job import Http
from generator.sse import EVENT_BYTES

TEXT = Http(answer="$.output.text", input_tokens="$.usage.in", output_tokens="$.usage.out")

# file: what to look for, characters of each row, and what the answer must have understood
EXPECTED: dict[str, tuple[Http, list[int], dict[str, Any]]] = {
    # the empty text and [DONE] are no rows; usage after the last row
    "events.sse": (
        TEXT,
        [5, 6, 4],
        {"output_tokens": 9, "input_tokens": 7, "token_source": "usage", "parts": ["Hello", " wörld", ' "q"']},
    ),
    # named events, CRLF, a BOM; what the JSONPath does not match is no row
    "named_crlf.sse": (TEXT, [1, 2, 3], {"output_tokens": 3, "token_source": "chunks", "parts": ["a", "bc", "def"]}),
    # without an answer's path an event's data is the text; lines of one event are joined
    "plain_text.sse": (
        Http(),
        [3, 9, 21],
        {"output_tokens": 3, "parts": ["one", "two\nlines", '{"not":"looked into"}']},
    ),
    # nothing after an event named error is looked at; an overloaded service is told from a broken one
    "error_event.sse": (
        TEXT,
        [6],
        {"error_outcome": "overloaded", "error_type": "overloaded_error", "error_message": "later"},
    ),
    # counts on every line: the last row's own
    "counted.ndjson": (
        TEXT,
        [2, 4, 5],
        {"output_tokens": 4, "input_tokens": 3, "token_source": "chunk_usage", "parts": ["un", "deux", "trois"]},
    ),
    # CRLF; the last line needs no end
    "no_last_end.ndjson": (TEXT, [1, 1, 1, 21], {"output_tokens": 4, "token_source": "chunks"}),
    # the error that the user named
    "problem.ndjson": (
        Http(answer="$.output.text", error="$.problem"),
        [1],
        {"error_outcome": "stream_error", "error_type": "busy", "error_message": "try later"},
    ),
    # several matches are one row's text; numbers and objects are their JSON, null is nothing; no match and no JSON are no rows
    "odd.ndjson": (
        Http(answer="$.output[*].text", answer_required=True),
        [15],
        {"output_tokens": 1, "error_outcome": None, "parts": ['first2{"a":[1]}']},
    ),
    "whole.json": (
        TEXT,
        [],
        {
            "output_tokens": 34,
            "input_tokens": 12,
            "token_source": "usage",
            "parts": ["All of it: 𝄞"],
            "streamed": False,
        },
    ),
}


def golden(name: str) -> tuple[bytes, str]:
    path = GOLDEN / name
    return path.read_bytes(), TYPES[path.suffix]


def test_every_transcript_has_its_expectation() -> None:
    """A transcript that nobody reads proves nothing."""
    assert {path.name for path in GOLDEN.iterdir()} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_transcript(name: str) -> None:
    """What a service sends is understood as its paths say, and a clean end is the end mark."""
    spec, chars, wanted = EXPECTED[name]
    data, kind = golden(name)
    rows, answer = run(spec, [data], kind, keep_text=True)
    assert [row[4] for row in rows] == chars
    assert [row[2] for row in rows] == list(range(len(chars)))
    facts = {key: getattr(answer, key) for key in wanted}
    if "parts" in facts:
        facts["parts"] = [text for _, text in facts["parts"]]
    assert facts == wanted
    assert answer.terminal
    assert answer.rows == len(rows)


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("keep_text", [False, True])
def test_a_transcript_cut_at_every_byte(name: str, keep_text: bool) -> None:
    """No cut changes the meaning, and neither does one read a byte."""
    spec, _, _ = EXPECTED[name]
    data, kind = golden(name)
    whole = meaning(spec, [data], kind, keep_text)
    for at in range(1, len(data)):
        assert meaning(spec, [data[:at], data[at:]], kind, keep_text) == whole, at
    assert meaning(spec, bytewise(data), kind, keep_text) == whole


@pytest.mark.parametrize("kind", [SSE, LINES])
def test_stamps_follow_the_read_that_completed_the_event(kind: str) -> None:
    """t_ns and read_index are those of the read with the event's last byte; exact only if that byte ends the read."""
    before, after = (b"data: ", b"\n\n") if kind == SSE else (b"", b"\n")
    one = before + b'{"t":"a"}' + after
    rows, answer = run(Http(answer="$.t"), [one[:5], one[5:], one + one, one + one[:9], one[9:], one], kind)
    assert [(t, read, exact) for _, t, _, read, _, _, _, exact in rows] == [
        (1001, 1, 1),
        (1002, 2, 0),
        (1002, 2, 1),
        (1003, 3, 0),
        (1004, 4, 1),
        (1005, 5, 1),
    ]
    assert (answer.first_row_ns, answer.first_row_read_index, answer.last_row_ns) == (1001, 1, 1005)
    rows, _ = run(Http(answer="$.t"), [one] * 20, kind, certain=False)
    assert len(rows) == 20
    assert not any(row[-1] for row in rows)


def test_a_last_line_without_its_end_keeps_its_stamp() -> None:
    """It is known to be whole only at the end, but it came with its read."""
    rows, _ = run(Http(answer="$.t"), [b'{"t":"a"}\n', b'{"t":"b"}'], LINES)
    assert [(row[1], row[3], row[7]) for row in rows] == [(1000, 0, 1), (1001, 1, 1)]
    rows, _ = run(Http(answer="$.t"), [b'{"t":"a"}\n', b'{"t":"b'], LINES)
    assert len(rows) == 1


TEXTS = st.one_of(st.sampled_from(["", " the", '"', "\\", "\n", "é", "𝄞", "t", "\x00", "[DONE]"]), st.text(max_size=6))
EVENTS = st.one_of(
    st.builds(lambda text: {"t": text}, TEXTS),
    st.builds(lambda text: {"i": 1, "t": text, "x": {"t": text}}, TEXTS),
    st.builds(lambda text, n: {"t": text, "n": n}, TEXTS, st.integers(-1, 5)),
    st.builds(lambda text, i: {"i": i, "t": text, "z": None}, TEXTS, st.integers(-1, 10**20)),
    st.builds(lambda text, i, z: {"i": i, "z": z, "t": text}, TEXTS, st.integers(8, 12), TEXTS),
    st.sampled_from([{}, {"t": None}, {"t": 5}, {"t": ["a"]}, [], "t", 1, None]),
)


@settings(deadline=None)
@given(st.lists(st.tuples(EVENTS, st.booleans()), max_size=40), st.integers(0, 4), st.sampled_from([SSE, LINES]))
def test_the_short_cut_reads_what_a_full_parse_reads(events: list[tuple[Any, bool]], many: int, kind: str) -> None:
    """A template learned from one event never changes what a later one is: against a plain reading of the same JSON."""
    spec = Http(answer="$.t", output_tokens="$.n")
    wanted, pieces, usage = [], [], None
    for event, escaped in events:
        value = event.get("t") if isinstance(event, dict) else None
        text = "" if value is None else value if isinstance(value, str) else orjson.dumps(value).decode()
        wanted += [len(text)] if text else []
        if isinstance(event, dict) and event.get("n", -1) >= 0:
            usage = (event["n"], len(wanted))
        form: dict[str, Any] = {} if escaped else {"ensure_ascii": False, "separators": (",", ":")}
        data = json.dumps(event, **form).encode()
        pieces.append(b"data: " + data + b"\n\n" if kind == SSE else data + b"\n")
    reads = pieces if not many else [b"".join(pieces[i : i + many]) for i in range(0, len(pieces), many)]
    rows, answer = run(spec, reads, kind)
    assert [row[4] for row in rows] == wanted
    last = usage is not None and usage[1] == len(wanted)
    assert answer.output_tokens == (usage[0] if usage is not None and last else len(wanted))


@pytest.mark.parametrize("kind", [SSE, LINES])
def test_a_counter_beside_the_text_does_not_end_the_short_cut(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Services number their events; what no path leads into may vary without a full parse of each."""
    before, after = (b"data: ", b"\n\n") if kind == SSE else (b"", b"\n")
    events = [before + b'{"index": %d, "text": "w%d"}' % (n, n % 3) + after for n in range(200)]
    parsed: list[bytes] = []
    monkeypatch.setattr(http_json, "parse", lambda data: parsed.append(data) or parse(data))
    rows, _ = run(Http(answer="$.text", error="$.error"), events, kind)
    assert [row[4] for row in rows] == [2] * 200
    assert len(parsed) < 10


@pytest.mark.parametrize("answer", ["$[?@.t != 'stop'].t", "$..t"])
def test_no_short_cut_past_a_path_that_looks_at_the_text(answer: str) -> None:
    """A filter may refuse one text and take another in the same place."""
    spec = Http(answer=answer)
    events = [b'data: {"a":{"t":"%b"}}\n\n' % text for text in [b"go"] * 12 + [b"stop", b"on"]]
    rows, _ = run(spec, events)
    assert len(rows) == (13 if "stop" in answer else 14)


def test_an_answer_that_is_wanted_and_missing_is_an_error() -> None:
    """``answer_required`` makes a failure of a 2xx answer that its path does not match; otherwise it stays a success."""
    bodies = {
        JSON: [b"", b"{}", b'{"t":null}', b'{"t":""}', b"not JSON", b"[1"],
        SSE: [b"", b'data: {"x":1}\n\n', b"data: [DONE]\n\n", b": nothing\n\n"],
        LINES: [b"", b'{"x":1}\n', b"x\n"],
    }
    for kind, tries in bodies.items():
        for body in tries:
            _, lenient = run(Http(answer="$.t"), [body], kind)
            assert (lenient.terminal, lenient.error_outcome) == (True, None)
            _, strict = run(Http(answer="$.t", answer_required=True), [body], kind)
            assert (strict.error_outcome, strict.error_type) == ("stream_error", "no_answer"), body
            assert "$.t" in (strict.error_message or "")


def test_an_error_by_the_users_path() -> None:
    """Any value but null, false, zero and what is empty is one, in a document as in a stream."""
    spec = Http(answer="$.t", error="$.error")
    for value in ("null", "false", '""', "{}", "0"):
        assert run(spec, [b'{"t":"a","error":%b}' % value.encode()], JSON)[1].error_outcome is None
    _, answer = run(spec, [b'{"error":"out of luck"}'], JSON)
    assert (answer.error_outcome, answer.error_message) == ("stream_error", "out of luck")
    _, answer = run(spec, [b'{"error":{"message":"m","type":"t"}}'], JSON)
    assert (answer.error_outcome, answer.error_type, answer.error_message) == ("stream_error", "t", "m")


def test_what_is_too_long_is_an_error_and_not_memory() -> None:
    """An event, a line and a document are bounded; a document that nobody wants to look into is not kept at all."""
    for kind in (SSE, LINES):
        _, answer = run(Http(answer="$.t"), [b"x" * (EVENT_BYTES + 1)], kind)
        assert answer.error_type == "too_long"
    big = [b" " * (DOCUMENT_BYTES // 2 + 1)] * 2
    assert run(Http(answer="$.t"), big, JSON)[1].error_type == "too_long"
    assert run(Http(), big, JSON)[1].error_outcome is None


def test_a_bom_is_no_part_of_the_json() -> None:
    """Some servers put one before it."""
    for kind, body in {JSON: b'{"t":"a"}', LINES: b'{"t":"a"}\n', SSE: b'data: {"t":"a"}\n\n'}.items():
        _, answer = run(Http(answer="$.t", answer_required=True), [b"\xef\xbb\xbf" + body], kind)
        assert answer.error_outcome is None, kind


def test_the_content_type_decides() -> None:
    """Events, lines, or one document, whatever the bytes look like."""
    line = b'{"t":"a"}\n'
    for kind, count in {
        "application/x-ndjson; charset=utf-8": 2,
        "application/jsonl": 2,
        "application/stream+json": 2,
        "application/json": 0,
        "text/plain": 0,
        "": 0,
        SSE: 0,
    }.items():
        assert len(run(Http(answer="$.t"), [line, line], kind)[0]) == count, kind


SPECS = (
    Http(),
    TEXT,
    Http(answer="$..text", error="$.error", answer_required=True),
    Http(answer="$[?@.a > 1].t", output_tokens="$.n"),
    Http(answer="$", input_tokens="$[0]"),
)
PIECES = st.one_of(
    st.binary(max_size=12),
    st.sampled_from(
        [
            b"data: ",
            b"event: error\n",
            b"\n\n",
            b"\n",
            b"\r\n\r\n",
            b'{"output":{"text":"a"},"usage":{"out":1,"in":2}}',
            b'{"output":{"text":"',
            b'"}}',
            b"\\ud800",
            b'{"text":1e999,"error":null}',
            b"[" * 600 + b"]" * 600,
            b'[{"a":2,"t":"x"},{"a":"y"}]',
            b"[DONE]",
            b"\x00",
            b'\x00"a"\x00',
            b"\xff\xfe",
            b"99999999999999999999",
            b"NaN",
        ]
    ),
)


@settings(deadline=None)
@given(st.sampled_from(SPECS), st.lists(PIECES, max_size=12), st.sampled_from([SSE, LINES, JSON]), st.booleans())
def test_any_bytes_become_one_of_our_outcomes(spec: Http, pieces: list[bytes], kind: str, keep_text: bool) -> None:
    """Nothing is raised, and whole, piece by piece and byte by byte mean the same."""
    data = b"".join(pieces)
    whole = meaning(spec, [data], kind, keep_text)
    assert whole[1]["terminal"]
    assert whole[1]["error_outcome"] in (None, "stream_error", "overloaded")
    assert meaning(spec, pieces, kind, keep_text) == whole
    assert meaning(spec, bytewise(data), kind, keep_text) == whole


def test_a_decoder_is_fresh_each_time() -> None:
    """One API serves many answers at once."""
    api = HttpJson(TEXT)
    rows: list[bytes] = []
    first, second = (api.decoder(n, SSE, rows.append) for n in (1, 2))
    first.feed([(b'data: {"output":{"te', 1, 0, True)])
    second.feed([(b'data: {"output":{"text":"x"}}\n\n', 2, 0, True)])
    first.feed([(b'xt":"yz"}}\n\n', 3, 1, True)])
    assert (first.finish().rows, second.finish().rows, len(rows)) == (1, 1, 2)
