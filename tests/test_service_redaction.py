"""Keys in what the service says of a run that died: taken out of its log's tail, by value and by form."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import pytest
from services import LONG, over, served, submitted
from test_service_queue import sent
from whole_runs import until

from console.web import redaction, runs

VALUE = 'pa"ss/wörd+1'


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", VALUE)
    monkeypatch.setenv("SHORT", "a")


@pytest.mark.parametrize("spelling", [VALUE, json.dumps(VALUE), quote(VALUE, safe=""), repr(VALUE)])
def test_values_go_however_they_are_spelt(spelling: str) -> None:
    """The variable's name stands in place of its value; a value of one character is no key."""
    told = redaction.without_values(f"a header: {spelling}!", ["OURS", "SHORT", "UNSET"])
    assert "${OURS}" in told
    assert VALUE not in told
    assert spelling not in told
    assert told.startswith("a header")


@pytest.mark.parametrize(
    "key",
    [
        "sk-proj-abcDEF0123456789abcDEF",
        "sk-ant-api03-0123456789abcdef_XYZ",
        "gsk_0123456789abcdefghij",
        "hf_abcdefghij0123456789",
        "0123456789abcdef0123456789abcdef0123456789abcdef",
        "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY0NQ==",
    ],
)
def test_what_looks_like_a_key_goes(key: str) -> None:
    """Whatever variable it came from, and whether or not that still has this value."""
    for text in (f"refused: {key}", f"{{'x-api-key': '{key}'}}", f"Authorization: Bearer {key}"):
        assert key not in redaction.without_keys(text, [])


@pytest.mark.parametrize(
    "text",
    [
        'File "/usr/local/lib/python3.11/site-packages/console/web/child.py", line 51, in main',
        "run my-benchmark-of-today-20261122-080000-abc123 was cut after 1234567 tokens, first token: cancelled",
        "api_key: ${OPENAI_API_KEY} is not set",
    ],
)
def test_what_is_no_key_stays(text: str) -> None:
    """Paths, ids and names of variables are what a reader needs."""
    assert redaction.without_keys(text, []) == text


def test_the_tail_of_a_log_is_cleaned_before_it_is_cut(tmp_path: Path) -> None:
    """Half of a key would not be known for one: wherever the cut falls, nothing of the value is left."""
    for more in range(280, 320):
        (tmp_path / "child.log").write_text("x" * 70_000 + f" {VALUE} " + "y " * (more // 2))
        words = runs.last_words(tmp_path, ["OURS"])
        assert len(words) <= 300
        assert not any(VALUE[n:] in words for n in range(len(VALUE) - 4))
    assert runs.last_words(tmp_path / "none", []) == ""


def test_a_run_that_dies_tells_no_key(tmp_path: Path) -> None:
    """What a killed run's process had written is part of the benchmark's error, without the keys that it was given or quotes."""
    keys = {"OURS": "value-of-OURS", "OLD": "sk-0123456789abcdefghij"}
    target = {"url": "simulator", "simulator": {"ttft": "5ms", "itl": "1ms"}, "headers": {"x-ours": "${OURS}"}}
    with served(tmp_path, "--allow-env", "OURS", **keys) as s:
        cut = submitted(s.client, scenario=LONG | {"target": target}, name="cut")
        until(lambda: sent(s.client, cut) > 5, "some requests")
        with (tmp_path / "runs" / ".service" / "benchmarks" / cut / "child.log").open("a") as log:
            log.write(f"Traceback: refused {keys['OURS']} and {keys['OLD']}\n")
        for process in s.children("console.web.child"):
            process.kill()
        error = over(s.client, cut)["error"]
    assert "refused ${OURS} and [redacted]" in error
    assert not any(key in error for key in keys.values())
