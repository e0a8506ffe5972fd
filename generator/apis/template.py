"""A short cut through JSON that is still exact: the events of one answer mostly differ in a single string.

Once one event has been parsed and its text found in its bytes, everything before and after that string is known. A later
event with the same bytes before and after, and one JSON string between, has the same meaning but for the string: a string
is one token of JSON's grammar, so replacing it by another string changes nothing else. Parsing a string of a few
characters costs a tenth of parsing the event.

Some servers vary more than the text, in places that mean nothing to us: a number that counts events, a string of random
letters, blanks before the last brace. Such a place is a hole: what stands in it is checked to be one token of its kind (or
blanks alone), so that the argument above holds for it as well, and is not looked at further.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import orjson

_NUMBER = re.compile(rb"0|[1-9][0-9]{0,17}")
_LETTERS = re.compile(rb'"[A-Za-z0-9+/=_.-]*"')
_BLANKS = re.compile(rb" *")

_Hole = tuple[int, int, re.Pattern[bytes] | None, bytes]
"""Where it begins and ends, what may stand in it (None: the text), and something else to put there for the proof."""

_Literals = tuple[tuple[bytes, re.Pattern[bytes]], ...]


class Template(NamedTuple):
    """``before`` and ``after`` are the bytes that stay; ``read`` makes the text of what is in ``[start:stop]``: a str, or something
    else or ValueError where the event does not fit.
    """

    before: bytes
    after: bytes
    start: int
    stop: int
    read: Callable[[bytes], Any]


def _nothing(_: bytes) -> None:
    """What bytes that are no JSON may hold is no text of a template."""


NO_TEMPLATE = Template(b"\0", b"\0", 1, -1, _nothing)
"""No JSON begins or ends so, and whatever does has no text: nothing fits."""


def learn(
    data: bytes,
    event: dict[str, Any],
    text: str,
    read: Callable[[Any], Any],
    loose: tuple[str, ...] = (),
    padded: bool = False,
) -> Template:
    """The bytes of ``data`` around ``text``, which ``read`` takes out of ``event``, its parsed form; NO_TEMPLATE if not found.

    ``loose`` names fields of the outermost object whose values mean nothing, ``padded`` says that blanks before the last brace
    may vary. Each place is proven, not guessed: something else is put there, and parsing must give exactly that back.
    """
    try:
        if padded or any(name in event for name in loose):
            return _learn_holes(data, event, text, read, loose, padded)
        quoted = orjson.dumps(text)
        at = data.find(quoted)
        if at < 0:
            return NO_TEMPLATE
        # The quotes belong to what must fit: JSON allows blanks and line ends before a string, an event does not.
        before, after = data[: at + 1], data[at + len(quoted) - 1 :]
        found = read(orjson.loads(before + b"." + quoted[1:-1] + after))
    except (ValueError, LookupError, TypeError):
        return NO_TEMPLATE
    return Template(before, after, at, 1 - len(after), orjson.loads) if found == "." + text else NO_TEMPLATE


def fit(data: bytes, template: Template) -> str:
    """The string that ``data`` has in the template's place; empty if it is, or if ``data`` does not fit."""
    before, after, start, stop, read = template
    if not (data.startswith(before) and data.endswith(after)):
        return ""
    try:
        text = read(data[start:stop])
    except ValueError:
        return ""
    return text if text.__class__ is str else ""


def _learn_holes(
    data: bytes, event: dict[str, Any], text: str, read: Callable[[Any], Any], loose: tuple[str, ...], padded: bool
) -> Template:
    holes, fields = _holes(data, event, text, loose, padded)
    literals = _between(data, holes)
    others = [*(hole[3] for hole in holes), b""]
    changed = orjson.loads(b"".join(b"".join(pair) for pair in zip(literals, others, strict=True)))
    if read(changed) != text + "." or any(changed[name] != value for name, value in fields.items()):
        return NO_TEMPLATE
    if not all(literals[1:-1]):
        return NO_TEMPLATE  # two holes with nothing between: no telling where one ends
    before, after = literals[0], literals[-1]
    at = next(n for n, hole in enumerate(holes) if hole[2] is None)
    front = tuple((literals[n + 1], hole[2]) for n, hole in enumerate(holes[:at]) if hole[2] is not None)
    rear = tuple((literals[at + 1 + n], hole[2]) for n, hole in enumerate(holes[at + 1 :]) if hole[2] is not None)
    return Template(before, after, len(before), -len(after), _reader(front, rear[::-1]))


def _holes(
    data: bytes, event: dict[str, Any], text: str, loose: tuple[str, ...], padded: bool
) -> tuple[list[_Hole], dict[str, int | str]]:
    """Where the text and all that may vary stand, in order; and what the loose fields would be after the proof's change.
    Raises ValueError where one is not found.
    """
    quoted = orjson.dumps(text)
    at = data.index(quoted)
    holes: list[_Hole] = [(at, at + len(quoted), None, orjson.dumps(text + "."))]
    fields: dict[str, int | str] = {}
    for name in loose:
        value = event.get(name)
        if isinstance(value, bool) or not isinstance(value, int | str):
            continue
        other = value + 1 if isinstance(value, int) else value + "x"
        pattern = _NUMBER if isinstance(value, int) else _LETTERS
        token = orjson.dumps(value)
        start = data.index(token, data.index(b'"%b":' % name.encode()))
        if not pattern.fullmatch(token):
            raise ValueError(f"{name} is no plain value")
        fields[name] = other
        holes.append((start, start + len(token), pattern, orjson.dumps(other)))
    if padded and data[-1:] == b"}":
        inside = data[:-1].rstrip(b" ")
        holes.append((len(inside), len(data) - 1, _BLANKS, b" "))
    return sorted(holes, key=lambda hole: hole[0]), fields


def _between(data: bytes, holes: list[_Hole]) -> list[bytes]:
    """What stands before, between and after the holes. Raises ValueError where holes overlap."""
    edges = [0, *(edge for hole in holes for edge in hole[:2]), len(data)]
    if any(a > b for a, b in pairwise(edges)):
        raise ValueError("two things in one place")
    return [data[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _reader(front: _Literals, rear: _Literals) -> Callable[[bytes], Any]:
    """Takes the holes before the text off from the left and those after it from the right, so that no text can mislead it."""

    def read(inner: bytes) -> Any:
        for literal, pattern in front:
            hole, _, inner = inner.partition(literal)
            if not pattern.fullmatch(hole):
                return None
        for literal, pattern in rear:
            inner, _, hole = inner.rpartition(literal)
            if not pattern.fullmatch(hole):
                return None
        return orjson.loads(inner) if inner[:1] == b'"' == inner[-1:] else None

    return read
