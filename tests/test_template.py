"""The short cut through JSON: whatever it takes, a full parse would have understood alike."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.apis.template import NO_TEMPLATE, fit, learn

LOOSE = ("sequence_number", "obfuscation")
TEXT = st.one_of(
    st.sampled_from(['"', "\\", '"}', '","n":1', "}", "  ", "7", "é", "𝄞", "\n", '"obfuscation":"x"']),
    st.text(max_size=8),
)
KEYS = ("type", "delta", "sequence_number", "obfuscation", "item")
VALUES = {
    "type": st.just("t"),
    "delta": TEXT.filter(bool),
    "sequence_number": st.integers(0, 10**6),
    "obfuscation": st.text("abcXYZ019", max_size=9),
    "item": st.sampled_from([None, {"delta": "a", "sequence_number": 3}, ["a"], "a"]),
}


def take(event: Any) -> Any:
    return event["delta"]


@st.composite
def answers(draw: st.DrawFn) -> list[bytes]:
    """Events of one answer: keys in one order, spelt one way, with values of their own and blanks before the last brace."""
    keys = draw(st.permutations(KEYS))
    keys = keys[: draw(st.integers(1, len(keys)))]
    keys = keys if "delta" in keys else [*keys, "delta"]
    spaced, padded = draw(st.booleans()), draw(st.booleans())
    events = []
    for _ in range(draw(st.integers(2, 6))):
        event = {key: draw(VALUES[key]) for key in keys}
        data = json.dumps(event, ensure_ascii=False).encode() if spaced else orjson.dumps(event)
        events.append(data[:-1] + b" " * draw(st.integers(0, 5)) + b"}" if padded else data)
    return events


@given(answers(), st.booleans())
def test_what_fits_means_what_a_full_parse_finds(events: list[bytes], padded: bool) -> None:
    """Learned from any event of an answer, a template gives of any other its text or nothing."""
    parsed = [orjson.loads(event) for event in events]
    template = learn(events[0], parsed[0], take(parsed[0]), take, LOOSE, padded)
    for data, event in zip(events, parsed, strict=True):
        text = fit(data, template)
        assert text in ("", take(event))


@given(answers(), st.data())
def test_a_damaged_event_fits_only_if_it_is_whole(events: list[bytes], draw: st.DataObject) -> None:
    """Bytes put in or taken out anywhere: what still fits parses, to that text, and differs from the model in loose places alone."""
    model = orjson.loads(events[0])
    template = learn(events[0], model, take(model), take, LOOSE, padded=True)
    data = draw.draw(st.sampled_from(events))
    start = draw.draw(st.integers(0, len(data)))
    stop = draw.draw(st.integers(start, min(len(data), start + 3)))
    patch = draw.draw(
        st.sampled_from([b"", b"0", b"00", b'"', b"\\", b" ", b"\n", b"}", b",", b"e5", b"-", b'""', b"a"])
    )
    data = data[:start] + patch + data[stop:]
    text = fit(data, template)
    if text:
        found = orjson.loads(data)
        assert take(found) == text
        assert {k: v for k, v in found.items() if k not in (*LOOSE, "delta")} == {
            k: v for k, v in model.items() if k not in (*LOOSE, "delta")
        }


SEEN = b'{"type":"t","sequence_number":9,"delta":"ab","logprobs":[],"obfuscation":"x1"}'


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (SEEN, "ab"),
        (SEEN.replace(b":9,", b":10,"), "ab"),
        (SEEN.replace(b":9,", b":0,"), "ab"),
        (SEEN.replace(b'"ab"', b'"\\"logprobs\\":[],"'), '"logprobs":[],'),
        (SEEN.replace(b'"x1"', b'""'), "ab"),
        (SEEN.replace(b":9,", b":09,"), ""),  # no JSON
        (SEEN.replace(b":9,", b":-9,"), ""),  # JSON, and left to the full parse, as are the next two
        (SEEN.replace(b":9,", b":9.5,"), ""),
        (SEEN.replace(b'"x1"', b'"\\u0041"'), ""),
        (SEEN.replace(b":9,", b":,"), ""),
        (SEEN.replace(b'"ab"', b'"a","delta":"b"'), ""),
        (SEEN.replace(b'"ab"', b'""'), ""),
        (SEEN.replace(b'"ab"', b"null"), ""),
        (SEEN.replace(b'"ab"', b'\n"ab"'), ""),
        (SEEN.replace(b"[]", b"[1]"), ""),
    ],
)
def test_holes_take_one_token_of_their_kind(data: bytes, text: str) -> None:
    """A number is a number, letters are letters; anything else is for the full parse."""
    event = orjson.loads(SEEN)
    template = learn(SEEN, event, "ab", take, LOOSE)
    assert template is not NO_TEMPLATE
    assert fit(data, template) == text


@pytest.mark.parametrize("blanks", [0, 1, 12])
def test_blanks_before_the_last_brace_may_vary(blanks: int) -> None:
    """As Anthropic pads its events; blanks only, and there alone."""
    first = b'{"index":0,"delta":"a b "   }'
    template = learn(first, orjson.loads(first), "a b ", take, padded=True)
    assert fit(b'{"index":0,"delta":"c  "' + b" " * blanks + b"}", template) == "c  "
    assert fit(b'{"index":0,"delta":"c  "' + b" " * blanks + b"\t}", template) == ""


def test_a_text_that_stands_elsewhere_too_is_not_taken_for_it() -> None:
    """The place is proven: the same string as another field's value is not the text."""
    event = {"id": "a", "delta": "a"}
    data = orjson.dumps(event)
    assert learn(data, event, "a", take) is NO_TEMPLATE
