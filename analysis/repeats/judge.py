"""Repetitions merged: each figure of the merged distribution with its interval, what each run gave, and what of the spread is noise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from duckdb import DuckDBPyConnection

from analysis.differences.within import wilson
from analysis.repeats import estimate
from analysis.repeats.estimate import Estimate, Values
from analysis.repeats.measured import LATENCIES, Key, Measured, gaps, measured
from analysis.repeats.spread import Spread, decompose
from generator import until
from generator.until import Figure, Until, least_n

Row = dict[str, Any]

QUANTILES = ("p50", "p90", "p95", "p99")
SHOWN = ("ttft", "ttft_wire", "ttfo", "tpot", "e2e")
CURVE = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99_9": 0.999}

ASSUMED_SAME = (
    "All repetitions had the same arrivals and lengths: intervals are about this schedule, and what it brings about by itself is in none of "
    "them (`repeat: {seeds: fresh}` draws others)."
)
ASSUMED_FRESH = (
    "Each repetition had arrivals of its own: intervals are about every schedule that the law of arrivals may give."
)
ASSUMED = (
    "Percentiles are those of all requests of the merged runs together, not averages of each run's.",
    (
        "Intervals are of 95 %, by Student's t over runs, and never narrower than the noise within the runs asks for. They hold for runs that "
        "are drawn alike; a target that warms up or slows down from run to run is not."
    ),
)


def judge(con: DuckDBPyConnection, run_ids: Sequence[str], *, same: bool, rules: Sequence[str] = ()) -> Row:
    """The runs of ``run_ids``, all open in ``con``, as one: ``loads``, ``figures``, ``until`` and ``assumptions`` of docs/repeats.md.

    ``same``: they had the same arrivals. Only what all of them measured is merged; ``left_out`` names the rest.
    """
    by_load = measured(con)
    common = {key: runs for key, runs in by_load.items() if all(run in runs for run in run_ids)}
    parsed = [until.parse(rule) for rule in rules]
    merged_gaps = gaps(con) if run_ids else {}
    figures, loads = [], []
    for key, runs in common.items():
        sides = [runs[run] for run in run_ids]
        paired = same and not sides[0].closed
        loads.append(_load(key, sides, merged_gaps.get(key)))
        figures += [_figure(key, figure, sides, run_ids, paired=paired) for figure in _figures(sides, parsed)]
    return {
        "loads": loads,
        "figures": figures,
        "until": [_reached(rule, figures) for rule in parsed],
        "left_out": [_words(key) for key in by_load if key not in common],
        "assumptions": [ASSUMED_SAME if same else ASSUMED_FRESH, *ASSUMED],
    }


def _figures(sides: Sequence[Measured], rules: Sequence[Until]) -> Iterator[Figure]:
    wanted = [Figure(q, metric) for metric in SHOWN for q in ("mean", *QUANTILES)]
    wanted += [Figure("rate", "requests"), Figure("rate", "output_tokens")]
    wanted += [Figure("share", "ok"), Figure("rate", "goodput"), Figure("attainment", "")]
    wanted += [rule.figure for rule in rules]
    for figure in dict.fromkeys(wanted):
        if figure in {rule.figure for rule in rules} or any(_there(side, figure) for side in sides):
            yield figure


def _there(side: Measured, figure: Figure) -> bool:
    if figure.statistic == "rate":
        return side.rates[figure.metric] is not None
    if figure.statistic == "attainment":
        return side.good_known
    if figure.statistic == "share":
        return True
    return bool(len(side.known(f"{figure.metric}_ms")[0]))


def _estimate(side: Measured, figure: Figure) -> Estimate | None:
    """None where the repetition has no such figure."""
    if not _there(side, figure):
        return None
    if figure.statistic == "rate":
        value = side.rates[figure.metric]
        assert value is not None
        if figure.metric == "output_tokens":
            return estimate.of_flow(value, side.seconds, side.tokens, side.window_s)
        at = side.done[side.ok & ~np.isnan(side.done)] if figure.metric == "requests" else side.at[side.good]
        return estimate.of_rate(value, at, side.window_s)
    if figure.statistic in ("attainment", "share"):
        return estimate.of_mean(
            (side.good if figure.statistic == "attainment" else side.ok).astype(np.float64), side.at
        )
    values, at = side.known(f"{figure.metric}_ms")
    p = figure.probability
    return estimate.of_mean(values, at) if p is None else estimate.of_quantile(values, at, p)


def _merged(sides: Sequence[Measured], figure: Figure) -> float:
    """The figure of all repetitions together: of their requests, or of all that came over all of the time."""
    if figure.statistic == "rate":
        amounts = [(side.rates[figure.metric] or 0.0) * side.window_s for side in sides]
        return sum(amounts) / sum(side.window_s for side in sides)
    if figure.statistic in ("attainment", "share"):
        return float(
            np.concatenate([side.good if figure.statistic == "attainment" else side.ok for side in sides]).mean()
        )
    values = np.concatenate([side.known(f"{figure.metric}_ms")[0] for side in sides])
    p = figure.probability
    return float(values.mean() if p is None else np.quantile(values, p))


def _figure(key: Key, figure: Figure, sides: Sequence[Measured], run_ids: Sequence[str], *, paired: bool) -> Row:
    load, arm = key
    row: Row = {"load": load, "arm": arm, "metric": figure.metric, "statistic": figure.statistic, "figure": figure.text}
    found = [_estimate(side, figure) for side in sides]
    known = [e for e in found if e is not None]
    least = least_n(figure.probability)
    row["runs"] = [
        {"run_id": run, "value": None if e is None or e.n < least else e.value, "n": 0 if e is None else e.n}
        for run, e in zip(run_ids, found, strict=True)
    ]
    row |= dict.fromkeys(("value", "low", "high", "half_width_share", "n_effective", "spread", "withheld"))
    if len(known) < len(sides):
        return row | {"withheld": "a repetition has no such figure"}
    n = sum(e.n for e in known)
    if n < least:
        return row | {"withheld": f"n too small: {n} of {least}"}
    row["value"] = _merged(sides, figure)
    if min(e.n for e in known) < least:
        return row | {
            "withheld": f"no interval: it takes {least} values in each repetition, and one has {min(e.n for e in known)}"
        }
    worth = effective(known)
    row["n_effective"] = worth
    if worth is not None and worth < least:
        told = f"no interval: the requests of a repetition are worth {worth:.0f} independent ones, {least} are wanted"
        return row | {"withheld": told}
    spread = decompose(known, paired=paired)
    if spread is None:
        return row | {"withheld": "no interval: one repetition says nothing of how runs differ"}
    low, high = row["value"] - spread.half_width, row["value"] + spread.half_width
    row |= {"low": max(0.0, low), "high": high, "spread": _spread(spread)}
    half_width = spread.half_width
    if figure.statistic in ("attainment", "share"):
        # Runs without a miss agree to the last digit, and prove no more than so many requests do.
        by_count = wilson(row["value"], n)
        row |= {"low": min(row["low"], by_count[0]), "high": max(min(1.0, high), by_count[1])}
        if (asked := max(row["value"] - by_count[0], by_count[1] - row["value"])) > half_width:
            half_width = asked
            row["spread"]["interval_by"] = "requests"
    # Nothing against nothing is as narrow as can be: a goodput of 0 in every run is certain.
    if row["value"] > 0:
        row["half_width_share"] = half_width / row["value"]
    elif half_width == 0:
        row["half_width_share"] = 0.0
    return row


def effective(estimates: Sequence[Estimate]) -> float | None:
    """What one repetition's values are worth in independent ones, from the mean of all error variances; None where it is not known.

    A tail needs as many as it would of independent values. Under load the slow requests of a run come in a few clusters, and where there
    are fewer of these than that, neither how they scatter nor how runs differ can be told from them.
    """
    known = [1 / e.effective for e in estimates if e.effective]
    return 1 / float(np.mean(known)) if known else None


def _spread(found: Spread) -> Row:
    return {
        "total_sd": found.total_sd,
        "within_sd": found.within_sd,
        "between_sd": found.between_sd,
        "within_share": found.within_share,
        "p_value": found.p_value,
        "shown": found.shown,
        "interval_by": "runs" if found.by_runs else "requests",
    }


def _reached(rule: Until, figures: Sequence[Row]) -> Row:
    """The rule in the load whose interval is widest: it holds where it holds in all."""
    rows = [row for row in figures if row["figure"] == rule.figure.text]
    worst = max(rows, key=lambda r: math.inf if r["half_width_share"] is None else r["half_width_share"], default=None)
    width = None if worst is None else worst["half_width_share"]
    return {
        "rule": rule.text,
        "limit": rule.limit,
        "load": None if worst is None else _words((worst["load"], worst["arm"])),
        "half_width_share": width,
        "reached": width is not None and rule.reached(width) and len(worst["runs"] if worst else ()) >= until.LEAST,
        "withheld": None if worst is None else worst["withheld"],
    }


def _load(key: Key, sides: Sequence[Measured], merged_gaps: tuple[Values, Any] | None) -> Row:
    """The merged distributions of a load, in the shape of a step of a run's report."""
    load, arm = key
    row: Row = {
        "load": load,
        "arm": arm,
        "label": _words(key),
        "window_s": sum(side.window_s for side in sides),
        "requests": sum(len(side.at) for side in sides),
        "ok": int(sum(side.ok.sum() for side in sides)),
    }
    for metric in LATENCIES:
        values = np.sort(np.concatenate([side.known(metric)[0] for side in sides]))
        row[metric] = _distribution(values, None)
    row["icl_ms"] = _distribution(*(merged_gaps if merged_gaps is not None else (np.zeros(0), None)))
    return row


def _distribution(values: Values, counts: Any) -> Row:
    """Of sorted ``values``, each as often as ``counts`` says: mean, min, percentiles by linear interpolation, max, n."""
    up_to = np.arange(1, len(values) + 1) if counts is None else np.cumsum(counts)
    n = int(up_to[-1]) if len(values) else 0
    row: Row = dict.fromkeys(("mean", "min", *CURVE, "max")) | {"n": n}
    if not n:
        return row
    weights = np.diff(up_to, prepend=0)
    row |= {"mean": float((values * weights).sum() / n), "min": float(values[0]), "max": float(values[-1])}
    for name, p in CURVE.items():
        if n >= (least_n(p) if p >= 0.99 else 1):
            rank = p * (n - 1)
            below, above = (
                values[np.searchsorted(up_to, math.floor(r), side="right")] for r in (rank, math.ceil(rank))
            )
            row[name] = float(below + (above - below) * (rank - math.floor(rank)))
    return row


def _words(key: Key) -> str:
    return " · ".join(part for part in key if part is not None)
