"""The best candidate of every kind of limiter: its refill or its phase on a grid, judged roughly, and made finer where it matters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from analysis.onset import levels, threshold
from analysis.onset.limiter import BUCKET, CONCURRENCY, FIXED, SLIDING, TOTAL, Candidate
from analysis.onset.observed import Floats, Observed

WINDOWS_S = (1.0, 5.0, 10.0, 30.0, 60.0)
"""Windows that are looked for: 1, 10 and 60 s are what providers name, the others what gateways let one set."""

STRETCH_S = 5.0
"""Refusals no further apart than this belong to one throttled stretch."""

_PHASES = 24


def every(seen: Observed) -> list[Candidate]:
    """The best of each kind that this run was long enough for, fewest errors first."""
    return sorted(_every(seen), key=lambda candidate: candidate.errors)


def _every(seen: Observed) -> Iterator[Candidate]:
    span_s = float(seen.sent_s[-1])
    yield _judged(Candidate(CONCURRENCY), seen)
    for rule in seen.charges:
        yield _judged(Candidate(TOTAL, rule), seen)
        about = admitted_rate(seen, rule)
        grid = np.unique([*about * np.geomspace(0.5, 2.0, 31), *about * np.linspace(0.96, 1.04, 33)])
        yield _best(seen, (Candidate(BUCKET, rule, refill=float(refill)) for refill in grid))
        for window_s in (w for w in WINDOWS_S if w < span_s):
            yield _judged(Candidate(SLIDING, rule, window_s), seen)
            tried = [*_turns(seen, window_s), *np.arange(0, window_s, window_s / _PHASES)]
            yield _best(seen, (Candidate(FIXED, rule, window_s, phase) for phase in (None, *tried)))


def finer(candidate: Candidate, seen: Observed) -> Candidate:
    """The same kind on finer and finer grids around its setting, judged by these requests."""
    candidate = _judged(candidate, seen)
    if candidate.law == BUCKET:
        assert candidate.refill is not None
        step = admitted_rate(seen, candidate.charge) * 0.05
        for _ in range(4):
            grid = candidate.refill + step * np.linspace(-1, 1, 21)
            candidate = _best(seen, (replace(candidate, refill=float(refill)) for refill in grid if refill > 0))
            step /= 6
    if candidate.law == FIXED and candidate.phase_s is not None:
        assert candidate.window_s is not None
        step = candidate.window_s / _PHASES
        for _ in range(3):
            grid = candidate.phase_s + step * np.linspace(-1, 1, 17)
            tried = (replace(candidate, phase_s=float(phase) % candidate.window_s) for phase in grid)
            candidate = _best(seen, [candidate, *tried])
            step /= 8
    return candidate


def admitted_rate(seen: Observed, rule: str) -> float:
    """Units a second that were admitted between refusals no more than STRETCH_S apart; of the whole run where there are none such."""
    before = levels.charged_before(seen, seen.charges[rule])
    at = np.flatnonzero(~seen.admitted)
    gaps_s, taken = np.diff(seen.sent_s[at]), np.diff(before[at])
    close = gaps_s <= STRETCH_S
    if np.sum(taken[close]) > 0:
        return float(np.sum(taken[close]) / np.sum(gaps_s[close]))
    return float(before[-1] / seen.sent_s[-1])


def _judged(candidate: Candidate, seen: Observed) -> Candidate:
    return replace(candidate, errors=threshold.rough_errors(candidate.levels(seen), seen.admitted))


def _best(seen: Observed, tried: Iterable[Candidate]) -> Candidate:
    """The one with the fewest errors; of several in a row, the middle one."""
    judged = [_judged(candidate, seen) for candidate in tried]
    errors = [candidate.errors for candidate in judged]
    first = last = errors.index(min(errors))
    while last + 1 < len(errors) and errors[last + 1] == errors[first]:
        last += 1
    return judged[(first + last) // 2]


def _turns(seen: Observed, window_s: float) -> Floats:
    """Phases at which windows may begin: halfway between a refused request and an admitted one that follows it."""
    turns = np.flatnonzero(~seen.admitted[:-1] & seen.admitted[1:])
    phases = (seen.sent_s[turns] + seen.sent_s[turns + 1]) / 2 % window_s
    return np.asarray(np.sort(phases)[np.linspace(0, len(phases) - 1, min(_PHASES, len(phases))).astype(int)])
