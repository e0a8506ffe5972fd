"""One figure of one repetition, and how it wavers from stretch to stretch of that repetition.

A figure's noise is judged by STRETCHES equal pieces of the load's time, not by single requests: under load neighbours resemble one
another, and independent requests would make it several times too small. What each piece contributes to the figure beyond its share is
a *part*; the parts' mean is the figure's error, and their scatter says how large that is (batch means: Law & Kelton, Simulation
Modeling and Analysis, chapter 9). Ten pieces are few for one run alone; over the repetitions their degrees of freedom add up, and long
pieces leave less of the dependence uncounted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STRETCHES = 10
LEAST = 2 * STRETCHES
"""Requests of a repetition below which nothing is said of its noise."""

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """``value`` and ``parts`` [STRETCHES] in the figure's unit; no parts where they could not be had. ``n``: what it was computed from;
    ``effective``: as many independent values would be as sure of a quantile.
    """

    value: float
    parts: Values | None
    n: int
    effective: float | None = None


def of_quantile(values: Values, at: Values, p: float) -> Estimate:
    """``at`` [n] within [0, 1]: when each was due. The parts are those of 1{x ≤ quantile}, turned into the unit of x by the slope of the
    quantile function over two of their standard errors to each side (Woodruff, JASA 47, 1952).
    """
    value = float(np.quantile(values, p))
    below = (values <= value).astype(np.float64)
    shares = _parts(below.mean() - below, at)
    if shares is None:
        return Estimate(value, None, len(values))
    error2 = float(shares.var(ddof=1)) / STRETCHES
    reach = max(2 * math.sqrt(error2), 1 / len(values))
    low, high = max(0.0, p - reach), min(1.0, p + reach)
    slope = float(np.quantile(values, high) - np.quantile(values, low)) / (high - low)
    effective = len(values) if error2 <= 0 else min(len(values), p * (1 - p) / error2)
    return Estimate(value, slope * shares, len(values), effective)


def of_mean(values: Values, at: Values) -> Estimate:
    value = float(values.mean())
    return Estimate(value, _parts(values - value, at), len(values))


def of_rate(value: float, at: Values, window_s: float) -> Estimate:
    """``value`` a second of the events that happened at ``at`` [n], of which those outside [0, 1) are not counted."""
    inside = at[(at >= 0) & (at < 1)]
    counts = np.bincount(stretch(inside), minlength=STRETCHES) * (STRETCHES / window_s)
    return Estimate(value, counts - counts.mean() if len(inside) >= LEAST else None, len(inside))


def of_flow(value: float, edges: Values, amounts: Values, window_s: float) -> Estimate:
    """``value`` a second of what came by the second: ``amounts`` [n] between ``edges`` [n, 2] within [0, 1], each spread over its second."""
    if len(amounts) < LEAST:
        return Estimate(value, None, len(amounts))
    order = np.argsort(edges[:, 0])
    first, last = edges[order, 0], edges[order, 1]
    up_to = np.concatenate([[0.0], np.cumsum(amounts[order])])
    places = np.concatenate([[first[0]], last])
    cuts: Values = np.interp(np.linspace(0, 1, STRETCHES + 1), places, up_to)
    rates: Values = np.diff(cuts) * (STRETCHES / window_s)
    return Estimate(value, rates - rates.mean(), len(amounts))


def stretch(at: Values) -> NDArray[np.int64]:
    return np.clip((at * STRETCHES).astype(np.int64), 0, STRETCHES - 1)


def _parts(scores: Values, at: Values) -> Values | None:
    """Of a mean of ``scores``, which are centred: each stretch's total, as if all of the run were like it."""
    if len(scores) < LEAST:
        return None
    totals: Values = np.bincount(stretch(at), weights=scores, minlength=STRETCHES).astype(np.float64)
    return totals * (STRETCHES / len(scores))
