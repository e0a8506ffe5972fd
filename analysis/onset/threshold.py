"""The threshold that parts admitted from refused levels best, and how far others may be off and still be believed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.onset.observed import Bools, Floats

_TIE = 1e-12
"""Levels closer than this, of the largest, are one level and a rounding."""

_BINS = 8192


@dataclass(frozen=True, slots=True)
class Split:
    """``size``: levels up to it are admitted. It lies between ``low``, the largest level below it that occurred, and the next above.
    ``errors``: requests on the wrong side.
    """

    size: float
    low: float
    high: float
    errors: int


@dataclass(frozen=True, slots=True)
class Curve:
    """All thresholds: at ``levels[i]``, ``errors[i]`` requests are on the wrong side. ``levels`` rise, none twice."""

    levels: Floats
    errors: Floats

    def best(self) -> Split:
        """The middle one of those with the fewest errors."""
        fewest = np.flatnonzero(self.errors == self.errors.min())
        at = int(fewest[len(fewest) // 2])
        low, high = float(self.levels[at]), self._next(at)
        return Split(low if math.isinf(high) else (low + high) / 2, low, high, int(self.errors[at]))

    def within(self, errors: float) -> tuple[float, float] | None:
        """Lowest and highest threshold with at most so many errors."""
        good = np.flatnonzero(self.errors <= errors)
        return (float(self.levels[good[0]]), self._next(int(good[-1]))) if len(good) else None

    def _next(self, at: int) -> float:
        return float(self.levels[at + 1]) if at + 1 < len(self.levels) else math.inf


def curve(levels: Floats, admitted: Bools) -> Curve:
    """[n] levels and who was admitted → errors at every threshold that a level gives."""
    order = np.argsort(levels, kind="stable")
    sorted_levels, good = levels[order], admitted[order]
    last = np.append(np.diff(sorted_levels) > _TIE * max(1.0, float(np.abs(sorted_levels[-1]))), True)
    refused_below = np.cumsum(~good)[last]
    admitted_above = int(np.count_nonzero(good)) - np.cumsum(good)[last]
    return Curve(sorted_levels[last], (refused_below + admitted_above).astype(np.float64))


def rough_errors(levels: Floats, admitted: Bools) -> int:
    """Fewest requests on the wrong side of any of _BINS thresholds: what ``curve`` says, nearly, in a tenth of its time."""
    low, high = float(levels.min()), float(levels.max())
    scale = (_BINS - 1) / (high - low) if high > low else 0.0
    binned = ((levels - low) * scale).astype(np.int64)
    refused_below = np.cumsum(np.bincount(binned[~admitted], minlength=_BINS))
    admitted_below = np.cumsum(np.bincount(binned[admitted], minlength=_BINS))
    return int((refused_below + admitted_below[-1] - admitted_below).min())


def believable(fewest: int) -> float:
    """Errors up to which a setting may be the true one.

    Around the true threshold whether a request is admitted is decided by when it came through the network, so errors there are a random
    walk: the best setting beats the true one by some √errors. The factor was set by simulation (docs/rate-limits.md has its coverage).
    """
    return fewest + 1.0 + 1.5 * math.sqrt(fewest)


def deviance(levels: Floats, admitted: Bools) -> tuple[float, float]:
    """−2 ln L of who was admitted, given the level and given nothing: the smaller the first, the more the level decides.

    Levels are cut where quantiles of the refused and of the admitted lie, and each piece has its own share of refusals. It sees an
    influence that is too blurred for a threshold: where a request's way takes longer than the limit's state lasts.
    """
    refused, good = np.sort(levels[~admitted]), np.sort(levels[admitted])
    at = np.linspace(0, 1, _PIECES)
    beside = good[good >= refused[0]]
    edges = np.unique([*np.quantile(refused, at), *np.quantile(beside if len(beside) else good, at)])
    counts = [np.diff([0, *np.searchsorted(part, edges, side="left"), len(part)]) for part in (refused, good)]
    return _two_logs(*counts), _two_logs(*(np.array([len(part)]) for part in (refused, good)))


_PIECES = 40


def _two_logs(refused: NDArray[np.int64], good: NDArray[np.int64]) -> float:
    total = refused + good
    return float(
        sum(-2 * np.sum(part[part > 0] * np.log(part[part > 0] / total[part > 0])) for part in (refused, good))
    )
