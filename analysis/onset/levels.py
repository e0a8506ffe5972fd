"""The level to which each request would bring a limiter, for every kind of limiter there is a name for.

A limiter of the right kind admits what brings it to its size at most, and refuses what would bring it beyond: of its levels those of
the admitted lie below those of the refused. Only what was admitted is charged. Levels are [n] arrays in the unit of the charge.
"""

from __future__ import annotations

import numpy as np

from analysis.onset.observed import Floats, Observed


def charged_before(seen: Observed, charge: Floats) -> Floats:
    """[n] what was admitted before each request."""
    taken = np.where(seen.admitted, charge, 0.0)
    return np.cumsum(taken) - taken


def in_flight(seen: Observed) -> Floats:
    """[n] requests in flight at the target with this one, counted at its arrival there.

    An answer that the client has within one round trip from the sending had left before the request arrived. The round trip is that of
    refusals, of which the target makes short work; without this a fast limiter's size would come out larger by refill · round trip.
    """
    done = np.sort(seen.done_s[seen.admitted])
    begun = np.cumsum(seen.admitted, dtype=np.int64) - seen.admitted
    ended = np.searchsorted(done, seen.sent_s + seen.round_trip_s, side="right")
    return np.asarray(begun - np.minimum(ended, begun) + 1, dtype=np.float64)


def total(before: Floats, charge: Floats) -> Floats:
    """[n] an allowance that nothing fills again."""
    return before + charge


def sliding(sent_s: Floats, before: Floats, charge: Floats, window_s: float) -> Floats:
    """[n] charged in the trailing window, this one included."""
    since = np.searchsorted(sent_s, sent_s - window_s, side="right")
    return np.asarray(before - before[since] + charge)


def fixed(sent_s: Floats, before: Floats, charge: Floats, window_s: float, phase_s: float) -> Floats:
    """[n] charged since the window began; windows begin at ``phase_s`` and every ``window_s`` before and after."""
    start_s = np.floor((sent_s - phase_s) / window_s) * window_s + phase_s
    since = np.searchsorted(sent_s, start_s, side="left")
    return np.asarray(before - before[since] + charge)


def opened(sent_s: Floats, before: Floats, charge: Floats, window_s: float) -> Floats:
    """[n] as ``fixed``, but a window begins with the first request after the end of the last: a counter that expires."""
    starts, at = [], 0
    while at < len(sent_s):
        starts.append(at)
        at = int(np.searchsorted(sent_s, sent_s[at] + window_s, side="left"))
    bounds = np.array([*starts, len(sent_s)])
    since = np.repeat(bounds[:-1], np.diff(bounds))
    return np.asarray(before - before[since] + charge)


def bucket(sent_s: Floats, before: Floats, charge: Floats, refill: float) -> Floats:
    """[n] what a token bucket lacks of being full, this one taken: (C − r·t) − min of it so far + c. Full at first."""
    drift = before - refill * sent_s
    return np.asarray(drift - np.minimum.accumulate(drift) + charge)
