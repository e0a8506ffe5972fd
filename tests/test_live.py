"""What a person sees while a run goes."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from console import live
from generator.job import Length, Step, WorkloadSpec
from generator.progress import Progress

WORKLOAD = WorkloadSpec("synthetic", Length("fixed", 8), Length("fixed", 8))
OPEN = Step(1, "poisson 20/s", "target", "poisson", WORKLOAD, (1, 2), rate_rps=20.0)
CLOSED = Step(0, "5 slots", "target", "closed", WORKLOAD, (1, 2), concurrency=5, planned_arrivals=40)


def moment(**changes: object) -> Progress:
    values: dict[str, object] = {
        "phase": "step",
        "step": OPEN,
        "steps": 3,
        "elapsed_s": 12.0,
        "step_elapsed_s": 4.0,
        "step_expected_s": 30.0,
        "left_s": 64.0,
        "due": 80,
        "step_issued": 80,
        "step_done": 70,
        "sent": 200,
        "done": 190,
        "in_flight": 10,
        "tokens": 4000,
        "sent_per_s": 19.5,
        "tokens_per_s": 812.0,
        "ttft_p50_ms": 81.25,
        "ttft_p99_ms": 1234.0,
        "late_1ms": 0,
        "outcomes": {"ok": 185, "rate_limited": 4, "timeout": 1, "dropped": 0},
    }
    return Progress(**(values | changes))  # type: ignore[arg-type]  # the values above are of the right kinds


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_holds_what_matters() -> None:
    """Step, rates, in flight, TTFT, errors by kind with the most frequent first, and the time left stand in one line."""
    text = live.line(moment(late_1ms=3))
    assert "step 2/3 poisson 20/s" in text
    assert "19.5 req/s sent · 10 in flight · 190 done · 812 tokens/s" in text
    assert "TTFT p50 81.2 ms p99 1.23 s" in text
    assert text.index("4 rate_limited") < text.index("1 timeout")
    assert "3 issued over 1 ms late" in text
    assert text.endswith("64 s left")
    assert "dropped" not in text


def test_a_line_leaves_out_what_is_not_known() -> None:
    """Before the first token, and where the end cannot be told, nothing is made up."""
    text = live.line(moment(ttft_p50_ms=None, ttft_p99_ms=None, left_s=None, outcomes={"ok": 1}))
    assert "TTFT" not in text
    assert "left" not in text


def test_lines_are_few_but_notes_are_all_there() -> None:
    """Without a terminal a stage prints once and then every few seconds; a note is printed at once and never dropped."""
    out = io.StringIO()
    with live.watching("quick", quiet=False, stream=out) as watch:
        watch(moment())
        watch(moment(notes=("worker 1 died",)))
        watch(moment(step=CLOSED))
    assert [line.split(" · ")[0].strip() for line in out.getvalue().splitlines()] == [
        "12.0 s",
        "note: worker 1 died",
        "12.0 s",
    ]


def test_quiet_is_quiet() -> None:
    """--no-live prints nothing, on a terminal or off it."""
    for out in (io.StringIO(), Terminal()):
        with live.watching("quick", quiet=True, stream=out) as watch:
            watch(moment(notes=("worker 1 died",)))
        assert out.getvalue() == ""


def test_the_panel_draws_at_most_four_times_a_second() -> None:
    """However often the coordinator calls, the terminal is written to once in a quarter of a second."""
    out = Terminal()
    with live.watching("quick", quiet=False, stream=out) as watch:
        watch(moment())
        once = len(out.getvalue())
        for _ in range(100):
            watch(moment())
        assert len(out.getvalue()) == once


@pytest.mark.parametrize(
    ("p", "words"),
    [
        (moment(), ["poisson 20/s", "20/s", "81.2 ms", "4 rate_limited"]),
        (moment(step=CLOSED, step_expected_s=None), ["5 slots", "step 1/3"]),
        (moment(phase="starting", step=None, outcomes={}), ["starting", "no errors"]),
    ],
)
def test_the_panel_draws_every_kind_of_moment(p: Progress, words: list[str]) -> None:
    """Open and closed steps, and moments without a step, are drawn with their own words."""
    out = io.StringIO()
    Console(file=out, width=160).print(live.picture("quick", p))
    for word in words:
        assert word in out.getvalue()


@pytest.mark.parametrize(
    ("s", "text"),
    [(-1, "0 s"), (9.4, "9 s"), (99, "99 s"), (245, "4:05 min"), (3600, "1:00:00 h"), (3723, "1:02:03 h")],
)
def test_spans_are_said_as_a_person_says_them(s: float, text: str) -> None:
    """Seconds, then minutes, then hours."""
    assert live.span(s) == text
