"""A candidate's size, and how far its size and refill may be off: every setting whose errors chance could have given the true one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from analysis.onset import threshold
from analysis.onset.candidates import finer
from analysis.onset.limiter import BUCKET, REQUESTS, Candidate, Limiter, Range
from analysis.onset.observed import Observed

_POINTS = 31


def settle(candidate: Candidate, seen: Observed) -> Limiter:
    """The limiter of this kind that fits these requests best."""
    candidate = finer(candidate, seen)
    curve = threshold.curve(candidate.levels(seen), seen.admitted)
    split = curve.best()
    most = threshold.believable(split.errors)
    if candidate.law == BUCKET:
        return _bucket(candidate, seen, curve, most)
    low, high = curve.within(most) or (split.low, split.high)
    # Sizes in requests are whole: the largest level that was admitted.
    size = Range(split.low, low, high - 1) if candidate.charge == REQUESTS else Range(split.size, low, high)
    refill = None if candidate.window_s is None else size.over(candidate.window_s)
    return Limiter(candidate, size, split.errors, refill)


def _bucket(candidate: Candidate, seen: Observed, curve: threshold.Curve, most: float) -> Limiter:
    """Refills are tried ever further out until both ends are no longer to be believed."""
    refill, split = candidate.refill, curve.best()
    assert refill is not None
    width, tried = refill * 0.0002, [(refill, curve.within(most))]
    while width < refill:
        grid = [float(r) for r in refill + width * np.linspace(-1, 1, _POINTS)]
        tried = [(r, _curve(candidate, seen, r).within(most)) for r in grid]
        if tried[0][1] is None and tried[-1][1] is None:
            break
        width *= 3
    inside = [i for i, (_, sizes) in enumerate(tried) if sizes]
    sizes = [s for _, s in tried if s] or [(split.low, split.high)]
    # The border lies between the last one inside and its neighbour outside.
    first, last = (max(inside[0] - 1, 0), min(inside[-1] + 1, len(tried) - 1)) if inside else (0, len(tried) - 1)
    return Limiter(
        candidate,
        Range(split.size, *_hull(sizes)),
        split.errors,
        Range(refill, max(tried[first][0], 0.0), tried[last][0]),
    )


def _curve(candidate: Candidate, seen: Observed, refill: float) -> threshold.Curve:
    return threshold.curve(replace(candidate, refill=refill).levels(seen), seen.admitted)


def _hull(sizes: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return min(low for low, _ in sizes), max((high for _, high in sizes), default=math.inf)
