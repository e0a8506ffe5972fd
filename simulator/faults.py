"""What can go wrong on purpose, how often, and for which request. Pure and seeded."""

from __future__ import annotations

import random
from dataclasses import dataclass

FAULTS = {
    "429": "refuse with status 429 before anything starts",
    "500": "answer with status 500",
    "503": "answer with status 503, overloaded",
    "reset": "TCP reset in the middle of the answer",
    "stall": "stop in the middle and leave the connection open until the client closes it",
    "truncated": "close the connection in the middle, without the end of the framing",
    "no-finish": "[DONE] and a clean end of the framing in the middle, without a finish_reason",
    "bad-json": "an event in the middle whose data is broken JSON; the rest goes on",
    "bad-framing": "a chunk in the middle whose size is not a number, then close",
    "error-in-200": "an error event in the middle of the answer, then a clean end",
}
"""Name → what it does. The middle is after half of the answer's content chunks, rounded down, and at least one. An answer
that is not streamed knows the statuses, ``reset``, ``stall``, ``truncated``, ``bad-json`` and ``error-in-200``; the two others leave it as it is.
"""

STATUSES = {"429": 429, "500": 500, "503": 503}


@dataclass(frozen=True, slots=True)
class FaultLaw:
    """``shares``: (fault, share of all requests); what is left of 1 goes well."""

    shares: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        for name, share in self.shares:
            if name not in FAULTS:
                raise ValueError(f"no fault is called {name!r}; there are {', '.join(FAULTS)}")
            if not 0 <= share <= 1:
                raise ValueError(f"the share of {name} is not between 0 and 1")
        if sum(share for _, share in self.shares) > 1 + 1e-9:
            raise ValueError("the shares of all faults sum to more than 1")


class FaultSource:
    """One draw a request, in the order of their numbers."""

    def __init__(self, law: FaultLaw, seed: int) -> None:
        self._shares = law.shares
        self._rng = random.Random(f"faults {seed}")

    def draw(self) -> str | None:
        if not self._shares:
            return None
        point = self._rng.random()
        for name, share in self._shares:
            point -= share
            if point < 0:
                return name
        return None
