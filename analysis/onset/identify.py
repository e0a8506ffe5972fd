"""Which limiter, or which two, refused requests: the kind whose levels part admitted from refused ones with the fewest errors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from analysis.onset import threshold
from analysis.onset.candidates import every
from analysis.onset.limiter import CONCURRENCY, TOTAL, Candidate, Limiter, Range
from analysis.onset.observed import Bools, Observed
from analysis.onset.settle import settle

LEAST = 20
"""Refused requests, and admitted ones, below which chance could part them as well."""

_FINALISTS = 4
"""So many kinds are fitted exactly, and tried as the first of two limits."""


@dataclass(frozen=True, slots=True)
class Found:
    """``limiters``: those in force, the one that refused most first; empty where none can be named, and then ``why`` says it.

    ``errors``: requests that all of them together treat otherwise than the target did. ``runner_up``: the best one of another kind in
    the place of the first; ``certain``: that it is further behind than chance puts it. ``looked_at`` requests, ``refused`` of them.
    ``blurred``: no threshold parts admitted from refused ones, and the limiter is named for how much its level decides.
    """

    limiters: tuple[Limiter, ...]
    errors: int
    runner_up: Limiter | None
    certain: bool
    looked_at: int
    refused: int
    why: str = ""
    blurred: bool = False


def identify(seen: Observed) -> Found:
    """Raises nothing: what cannot be told is told as such."""
    refused, n = seen.refusals, len(seen.sent_s)
    for number, what in ((refused, "refusals"), (n - refused, "admitted requests")):
        if number < LEAST:
            return Found((), 0, None, False, n, refused, f"not enough data: it takes {LEAST} {what} at least")
    tried = every(seen)
    fits = _finalists(tried, seen)
    limiters: tuple[Limiter, ...] = (fits[0],)
    errors = fits[0].errors
    if pair := _two(seen, fits):
        limiters, errors = pair
        left = seen.without(explained(limiters[1], seen))
        tried = every(left)
        fits = _finalists(tried, left)
    others = [f for f in fits if f.kind not in {limiter.kind for limiter in limiters}]
    runner_up = others[0] if others else None
    if errors > min(refused, n - refused) / 2:
        if blurred := _blurred(tried, seen):
            return Found((blurred,), blurred.errors, runner_up, True, n, refused, blurred=True)
        return Found((), errors, runner_up, False, n, refused, "no limiter that is known here explains the refusals")
    # An allowance explains a run in which nothing came back: every other kind then does, too, with a refill too slow to be seen.
    if not all(_further(candidate.errors, errors) for candidate in tried if candidate.law == TOTAL):
        why = "not enough data: what had been taken did not come back during the run; run for longer"
        return Found((), errors, runner_up, False, n, refused, why)
    certain = runner_up is None or _further(runner_up.errors, errors)
    return Found(limiters, errors, runner_up, certain, n, refused)


def explained(limiter: Limiter, seen: Observed) -> Bools:
    """[n] refused requests that this limiter would have refused."""
    return np.asarray(~seen.admitted & limiter.refuses(seen))


def _finalists(tried: list[Candidate], seen: Observed) -> list[Limiter]:
    return sorted((settle(candidate, seen) for candidate in tried[:_FINALISTS]), key=lambda limiter: limiter.errors)


def _further(errors: int, best: int) -> bool:
    """More errors than chance gives: two standard deviations of their difference, and five at least."""
    return errors - best > 5 + 2 * math.sqrt(errors + best)


def _two(seen: Observed, fits: list[Limiter]) -> tuple[tuple[Limiter, ...], int] | None:
    """Two limiters and their errors, where two explain much more than one: a fifth of its errors, and more than chance.

    Each is fitted to what the other leaves unexplained, in turns. An allowance is none of two: it would explain any late refusal.
    """
    alone = fits[0].errors
    most = min(0.8 * alone, alone - 10 - 2 * math.sqrt(alone))
    if most < 0:
        return None
    found: tuple[Limiter, Limiter] | None = None
    for first in (f for f in fits if f.candidate.law != TOTAL):
        rest = seen.without(explained(first, seen))
        if rest.refusals < LEAST:
            continue
        other = next(c for c in every(rest) if c.law != TOTAL and c.kind != first.kind)
        second = settle(other, rest)
        one = settle(first.candidate, seen.without(explained(second, seen)))
        pair = (one, settle(other, seen.without(explained(one, seen))))
        if (errors := _errors(pair, seen)) <= most:
            found, most = pair, errors - 1
    if found is None:
        return None
    by_work = sorted(found, key=lambda limiter: -int(explained(limiter, seen).sum()))
    return tuple(by_work), int(most + 1)


def _blurred(tried: list[Candidate], seen: Observed) -> Limiter | None:
    """A limit on concurrency that no threshold shows, because answers come and go while a request is on its way.

    Its level decides all the same, more than any other kind's: by a thirtieth of all there is to decide. A request is refused at a level
    of size + 1, so the refused ones' mean level gives the size; two standard errors and a half to each side are its interval.
    """
    found = sorted((threshold.deviance(c.levels(seen), seen.admitted)[0], i) for i, c in enumerate(tried))
    best = tried[found[0][1]]
    of_nothing = threshold.deviance(best.levels(seen), seen.admitted)[1]
    if best.law != CONCURRENCY or found[1][0] - found[0][0] < max(of_nothing / 30, 50):
        return None
    level = best.levels(seen)
    at = level[~seen.admitted] - 1
    mean, margin = float(at.mean()), 0.5 + 2 * float(at.std()) / math.sqrt(len(at))
    size = Range(round(mean), math.floor(mean - margin + 0.5), math.ceil(mean + margin - 0.5))
    return Limiter(best, size, int(np.count_nonzero((level > size.value) == seen.admitted)))


def _errors(limiters: tuple[Limiter, ...], seen: Observed) -> int:
    refused = np.zeros(len(seen.sent_s), dtype=bool)
    for limiter in limiters:
        refused |= limiter.refuses(seen)
    return int(np.count_nonzero(refused == seen.admitted))
