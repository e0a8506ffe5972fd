"""Was each step in a steady state? Percentiles of one that was not depend on how long it was."""

from __future__ import annotations

from collections.abc import Iterator

from analysis.rules.rule import Evidence, Row, Rule, ms

LEAST_N = 100
LIMIT = "no rise beyond chance, and beyond 5 %; a warm-up that ends before half of the window"

_NAMES = {"ttft": "TTFT", "in_flight": "in flight"}
_SELDOM_MATTERS = 0.05
"""A warm-up that differs from the rest by less is left in peace: cutting it off moves no figure that anybody reads."""


def rules(evidence: Evidence) -> Iterator[Rule]:
    found = evidence.rows("steadiness")
    for step in evidence.rows("step_windows"):
        series = sorted(
            (r for r in found if r["step_id"] == step["step_id"]), key=lambda r: str(r["series"]), reverse=True
        )
        judged = [r for r in series if r["t"] is not None]
        if judged:
            yield _steady(step, judged)
        else:
            yield Rule("steady", "WITHHELD", step["step_id"], _unjudged(step, series), LIMIT, "nothing to do", False)


def _unjudged(step: Row, series: list[Row]) -> str:
    if step["arrivals"] == "trace":
        return "not judged: a trace repeats what was, steady or not"
    if not series and (step["rate_end_rps"] is not None or step["concurrency_end"] is not None):
        return "not judged: a ramp is not meant to be steady"
    return f"not judged: {max((r['n'] for r in series), default=0):,} requests, fewer than {LEAST_N}"


def _steady(step: Row, series: list[Row]) -> Rule:
    broken = [r for r in series if not r["steady"]]
    figure = "; ".join(_told(r) for r in broken or series)
    return Rule("steady", "WITHHELD", step["step_id"], figure, LIMIT, _advice(step, series, broken), bool(broken))


def _told(row: Row) -> str:
    """The slope over what is left, and what MSER-5 would cut off before it."""
    name = _NAMES[row["series"]]
    slope = f"{name} {_change(row['rise'], row['level'])} over the step, from {_size(row, row['level'])} on average (t {row['t']:.1f})"
    if row["at_bound"]:
        return f"{slope}, and no end of its warm-up in sight"
    return f"{slope}, after {row['warmup_s']:.2g} s at {_size(row, row['before'])}" if _matters(row) else slope


def _change(rise: float, level: float) -> str:
    return f"{rise / level:+.1%}" if level else f"{rise:+.3g}"


def _size(row: Row, value: float) -> str:
    return ms(value) if row["series"] == "ttft" else f"{value:.3g} requests"


def _advice(step: Row, series: list[Row], broken: list[Row]) -> str:
    if any(r["rising"] for r in broken):
        return (
            "p99 is withheld: it would grow with the step. The target cannot keep up with this load, or it slows down as it goes: offer "
            "less, or find out what drifts"
        )
    if broken:
        return "p99 is withheld: the step ends before it settles. Make it longer, with a warm-up"
    cut_s = max((r["warmup_s"] for r in series if _matters(r)), default=0.0)
    if cut_s:
        return f"MSER-5 suggests warmup: {step['warmup_ns'] / 1e9 + cut_s:.2g}s for this step"
    return "nothing to do"


def _matters(row: Row) -> bool:
    if row["before"] is None or not row["after"]:
        return False
    return abs(float(row["before"]) / float(row["after"]) - 1) > _SELDOM_MATTERS
