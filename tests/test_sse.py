"""Server-sent events: the standard's rules, the offsets, the bound, and that no cut of the bytes changes what they say."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.sse import SseParser

# what the bytes are, and (data, name) of the events that the standard sees in them
CASES = [
    (b"data: a\n\n", [(b"a", b"")]),
    (b"data:a\n\n", [(b"a", b"")]),  # the space is optional
    (b"data:  a\n\n", [(b" a", b"")]),  # and only one is dropped
    (b"data: a\r\n\r\n", [(b"a", b"")]),
    (b"data: a\r\r", [(b"a", b"")]),
    (b"data: a\r\n\n", [(b"a", b"")]),
    (b"data: a\n\r\n", [(b"a", b"")]),
    (b"data: a\n\r", [(b"a", b"")]),
    (b"\xef\xbb\xbfdata: a\n\n", [(b"a", b"")]),
    (
        b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n",
        [],
    ),  # one byte order mark may lead, a second one is part of a field's name
    (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [(b"a", b"")]),
    (b": keep-alive\n\ndata: a\n\n", [(b"a", b"")]),
    (b"data: a\n: comment\ndata: b\n\n", [(b"a\nb", b"")]),
    (b"data: a\ndata: b\n\n", [(b"a\nb", b"")]),
    (b"data: a\n\ndata: b\n\n", [(b"a", b""), (b"b", b"")]),
    (b"data\n\ndata\ndata\n\ndata:", [(b"", b""), (b"\n", b"")]),  # the standard's own example
    (b"event: error\ndata: a\n\ndata: b\n\n", [(b"a", b"error"), (b"b", b"")]),
    (b"event: ping\n\ndata: b\n\n", [(b"b", b"")]),  # without data no event, and the name is forgotten
    (b"event:x\nid: 7\nretry: 10\ndata: a\n\n", [(b"a", b"x")]),
    (b"nonsense: a\n\ndata: b\n\n", [(b"b", b"")]),
    (b"data: a\n\n\n\n\ndata: b\n\n", [(b"a", b""), (b"b", b"")]),
    (b"data: a\n", []),  # never dispatched: cut off by the end
    (b"data: a", []),
    (b"\n\n\n\n", []),
    (b"", []),
]


def fed(pieces: list[bytes]) -> list[tuple[bytes, bytes]]:
    parser = SseParser()
    return [(data, name) for piece in pieces for data, _, name in parser.feed(piece)]


def cut(text: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(c % (len(text) + 1) for c in cuts), len(text)]
    return [text[a:b] for a, b in pairwise(edges)]


@pytest.mark.parametrize(("text", "events"), CASES)
def test_the_standard(text: bytes, events: list[tuple[bytes, bytes]]) -> None:
    """Each rule of the standard, with the bytes whole and one by one."""
    assert fed([text]) == events
    assert fed([text[i : i + 1] for i in range(len(text))]) == events


LINES = st.sampled_from(
    [b"data: x", b"data:", b"data", b"event: e", b"id: 1", b": c", b"", b"", b"", b"odd", b"\xef\xbb\xbfdata: y"]
)
ENDS = st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\r", b""])
TEXTS = st.lists(st.tuples(LINES, ENDS)).map(lambda parts: b"".join(a + b for a, b in parts))


@given(TEXTS, st.lists(st.integers(0, 10_000)))
def test_any_split_gives_the_same_events(text: bytes, cuts: list[int]) -> None:
    """Where the reads were cut is nothing that the events depend on."""
    assert fed(cut(text, cuts)) == fed([text])


@given(
    st.lists(
        st.sampled_from(
            [
                *(
                    b"event: e\ndata: 1\n\n",
                    b"event: \ndata: 2\n\n",
                    b"event:  f\ndata:  3\n\n",
                    b"event: g\ndata: 4\n\n",
                ),
                *(b"data: 5\n\n", b"event: h\nevent: i\n\n", b"event: j\nid: 1\n\n", b"data: 6\nevent: k\n\n", b"\n"),
            ]
        )
    )
)
def test_named_events_on_the_short_way(parts: list[bytes]) -> None:
    """A read of whole events with names means what its bytes mean one by one."""
    text = b"".join(parts)
    assert fed([text]) == fed([text[i : i + 1] for i in range(len(text))])


@given(
    st.lists(
        st.sampled_from(
            [
                *(b"data: {}\n\n", b"data: 1\r\n\r\n", b": c\n\n", b"data: a\ndata: b\n\n"),
                *(b"event: e\ndata: 1\n\n", b"event: e\ndata: 22\n\n"),
            ]
        )
    ),
    st.booleans(),
)
def test_the_end_of_an_event_is_after_its_blank_line(parts: list[bytes], slow: bool) -> None:
    """``end`` is where the event was complete, counted from the start of the bytes fed last, on the short way and the long one."""
    parser = SseParser()
    if slow:
        parser.feed(b"event: held\n")
        parts = [b"data: 0\n\n", *parts]
    ends, at = [], 0
    for part in parts:
        at += len(part)
        if b"data" in part:
            ends.append(at)
    assert [end for _, end, _ in parser.feed(b"".join(parts))] == ends


def test_an_end_in_a_later_read_counts_from_that_read() -> None:
    """The blank line alone completes the event, at offset 1 of its own read."""
    parser = SseParser()
    assert parser.feed(b"data: a\n") == []
    assert parser.feed(b"\ndata: b\n\n") == [(b"a", 1, b""), (b"b", 10, b"")]


@pytest.mark.parametrize(
    "text",
    [
        b"data: " + b"x" * 95,
        b"data: " + b"x" * 95 + b"\n\n",
        b":" + b"x" * 200,
        b"data: 34567890\n" * 9,
        b"data\n" * 40,
    ],
)
def test_an_event_above_the_bound_is_an_error_value(text: bytes) -> None:
    """Neither an endless line nor endless lines can fill the memory; what came before is kept, what follows is not read."""
    whole, bytewise = SseParser(100), SseParser(100)
    good = b"data: good\n\n"
    assert whole.feed(good + text) == [(b"good", 12, b"")]
    assert [data for byte in good + text for data, _, _ in bytewise.feed(bytes([byte]))] == [b"good"]
    for parser in (whole, bytewise):
        assert parser.error == "an event of more than 100 bytes"
        assert parser.feed(b"\n\ndata: late\n\n") == []


@given(
    st.integers(1, 12),
    st.lists(st.sampled_from([b"data: 1", b"\n", b"\r", b"data: 123456", b":", b"event: 1\n", b"event: 123456\n"])),
    st.lists(st.integers(0, 99)),
)
def test_the_bound_does_not_depend_on_the_cuts(bound: int, parts: list[bytes], cuts: list[int]) -> None:
    """Whole or in pieces, the same events come before the same error."""
    text = b"".join(parts)
    whole, split = SseParser(bound), SseParser(bound)
    events = [data for data, _, _ in whole.feed(text)]
    assert [data for piece in cut(text, cuts) for data, _, _ in split.feed(piece)] == events
    assert whole.error == split.error


def test_a_comment_of_any_number_of_lines_is_no_event_too_long() -> None:
    """Keep-alive comments hold nothing, so an hour of them passes the bound of one event."""
    parser = SseParser(100)
    for _ in range(1000):
        assert parser.feed(b": keep-alive\n") == []
    assert parser.feed(b"data: a\n\n") == [(b"a", 9, b"")]
