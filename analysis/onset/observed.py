"""What a limiter is found from: the requests that one target admitted or refused, in the order of sending."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

CHARGES = ("requests", "input", "max(max_tokens,input)", "input+max_tokens", "actual")
"""What a request may take from a limit. The names are those of the simulator's option ``charge``."""

_ALIKE = 0.03
"""Charges of which all but a fiftieth differ by less than this, each over its median, are not told apart. Lengths that are meant to be
equal differ by a token, and the probe's differ by more.
"""


@dataclass(frozen=True, slots=True)
class Observed:
    """Columns of n requests, sorted by ``sent_s``: seconds since the first was sent. ``charges``: rule → units that each would take.

    ``alike``: rule → other rules whose charges are proportional to its own here, each with its factor, so that a limit found by the one
    rule is as well one by the others. ``round_trip_s``: the median time to a refusal.
    """

    sent_s: Floats
    done_s: Floats
    admitted: Bools
    charges: Mapping[str, Floats]
    alike: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    round_trip_s: float = 0.0

    @property
    def refusals(self) -> int:
        return int(np.count_nonzero(~self.admitted))

    def without(self, left_out: Bools) -> Observed:
        """The same without the requests that ``left_out`` [n] marks. They must be refused ones: these change nobody's level."""
        return self.where(~left_out)

    def where(self, kept: Bools | slice) -> Observed:
        charges = {rule: c[kept] for rule, c in self.charges.items()}
        return replace(
            self, sent_s=self.sent_s[kept], done_s=self.done_s[kept], admitted=self.admitted[kept], charges=charges
        )


def observed(sent_s: Floats, done_s: Floats, admitted: Bools, charges: Mapping[str, Floats]) -> Observed:
    """In any order and with any zero of time. Rules whose charges are proportional are kept once, under the first name of CHARGES.

    A rule of which a charge is NaN or not above zero is left out: nothing is known of it here.
    """
    order = np.argsort(sent_s, kind="stable")
    start_s = float(sent_s[order[0]]) if len(order) else 0.0
    kept: dict[str, Floats] = {}
    alike: dict[str, dict[str, float]] = {}
    for rule in CHARGES:
        if rule not in charges or not np.all(charges[rule] > 0):
            continue
        units = charges[rule][order]
        same = next((k for k, c in kept.items() if _distance(c, units) < _ALIKE), None)
        if same is None:
            kept[rule], alike[rule] = units, {}
        else:
            alike[same][rule] = float(np.median(units) / np.median(kept[same]))
    round_trip_s = 0.0 if np.all(admitted) else float(np.median((done_s - sent_s)[~admitted]))
    return Observed(sent_s[order] - start_s, done_s[order] - start_s, admitted[order], kept, alike, round_trip_s)


def _distance(a: Floats, b: Floats) -> float:
    return float(np.quantile(np.abs(a / np.median(a) - b / np.median(b)), 0.98)) if len(a) else 0.0
