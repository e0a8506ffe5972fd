"""Numbers as people read them: three significant digits, units left to the label beside them, a dash for what is not there."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

NOTHING = "–"

METRICS = {
    "ttft_ms": "TTFT",
    "ttft_wire_ms": "TTFT from send",
    "ttfo_ms": "TTFO",
    "tpot_ms": "TPOT",
    "icl_ms": "ICL",
    "e2e_ms": "E2E",
    "lateness_ms": "lateness",
}
"""Latency metrics of a step, each with the short name that tables and charts give it."""

PERCENTILES = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99_9": 0.999}


def number(value: float | None, digits: int = 3) -> str:
    """Three significant digits (or ``digits``), thousands with commas, never an exponent; ``–`` for None and NaN."""
    if value is None or math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits}g}")
    decimals = min(max(0, digits - 1 - math.floor(math.log10(abs(rounded)))), 6)
    return f"{value:,.{decimals}f}".replace("-", "−")


def brief(value: float | None, digits: int = 4) -> str:
    """As ``number``, without zeros at the end: for settings and counts, which were not measured."""
    text = number(value, digits)
    return text.rstrip("0").rstrip(".") if "." in text else text


def count(value: float | None) -> str:
    """A whole number with commas."""
    return NOTHING if value is None else f"{round(value):,}"


def share(value: float | None) -> str:
    """A fraction as per cent. Never rounds up to 100 % what is not whole, nor down to 0 % what is something."""
    if value is None or math.isnan(value):
        return NOTHING
    if value in {0, 1}:
        return f"{value * 100:.0f} %"
    if value > 1:
        return f"{value * 100:.1f} %"
    clipped = min(max(value * 100, 0.01), 99.99)
    return f"{clipped:.2f} %" if clipped < 1 or clipped > 99 else f"{clipped:.1f} %"


def seconds(value: float | None) -> str:
    """A duration: ``420 ms``, ``12.5 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if value is None or math.isnan(value):
        return NOTHING
    if value < 1:
        return f"{number(value * 1000)} ms"
    if value < 60:
        return f"{number(value)} s"
    minutes, rest_s = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest_s:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def size(value: float | None) -> str:
    """Bytes in binary units."""
    if value is None:
        return NOTHING
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{number(value)} {unit}"
        value /= 1024
    return f"{number(value)} TiB"


def moment(created: Any) -> str:
    """RFC 3339 → ``2026-11-21 22:14:05 UTC``; text that is no time comes back as it is."""
    try:
        when = datetime.fromisoformat(str(created))
    except ValueError:
        return str(created)
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def load(step: dict[str, Any]) -> str:
    """What a step asked of the target: ``poisson 20/s``, ``poisson 10 → 50/s``, ``closed 64``; of conversations ``poisson 2 sessions/s``."""
    unit = " sessions" if step.get("session_turns") else ""
    if step.get("arrivals") == "closed":
        end = step.get("concurrency_end")
        return f"closed {span(step.get('concurrency'), end)}{unit}"
    if step.get("rate_rps") is None:
        return f"{step.get('arrivals')}{unit}"
    return f"{step['arrivals']} {span(step['rate_rps'], step.get('rate_end_rps'))}{unit}/s"


def span(first: float | None, last: float | None) -> str:
    """One value, or two with an arrow between them."""
    return brief(first) if last is None or last == first else f"{brief(first)} → {brief(last)}"


def signed_share(value: float | None) -> str:
    """An error as per cent with its sign; ``0 %`` is exactly none."""
    if value is None or math.isnan(value):
        return NOTHING
    return "0 %" if value == 0 else f"{'+' if value > 0 else '−'}{number(abs(value) * 100)} %"


def adjusted_row(summary: dict[str, Any]) -> dict[str, Any]:
    """The adjusted percentiles of a metric in the shape of the plain ones, for a table that shows both."""
    blank: dict[str, Any] = dict.fromkeys(("mean", "min", "max", *PERCENTILES)) | {"n": None}
    prefix = "adjusted."
    reasons = {k.removeprefix(prefix): v for k, v in summary["withheld"].items() if k.startswith(prefix)}
    return blank | {k: v for k, v in summary["adjusted"].items() if k in PERCENTILES} | {"withheld": reasons}


def printable(text: Any) -> str:
    """Text without characters that steer a terminal or break a line: each becomes its Python escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def own_error(generator: dict[str, Any]) -> str:
    """The generator's own error in a line, to stand beside the latency that it reports."""
    late = f"p99 {number(generator['lateness_p99_ms'])} ms"
    sent, exact = share(generator["sent_share"]), share(generator["exact_share"])
    return f"the generator's own error: sends late by {late}; {sent} of what was due was sent; {exact} of stamps exact"


def threshold_state(found: dict[str, Any]) -> str:
    """``held``, ``failed``, ``not enough data``, or that the run was stopped for it."""
    if found["aborted"]:
        return "stopped the run"
    return {True: "held", False: "failed", None: "not enough data"}[found["holds"]]


def threshold_figure(found: dict[str, Any]) -> str:
    """What was measured against the limit, or why nothing can be said."""
    if found["withheld"]:
        return f"{found['withheld']}; limit {found['limit']:.4g}"
    if found["figure"] is None:
        return f"nothing to measure; limit {found['limit']:.4g}"
    return f"{found['figure']:.4g}; limit {found['limit']:.4g}"


def notes(steps: list[dict[str, Any]]) -> list[str]:
    """What a reader of the figures must know beyond them."""
    found = []
    shown = ("ttft_ms", "tpot_ms", "e2e_ms")
    reasons = dict.fromkeys(s[m]["withheld"]["p99"] for s in steps for m in shown if "p99" in s[m]["withheld"])
    if reasons:
        told = "; ".join(list(reasons)[:3]) + ("; …" if len(reasons) > 3 else "")
        found.append(f"– stands for what is withheld or does not exist. Withheld: p99, {told}.")
    whole = [s["label"] for s in steps if s["ok"] and not s["ttft_ms"]["n"]]
    if whole:
        found.append(
            f"Answers came whole, not as streams, in {', '.join(whole)}: TTFT, TPOT and gaps do not exist there."
        )
    planned = sum(s["given_up"]["planned"] for s in steps)
    if planned:
        cut = sum(s["given_up"]["cut"] for s in steps)
        found.append(
            f"{count(planned)} further requests were to be given up on purpose: {count(cut)} were, {count(planned - cut)} ended "
            "first. They are in no success rate, latency or attainment; their load and their tokens count."
        )
    hidden = [s["label"] for s in steps if s["hidden_reasoning"]]
    if hidden:
        found.append(
            f"The target reasoned out of sight in {', '.join(hidden)}: TTFT holds that time, TPOT leaves those tokens out."
        )
    failed = [s["label"] for s in steps if s["requests"] and not s["ok"]]
    if failed:
        found.append(f"No request ended ok in {', '.join(failed)}: there is no latency to tell.")
    warming = [s["label"] for s in steps if s["offered"] and not s["requests"] and s["warmup_s"]]
    if warming:
        found.append(
            f"All of {', '.join(warming)} was sent in its warm-up: nothing of it is measured. A shorter one leaves something."
        )
    return found
