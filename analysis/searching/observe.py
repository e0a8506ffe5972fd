"""One run of a search, from its folder to the few figures that the search decides by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from duckdb import DuckDBPyConnection
from numpy.typing import NDArray

from analysis import catalog
from analysis.searching.sample import Sample, sample

Instants = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Flow:
    """In the steady part of a run, each measured for itself: completions a second, those among them that ended ok, mean time in flight, mean
    number in flight. None where too little was answered.
    """

    x_rps: float | None
    ok_rps: float | None
    latency_s: float | None
    in_flight: float | None


def observe(con: DuckDBPyConnection) -> tuple[Sample, Flow, int]:
    """Of the only run that is open, which has one step: (what it says of its load, its flow, requests that were due at all)."""
    rows = catalog.query(
        con,
        # Neither sent nor ended was dropped or lost: it was due, and in flight never. One that found no connection was on its way to one.
        "SELECT used, phase = 'main', scheduled_ns / 1e9, "
        "coalesce(sent_ns, CASE WHEN done_ns IS NOT NULL THEN scheduled_ns END) / 1e9, done_ns / 1e9, outcome = 'ok' "
        "FROM slo_used ORDER BY scheduled_ns, request_id",
    ).rows
    (window,) = catalog.query(con, "SELECT window_start_ns / 1e9, window_end_ns / 1e9 FROM step_windows").rows
    table = np.array([[np.nan if v is None else float(v) for v in row] for row in rows]).reshape(len(rows), 6)
    main = table[:, 1] == 1
    start_s, end_s = window
    if not main.any() or start_s is None or end_s is None:
        return sample(np.empty(0), np.empty(0)), Flow(None, None, None, None), len(rows)
    due = table[main, 2]
    sent, done, ok = table[~np.isnan(table[:, 3]), 3:].T
    held = sample(table[main, 0], in_flight_at(due, sent, done))
    return held, flow(sent, done, ok == 1, float(start_s), float(end_s)), len(rows)


def in_flight_at(when: Instants, sent: Instants, done: Instants) -> Instants:
    """How many requests are in flight at each instant; one without an end (NaN) stays so for ever."""
    begun = np.searchsorted(np.sort(sent), when, "right")
    over = np.searchsorted(np.sort(done[~np.isnan(done)]), when, "right")
    return (begun - over).astype(np.float64)


_EDGE = 0.2
"""Share of a run that is left out at its front: slots that start together answer together at first."""


def flow(sent: Instants, done: Instants, ok: NDArray[np.bool_], start_s: float, end_s: float) -> Flow:
    """Between the first fifth of the window and its end. ``sent`` and ``done`` [n] in s, NaN for what did not end; ``ok`` [n]."""
    begin_s = start_s + _EDGE * (end_s - start_s)
    span_s = end_s - begin_s
    ended = (done > begin_s) & (done <= end_s)
    inside = (sent >= begin_s) & (sent < end_s) & ~np.isnan(done)
    count = int(ended.sum())
    if count < 2 or not inside.any() or span_s <= 0:
        return Flow(None, None, None, None)
    # The area under the number in flight, each request's own time inside the span.
    busy_s = np.clip(np.where(np.isnan(done), end_s, done), begin_s, end_s) - np.clip(sent, begin_s, end_s)
    latency_s = float((done - sent)[inside].mean())
    return Flow(count / span_s, float((ended & ok).sum()) / span_s, latency_s, float(busy_s.sum()) / span_s)
