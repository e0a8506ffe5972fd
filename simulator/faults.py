"""What can go wrong on purpose, how often, and for which request. Pure and seeded."""

from __future__ import annotations

import random
from dataclasses import dataclass

from simulator import troubles

GOES_ON, ENDS, CLOSES, RESETS, STALLS = "goes on", "ends", "closes", "resets", "stalls"
"""What becomes of an answer after its fault: the rest follows; its framing ends; the connection ends (FIN or RST); nothing."""


@dataclass(frozen=True, slots=True)
class Fault:
    """``refusal``: the answer is that kind of :mod:`simulator.troubles`, with the API's own status, and nothing starts. ``unstreamed``:
    it means something for an answer in one piece.
    """

    help: str
    then: str
    refusal: str | None = None
    unstreamed: bool = True


FAULTS = {
    "429": Fault("refuse with status 429 before anything starts", ENDS, refusal=troubles.RATE),
    "quota": Fault(
        "refuse because the money is spent: 429 with insufficient_quota, 402 by Anthropic and plain",
        ENDS,
        refusal=troubles.QUOTA,
    ),
    "500": Fault("answer with status 500", ENDS, refusal=troubles.FAILED),
    "503": Fault("answer with status 503, overloaded; 529 by Anthropic", ENDS, refusal=troubles.OVERLOADED),
    "reset": Fault("TCP reset in the middle of the answer", RESETS),
    "stall": Fault("stop in the middle and leave the connection open until the client closes it", STALLS),
    "truncated": Fault("close the connection in the middle, without the end of the framing", CLOSES),
    "no-finish": Fault(
        "a clean end of the framing in the middle, with [DONE] but without the API's end mark", ENDS, unstreamed=False
    ),
    "bad-json": Fault("an event in the middle whose data is broken JSON; the rest goes on", GOES_ON),
    "bad-framing": Fault("a chunk in the middle whose size is not a number, then close", CLOSES, unstreamed=False),
    "error-in-200": Fault("an error event in the middle of the answer, then a clean end", ENDS),
    "overloaded-in-200": Fault("the same, and the error says that the server is overloaded", ENDS),
}
"""By name. The middle is after half of the answer's content chunks, rounded down, and at least one. An answer in one piece has
``bad-json`` and the errors in 200 as its body.
"""

ERRORS_INSIDE = {"error-in-200": troubles.FAILED, "overloaded-in-200": troubles.OVERLOADED}
"""What those that come inside a 200 tell."""


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
