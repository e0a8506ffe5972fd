"""What the report says of a rate limit: who refused and from when on, in sentences and tables; nothing where nothing was refused."""

from __future__ import annotations

import math
from typing import Any

from analysis.report.parts import Table
from analysis.report.wording import NOTHING, brief, count, number, share

Row = dict[str, Any]

_CHARGES = {
    "requests": "requests",
    "input": "input tokens",
    "max(max_tokens,input)": "tokens, the larger of max_tokens and input a request",
    "input+max_tokens": "tokens, input and max_tokens of a request",
    "actual": "tokens, input and output of a request",
}
_UNITS = {"requests": "requests", "input": "input tokens"}
_AXES = {"rps": "/s", "concurrency": " slots"}


def sentences(report: Row) -> list[str]:
    """One or two a target: the limiters with intervals, how well they explain the refusals, and what the next best would."""
    found = report["rate_limit"]
    if found is None:
        return []
    told = []
    for target in found["targets"]:
        whose = f"{target['target']}: " if len(found["targets"]) > 1 else ""
        if not target["limiters"]:
            told.append(
                f"{whose}{_capital(target['why'])} ({count(target['rate_limited'])} refused of {count(target['looked_at'])} requests)."
            )
            continue
        told.append(whose + "; and ".join(limiter_text(limiter) for limiter in target["limiters"]) + ".")
        told.append(whose + _confidence(target))
        told += [whose + line for limiter in target["limiters"] for line in _alike(limiter)]
    return told


def limiter_text(limiter: Row) -> str:
    """``Token bucket of 23 requests [22.9–23.1], refilled by 8.20/s [8.19–8.21]``, with where that begins to refuse."""
    size = f"{_figure(limiter['size'])} {_interval(limiter, 'size')}"
    if limiter["law"] == "concurrency":
        onset = f"at {number(limiter['onset_rps'])} requests/s with answers as long as these"
        return f"Limit on concurrency: {size} requests in flight, reached {onset}"
    charge, unit = _CHARGES[limiter["charge"]], _UNITS.get(limiter["charge"], "tokens")
    refill = f"{number(limiter['refill_per_s'], 4)} {unit}/s {_interval(limiter, 'refill_per_s')}"
    onset = "" if limiter["charge"] == "requests" else f", {number(limiter['onset_rps'])} requests/s of these lengths"
    if limiter["law"] == "token bucket":
        return f"Token bucket of {size} {charge}, refilled by {refill}{onset}"
    return f"{_capital(limiter['law'])} of {brief(limiter['window_s'])} s: {size} {charge}; that is {refill}{onset}"


def _alike(limiter: Row) -> list[str]:
    """The same limit in other units, where the charges of the run's requests were proportional."""
    rules: dict[str, list[str]] = {}
    for other in limiter["also"]:
        unit = _UNITS.get(other["charge"], "tokens")
        rules.setdefault(f"{_figure(other['size'])} {unit}, {number(other['refill_per_s'], 4)}/s", []).append(
            other["charge"]
        )
    if not rules:
        return []
    told = "; ".join(f"{figures}, if it charges {' or '.join(names)}" for figures, names in rules.items())
    return [f"In this run these charges are proportional, so that limits in other units look the same: {told}."]


def _confidence(target: Row) -> str:
    other = target["runner_up"]
    explains = (
        f"Of {count(target['looked_at'])} requests, {count(target['rate_limited'])} of them refused, "
        f"it would have treated {count(target['misclassified'])} otherwise"
    )
    if target["blurred"]:
        return f"{explains}: requests are longer on their way than its state lasts. Its level decides more than that of any other kind."
    if other is None:
        return f"{explains}."
    name = kind_text(other)
    beside = f"{explains}; the next best kind, {name}, {count(other['misclassified'])}"
    return f"{beside}." if target["certain"] else f"{beside}: not enough data to tell the two apart."


def kind_text(kind: Row) -> str:
    if kind["law"] == "concurrency":
        return "a limit on concurrency"
    window = f" of {brief(kind['window_s'])} s" if kind["window_s"] else ""
    return f"{'an' if kind['law'] == 'allowance' else 'a'} {kind['law']}{window} in {_CHARGES[kind['charge']]}"


def assumptions(report: Row) -> list[str]:
    """What the limiters that are named rest on."""
    found = report["rate_limit"]
    return found["assumptions"] if found and any(target["limiters"] for target in found["targets"]) else []


def tables(report: Row) -> list[Table]:
    """By step, by cell of lengths, and against what the target declares."""
    found = report["rate_limit"]
    if found is None:
        return []
    labels = {s["step_id"]: s["label"] for s in report["steps"]}
    several = len(found["targets"]) > 1
    made = [_steps(found["steps"], labels, several), _cells(found["onset"], several)]
    rows = [(t["target"], row) for t in found["targets"] for row in t["declared"]]
    return [*made, _declared(rows, several)] if rows else made


def _steps(rows: list[Row], labels: dict[int, str], several: bool) -> Table:
    told = tuple(
        (
            *_named(labels.get(r["step_id"], f"step {r['step_id']}"), r["target"], several),
            _load(r["load"], r["axis"]),
            count(r["requests"]),
            count(r["rate_limited"]),
            share(r["share"]),
            f"{share(r['share_low'])} – {share(r['share_high'])}" if r["share"] is not None else NOTHING,
            r["verdict"],
            count(r["quota"] + r["overloaded"]),
        )
        for r in rows
    )
    lead = "Clean: with 95 % confidence fewer than 5 % are refused. Limited: more than 1 %. Refusals for money or capacity stand beside."
    headings = ("load", "requests", "refused", "share", "95 %", "verdict", "quota,\noverload")
    return Table("Rate limited", lead, ("step", "target") if several else ("step",), headings, told)


def _cells(rows: list[Row], several: bool) -> Table:
    told = tuple(
        (
            *_named(_cell(r), r["target"], several),
            _load(r["clean_up_to"], r["axis"]),
            _load(r["limited_from"], r["axis"]),
            count(r["windows"]),
            number(r["admitted_rps"]),
            f"{number(r['admitted_rps_low'])} – {number(r['admitted_rps_high'])}"
            if r["windows"] > 1
            else "not enough data",
        )
        for r in rows
    )
    lead = (
        "The onset lies between the two loads. What is admitted in stretches of 5 s that refuse all along is the refill of a token bucket "
        "whatever is offered; of a window that is longer than such a stretch it is not."
    )
    headings = ("clean\nup to", "limited\nfrom", "stretches", "admitted/s", "95 %")
    return Table("Onset", lead, ("input + output", "target") if several else ("input + output",), headings, told)


def _declared(rows: list[tuple[str, Row]], several: bool) -> Table:
    told = tuple(
        (
            *_named(f"{r['source']}, {r['dimension']}" if r["dimension"] else r["source"], target, several),
            _figure(r["limit"]),
            _figure(r["measured"]["size"]),
            number(r["size_ratio"]),
            number(r["refill_per_s"], 4),
            number(r["measured"]["refill_per_s"], 4),
            number(r["refill_ratio"]),
            number(r["minute_ratio"]),
            number(r["wait_s"]),
        )
        for target, r in rows
    )
    lead = (
        "Ratios are measured over declared. A declared refill is (limit − remaining) / reset of headers, (used + requested − limit) / wait of "
        "a refusal: that of a token bucket. By minute: the measured refill a minute over the limit, which is 1 where the limit is per minute."
    )
    headings = ("limit", "measured", "ratio", "refill/s", "measured", "ratio", "by\nminute", "wait s")
    return Table("Declared", lead, ("where", "target") if several else ("where",), headings, told)


def _named(first: str, target: str, several: bool) -> tuple[str, ...]:
    return (first, target) if several else (first,)


def _cell(row: Row) -> str:
    return f"{brief(row['input_tokens_wanted'])} + {brief(row['output_tokens_wanted'])}"


def _load(load: float | None, axis: str) -> str:
    return NOTHING if load is None else f"{number(load) if axis == 'rps' else count(load)}{_AXES[axis]}"


def _figure(value: float | None) -> str:
    """Sizes: whole where they are, else four digits."""
    return NOTHING if value is None else count(value) if value == math.floor(value) else number(value, 4)


def _interval(row: Row, key: str) -> str:
    low, high = row[f"{key}_low"], row[f"{key}_high"]
    top = "∞" if high is None else _figure(high)
    return f"[{_figure(low)}–{top}]"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
