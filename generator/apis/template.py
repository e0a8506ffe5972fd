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

from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

Reader = Callable[[bytes], Any]
"""Bytes → the text as a str; something else, or ValueError, where they do not fit."""

_TEXT, _NUMBER, _LETTERS, _BLANKS = range(4)
_ZERO = ord("0")  # no number of JSON begins so but 0 itself
_DIGITS = 18  # of a number; more are for the full parse, which may refuse them

_Hole = tuple[int, int, int, bytes]
"""Where it begins and ends (quotes left outside), what stands in it, and something else to put there for the proof."""


class Template(NamedTuple):
    """``before`` and ``after`` are the bytes that stay; ``read`` makes the text of what is in ``[start:stop]``."""

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
    edges = [0, *(edge for hole in holes for edge in hole[:2]), len(data)]
    literals = [data[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)]
    others = [*(hole[3] for hole in holes), b""]
    changed = orjson.loads(b"".join(b"".join(pair) for pair in zip(literals, others, strict=True)))
    if read(changed) != text + "." or any(changed[name] != value for name, value in fields.items()):
        return NO_TEMPLATE
    if not all(literals):
        return NO_TEMPLATE  # two holes with nothing between: no telling where one ends
    kinds = [hole[2] for hole in holes]
    before, after = literals[0], literals[-1]
    # The text's own quotes belong to what must fit, and to what is parsed.
    start, stop = len(before) - (kinds[0] == _TEXT), (kinds[-1] == _TEXT) - len(after)
    return Template(before, after, start, stop, _reader(literals[1:-1], kinds))


def _holes(
    data: bytes, event: dict[str, Any], text: str, loose: tuple[str, ...], padded: bool
) -> tuple[list[_Hole], dict[str, int | str]]:
    """Where the text and all that may vary stand, in order; and what the loose fields would be after the proof's change.
    Raises ValueError where one is not found.
    """
    quoted = orjson.dumps(text)
    at = data.index(quoted)
    holes: list[_Hole] = [(at + 1, at + len(quoted) - 1, _TEXT, quoted[1:-1] + b".")]
    fields: dict[str, int | str] = {}
    for name in loose:
        value = event.get(name)
        if isinstance(value, bool) or not isinstance(value, int | str):
            continue
        token = orjson.dumps(value)
        start = data.index(token, data.index(b'"%b":' % name.encode()))
        if isinstance(value, int):
            fields[name] = value + 1
            holes.append((start, start + len(token), _NUMBER, orjson.dumps(value + 1)))
        else:
            fields[name] = value + "x"
            holes.append((start + 1, start + len(token) - 1, _LETTERS, token[1:-1] + b"x"))
    if padded and data[-1:] == b"}":
        holes.append((len(data[:-1].rstrip(b" ")), len(data) - 1, _BLANKS, b" "))
    return sorted(holes), fields


def _reader(literals: list[bytes], kinds: list[int]) -> Reader:
    """Takes the holes before the text off from the left and those after it from the right, so that no text can mislead it."""
    at = kinds.index(_TEXT)
    then: Reader = orjson.loads
    for n in range(at, len(literals)):
        take = _before_blanks if kinds[n + 1] == _BLANKS else _before
        then = take(literals[n], kinds[n + 1], n == at, then)
    for n in range(at - 1, -1, -1):
        then = _after(literals[n], kinds[n], n + 1 == at, then)
    return then


def _after(literal: bytes, kind: int, text_next: bool, then: Reader) -> Reader:
    """What follows a hole and ``literal``."""
    size = len(literal) - text_next
    number = kind == _NUMBER
    width = 1  # of the hole; a counter's changes seldom

    def read(inner: bytes) -> Any:
        nonlocal width
        if not inner.startswith(literal, width):
            at = inner.find(literal)
            if at < 1:
                return None
            width = at
        hole = inner[:width]
        if number:
            if not hole.isdigit() or (width > 1 and (hole[0] == _ZERO or width > _DIGITS)):
                return None
        elif not hole.isalnum():
            return None
        return then(inner[width + size :])

    return read


def _before(literal: bytes, kind: int, text_next: bool, then: Reader) -> Reader:
    """What is before ``literal`` and a hole at the end."""
    size = len(literal)
    number = kind == _NUMBER

    def read(inner: bytes) -> Any:
        at = inner.rfind(literal)
        hole = inner[at + size :]
        if at < 0:
            return None
        if number:
            if not hole.isdigit() or (len(hole) > 1 and (hole[0] == _ZERO or len(hole) > _DIGITS)):
                return None
        elif hole and not hole.isalnum():
            return None
        return then(inner[: at + text_next])

    return read


def _before_blanks(literal: bytes, _kind: int, text_next: bool, then: Reader) -> Reader:
    """As ``_before``, quicker."""
    stop = text_next - len(literal) or None

    def read(inner: bytes) -> Any:
        inner = inner.rstrip(b" ")
        return then(inner[:stop]) if inner.endswith(literal) else None

    return read
