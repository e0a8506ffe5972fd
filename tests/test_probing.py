"""What the probe learns, and when it stops a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plans import folder, plan, step

from generator.job import Length, WorkloadSpec
from generator.probing import LONG_TOKENS, SHORT_TOKENS, correction, hopeless, probe_workload


def probe(words: int | None = 16, tokens: int | None = 24, **more: Any) -> dict[str, Any]:
    usual = {
        "outcome": "ok",
        "status": 200,
        "words": words,
        "input_tokens": tokens,
        "error": None,
        "unreachable": False,
    }
    return usual | more


@given(st.integers(0, 300), st.floats(0.2, 4.0))
def test_the_line_is_found(overhead: int, slope: float) -> None:
    """Counts that lie on a line give its overhead and slope; a wanted length then comes out within half a percent."""
    probes = [probe(n, round(overhead + slope * n)) for n in (160, 2560, 160, 2560)]
    learned = correction(probes)
    assert learned is not None
    assert learned.tokens_per_word == pytest.approx(slope, abs=0.001)
    assert learned.overhead_tokens == pytest.approx(overhead, abs=1.5)
    words = learned.words_for(5000)
    assert abs(overhead + slope * words - 5000) <= 25 + slope


def test_least_squares_of_three() -> None:
    """By hand: (1, 12), (2, 13), (3, 15) has slope 1.5 and overhead 31/3."""
    learned = correction([probe(1, 12), probe(2, 13), probe(3, 15)])
    assert learned is not None
    assert learned.tokens_per_word == pytest.approx(1.5)
    assert learned.overhead_tokens == pytest.approx(31 / 3)


def test_one_length_tells_the_overhead_alone() -> None:
    """With one probe a word is taken as a token, which is what the word list is made of."""
    learned = correction([probe(16, 24)])
    assert learned is not None
    assert (learned.overhead_tokens, learned.tokens_per_word) == (8, 1)


@pytest.mark.parametrize(
    "probes",
    [[], [probe(None, 30)], [probe(16, None)], [probe(16, 300), probe(256, 20)]],
    ids=["none", "dataset", "no usage", "falling"],
)
def test_nothing_to_learn(probes: list[dict[str, Any]]) -> None:
    """No words, no counts, or counts that fall as prompts grow: no correction rather than a wrong one."""
    assert correction(probes) is None


REFUSED = {
    "outcome": "connect_error",
    "status": None,
    "error": "connect: 127.0.0.1 port 9: Connection refused",
    "unreachable": True,
}
DENIED = {"outcome": "client_error", "status": 401, "error": "invalid_api_key: no"}
AWAY = {"outcome": "client_error", "status": 404, "error": "model_not_found: no"}
LIMITED = {"outcome": "rate_limited", "status": 429, "error": "slow down"}
BLACK_HOLE = {"outcome": "timeout", "status": None, "error": "connect: no connection within 10 s", "unreachable": True}


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([REFUSED] * 3, ["'t'", "cannot be reached", "Connection refused"]),
        ([BLACK_HOLE] * 3, ["cannot be reached", "no connection within 10 s"]),
        ([DENIED] * 3, ["401", "key is refused", "invalid_api_key"]),
        ([AWAY], ["404", "no such path or model"]),
        ([DENIED, AWAY], ["401"]),
    ],
)
def test_hopeless(answers: list[dict[str, Any]], words: list[str]) -> None:
    """Every probe refused in a way that more requests cannot mend: the run stops, in words that name target and reason."""
    text = hopeless("t", [probe(**answer) for answer in answers])
    assert text is not None
    assert all(word in text for word in words)


@pytest.mark.parametrize(
    "answers", [[], [{}], [REFUSED, {}], [LIMITED] * 3, [DENIED, LIMITED], [{"outcome": "server_error", "status": 500}]]
)
def test_not_hopeless(answers: list[dict[str, Any]]) -> None:
    """One good answer, a rate limit or a server's error may pass: the run goes on and measures it."""
    assert hopeless("t", [probe(**answer) for answer in answers]) is None


def test_probes_are_short_and_long_by_turns(tmp_path: Path) -> None:
    """Two lengths give a line; the answers asked for are short; a dataset keeps its own prompts."""
    made = step()
    run = folder(tmp_path, plan(made))
    wanted = [probe_workload(made, run, n, 3).prompt(n).input_tokens for n in range(3)]
    assert wanted == [SHORT_TOKENS, LONG_TOKENS, SHORT_TOKENS]
    assert probe_workload(made, run, 0, 1).prompt(0).input_tokens == LONG_TOKENS
    data = tmp_path / "prompts.jsonl"
    data.write_text('{"prompt": "mine"}\n')
    own = step(workload=WorkloadSpec("data", None, Length("fixed", value=900), dataset=str(data)))
    prompt = probe_workload(own, run, 0, 3).prompt(0)
    assert (prompt.text, prompt.output_tokens) == ("mine", 16)
