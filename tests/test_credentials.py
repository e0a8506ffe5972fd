"""Secrets: put in where they are needed, taken out of everything that is written."""

from __future__ import annotations

import pytest
from plans import plan, step, target

from generator import job
from generator.credentials import resolve_plan
from generator.recording.request_row import Redactor

KEY = "sk-0123456789abcdef"


def test_names_become_values_everywhere_in_a_target() -> None:
    """Key, headers, body at any depth, TLS files and URL; what is no name is left alone, and so is the plan itself."""
    there = target(
        url="http://${HOST}/v1",
        api_key="${KEY}",
        headers={"x-a": "Bearer ${KEY}", "x-b": "$KEY ${OTHER}"},
        body={"a": [{"b": "${KEY}"}, 3], "c": None},
        tls=job.Tls(ca="${DIR}/ca.pem"),
    )
    made = plan(step(), targets={"t": there})
    found = resolve_plan(made, {"${KEY}": KEY, "${HOST}": "h", "${DIR}": "/d"}).targets["t"]
    assert (found.url, found.api_key, found.tls.ca) == ("http://h/v1", KEY, "/d/ca.pem")
    assert found.headers == {"x-a": f"Bearer {KEY}", "x-b": "$KEY ${OTHER}"}
    assert found.body == {"a": [{"b": KEY}, 3], "c": None}
    assert found.timeouts == there.timeouts
    assert made.targets["t"].api_key == "${KEY}"
    assert resolve_plan(made, {}) == made


def test_a_value_that_looks_like_a_name_stays_as_it_is() -> None:
    """Values are put in once: a key that holds ${B} is a key that holds ${B}."""
    made = plan(step(), targets={"t": target(api_key="${A}${B}")})
    assert resolve_plan(made, {"${A}": "x${B}", "${B}": "y"}).targets["t"].api_key == "x${B}y"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (None, None),
        ("", ""),
        ("nothing here", "nothing here"),
        (f"key {KEY} refused, {KEY}!", "key [redacted] refused, [redacted]!"),
        (f"it ends with {KEY[:9]}…", "it ends with [redacted]"),
        (f"it ends with {KEY[:9]}", "it ends with [redacted]"),
        ("ends with sk-", "ends with sk-"),
    ],
)
def test_secrets_are_taken_out_by_value(text: str | None, clean: str | None) -> None:
    """Wherever they stand, the first part of one too, where a message was cut to its length in the midst of it."""
    assert Redactor([KEY]).clean(text) == clean


def test_the_longer_secret_goes_first() -> None:
    """Of a secret that begins with another nothing is left over; one of under four characters would blank out words."""
    assert Redactor(["abcd", "abcdefgh", "x"]).clean("abcdefgh abcd x") == "[redacted] [redacted] x"
