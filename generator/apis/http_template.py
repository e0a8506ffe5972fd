"""A JSON template: a document of the user's whose strings may hold ``{{placeholders}}``.

Values are put in as JSON values, never as text into JSON that is already written, so no prompt can break out of its string; and
what a value says is never read as a template again.

- A string that is one placeholder and nothing else becomes its value, with the value's kind: ``"{{max_tokens}}"`` is a number,
  ``"{{record}}"`` an object. A value that is not there takes its key out of the object, and is ``null`` in a list.
- A placeholder inside a longer string becomes text: a string as it is, ``null`` and what is not there nothing, all else its JSON.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import orjson

from generator.apis.json_path import MISSING, JsonPath

NAMES = ("prompt", "record", "payload", "messages", "model", "max_tokens", "stream")
"""``record`` and ``payload`` may go on as a JSONPath does: ``record.question``, ``record.turns[0]['text']``."""

BODILESS = ("GET", "DELETE")
"""Methods whose requests have a body only where it is written out."""

_PLACEHOLDER = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_NAME = re.compile(r"([A-Za-z_]+)(.*)\Z", re.DOTALL)

Values = Mapping[str, Any]
Fill = Callable[[Values], Any]


def compiled(template: Any) -> Fill:
    """A function from the values of NAMES to the document. Raises ValueError for a placeholder that is not known."""
    if isinstance(template, str):
        return _string(template)
    if isinstance(template, dict):
        entries = [(key, compiled(value)) for key, value in template.items()]
        return lambda values: {key: v for key, fill in entries if (v := fill(values)) is not MISSING}
    if isinstance(template, list):
        items = [compiled(value) for value in template]
        return lambda values: [None if (v := fill(values)) is MISSING else v for fill in items]
    return lambda _: template


def path(template: str) -> Callable[[Values], str]:
    """A function to the path and query of a URL; what placeholders become is percent-encoded, ``/`` and ``&`` too. Raises as above."""
    parts = [quote(part, safe="/?:@!$&'()*+,;=~-._%") if isinstance(part, str) else part for part in _parts(template)]
    if all(isinstance(part, str) for part in parts):
        whole = "".join(part for part in parts if isinstance(part, str))
        return lambda _: whole
    return lambda values: "".join(
        part if isinstance(part, str) else quote(text(part(values)), safe="", errors="surrogatepass") for part in parts
    )


def names(template: Any) -> set[str]:
    """Which of NAMES a template asks for."""
    if isinstance(template, str):
        split = (_NAME.match(found.group(1)) for found in _PLACEHOLDER.finditer(template))
        return {s.group(1) for s in split if s}
    inner = template.values() if isinstance(template, dict) else template if isinstance(template, list) else ()
    return {name for value in inner for name in names(value)}


def lacking(template: Any, values: Values) -> set[str]:
    """The placeholders, as they are written, that have no value."""
    if isinstance(template, str):
        found = list(_PLACEHOLDER.finditer(template))
        return {f.group() for f in found if _look_up(f.group(1), f.group())(values) is MISSING}
    inner = template.values() if isinstance(template, dict) else template if isinstance(template, list) else ()
    return {shown for value in inner for shown in lacking(value, values)}


def text(value: Any) -> str:
    """What a JSON value is inside a string."""
    if isinstance(value, str):
        return value
    return "" if value is None or value is MISSING else dumps(value).decode()


def dumps(value: Any) -> bytes:
    """JSON; what orjson refuses (lone surrogates, integers beyond 64 bits) as Python's own encoder writes it, escaped."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode()


def _string(template: str) -> Fill:
    parts = _parts(template)
    if len(parts) == 1:
        (only,) = parts
        return only if not isinstance(only, str) else lambda _: template
    return lambda values: "".join(part if isinstance(part, str) else text(part(values)) for part in parts)


def _parts(template: str) -> list[str | Fill]:
    """Literal texts, none of them empty, and look-ups, in order; at least one."""
    parts: list[str | Fill] = []
    at = 0
    for found in _PLACEHOLDER.finditer(template):
        parts += [template[at : found.start()], _look_up(found.group(1), found.group())]
        at = found.end()
    parts.append(template[at:])
    return [part for part in parts if part != ""] or [""]


def _look_up(expression: str, shown: str) -> Fill:
    split = _NAME.match(expression)
    name, rest = split.groups() if split else (expression, "")
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, 1, 0.5)
        hint = f"; nearest: {near[0]}" if near else ""
        raise ValueError(f"{shown}: unknown placeholder{hint} (known: {', '.join(NAMES)}, record.FIELD, payload.FIELD)")
    if not rest:
        return lambda values: values.get(name, MISSING)
    if name not in ("record", "payload"):
        raise ValueError(f"{shown}: only record and payload have fields")
    inner = JsonPath(f"${rest}")
    if inner.keys is None:
        raise ValueError(f"{shown}: a placeholder names one value; wildcards, slices and filters may match several")
    return lambda values: inner.first(values.get(name, MISSING))
