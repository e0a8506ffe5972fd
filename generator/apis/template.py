"""A short cut through JSON that is still exact: the chunks of one answer mostly differ in a single string.

Once one chunk has been parsed and its text found in its bytes, everything before and after that string is known. A later
chunk with the same bytes before and after, and one JSON string between, has the same meaning but for the string: a string
is one token of JSON's grammar, so replacing it by another string changes nothing else. Parsing a string of a few
characters costs a tenth of parsing the chunk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

Template = tuple[bytes, bytes]
"""The bytes before and after the string."""

NO_TEMPLATE: Template = (b"\0", b"\0")
"""No JSON begins or ends so: nothing fits."""


def learn(data: bytes, text: str, read: Callable[[Any], Any]) -> Template:
    """The bytes of ``data`` around ``text``, which ``read`` takes out of the parsed document; NO_TEMPLATE if not found.

    The place is proven, not guessed: another string is put there, and ``read`` must give exactly that one back.
    """
    other = text + "."
    try:
        quoted = orjson.dumps(text)
        at = data.find(quoted)
        if at < 0:
            return NO_TEMPLATE
        before, after = data[:at], data[at + len(quoted) :]
        found = read(orjson.loads(before + orjson.dumps(other) + after))
    except (ValueError, LookupError, TypeError):
        return NO_TEMPLATE
    return (before, after) if found == other else NO_TEMPLATE


def fit(data: bytes, template: Template) -> int:
    """Characters of the string that ``data`` has in the template's place; 0 if it is empty, or if ``data`` does not fit."""
    before, after = template
    if not (data.startswith(before) and data.endswith(after)):
        return 0
    try:
        text = orjson.loads(data[len(before) : len(data) - len(after)])
    except ValueError:
        return 0
    return len(text) if isinstance(text, str) else 0
