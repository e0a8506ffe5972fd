"""Keys taken out of text that leaves a process of the service: error messages, tails of logs.

By the values of the variables that the process was given, as they are and as JSON, a URL or ``repr`` spell them. In a log also by the form
of keys, because the variable may have another value by now than when the log was written.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from urllib.parse import quote

GIVEN = "OPENLOOP_GIVEN"
"""Variable that tells a process of the service which others of its environment were given to it, with commas between."""

_LEAST = 4
"""A shorter value is no key; taken out wherever it occurs, it would make the text unreadable."""

_BEARER = re.compile(r"(?i)\b((?:bearer|basic)\s+)[\w.~+/=-]{8,}")
_NAMED = re.compile(r"(?i)((?:api[-_]?key|secret|password)[\"']?\s*[:=]\s*[\"']?)(?!\$\{)[^\s\"',;]{8,}")
_PREFIX = r"\b(?:sk|pk|gsk|xai|hf|r8|nvapi|pplx|fw|csk|tgp|AIza)"
_LONG = re.compile(r"()(?<![\w+/.-])(?=[A-Za-z+]*\d)[A-Za-z0-9+]{40,}={0,2}")
"""Base64 and hexadecimal of 30 bytes or more; runs' ids and paths have something else in between."""

_FORMS = (_BEARER, _NAMED, re.compile(rf"(){_PREFIX}[-_]?(?=[\w-]*\d)[\w-]{{16,}}"), _LONG)

_SURE = re.compile(rf"{_PREFIX}[\w-]*?(?=\w*\d)\w{{16,}}")
"""A provider's key, and no name of words such as ``hf-llama-3-8b-instruct``: that many characters are in one piece."""


def without_given(text: str) -> str:
    """``text`` as this process may say it: without the values that it was given."""
    return without_values(text, filter(None, os.environ.get(GIVEN, "").split(",")))


def without_values(text: str, names: Iterable[str]) -> str:
    """``text`` with ``${NAME}`` in place of the values of these variables."""
    spelt = {
        spelling: name
        for name in names
        if len(value := os.environ.get(name, "")) >= _LEAST
        for spelling in (value, json.dumps(value)[1:-1], quote(value, safe=""), repr(value)[1:-1])
    }
    # The longest first: a value may be the beginning of another.
    for spelling in sorted(spelt, key=len, reverse=True):
        text = text.replace(spelling, f"${{{spelt[spelling]}}}")
    return text


def without_keys(text: str, names: Iterable[str]) -> str:
    """As ``without_values``, with ``[redacted]`` in place of all that looks like a key: of what other programs wrote into a log."""
    text = without_values(text, names)
    for form in _FORMS:
        text = form.sub(r"\1[redacted]", text)
    return text


def is_key(text: str, name: str = "", *, alone: bool = False) -> bool:
    """Whether ``text``, which stands under ``name``, has the form of a key. ``alone``: it is no prose and no data, so whatever follows
    ``Bearer`` or is long and random is one as well.
    """
    forms = (_SURE, _BEARER, _LONG) if alone else (_SURE,)
    return any(form.search(text) for form in forms) or _NAMED.search(f"{name}: {text}") is not None
