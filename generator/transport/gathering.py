"""How long what has come may wait for more to come, where it comes densely: waking costs as much as reading.

The kernel stamps what arrives meanwhile, so no stamp is worse for it. What can suffer is told apart:

- Two pieces of one answer that share a read leave the first with an interval for a stamp. Where that happens other than at an
  answer's start or end, nothing waits for a while.
- An answer's last token often shares its read with the answer's end, and a closed loop's slot is free only when the end is seen. So the
  wait is short, unless every answer so far ended where it was expected to and none is about to: then it may be twice as long.
"""

from __future__ import annotations

from generator import clock
from generator.stream import Stream

SHORT_NS = 400_000
"""Beside the poller's margin an inexact stamp is then still certain to about a millisecond, and a freed slot no later than that."""

LONG_NS = 800_000
"""Should an end come unawares for the first time, its slot still goes out within a millisecond."""

CALM_NS = 20_000_000
"""So long after several pieces of one answer shared a read nothing waits: they may be coming faster than this gathers."""

LONG_CALM_NS = 10 * CALM_NS
"""And so long nothing waits for longer than ``SHORT_NS``."""

WINDOW_NS = 5_000_000
"""Over so long it is counted how densely pieces come: a burst of a few is not dense, and what frees a slot may be its last."""

WORTH = 1.2
"""Pieces that come within ``SHORT_NS`` on average, from which on it is worth to wait."""

START_READS = 2
START_PIECES = 5
"""The start of an answer comes in so many pieces at once (who speaks, a block that opens, the first token), in its first read or, behind
the head, its second."""

END_PIECES = 4
"""Its end in so many: the last token, the finish reason, usage, [DONE]. Neither says how far apart tokens are."""


class Gathering:
    """``shared_ns``: when pieces of one answer last came closer than they were read. ``ending``: how many answers are about to end,
    counted up by whoever reads."""

    __slots__ = ("_patient", "_pieces", "_since_ns", "dense", "ending", "shared_ns")

    def __init__(self) -> None:
        self.shared_ns = 0
        self.ending = 0
        self._patient = True
        self.dense = False
        self._pieces = 0
        self._since_ns = 0

    def wait_ns(self, now_ns: int, room_ns: int) -> int:
        """How long to wait now, with ``room_ns`` left until an arrival wants to be sent; 0 for not at all. Twice as long must be left,
        because a sleep may take longer than it was asked to."""
        calm_ns = now_ns - self.shared_ns
        if not self.dense or calm_ns <= CALM_NS or not clock.KERNEL_STAMPS:
            return 0
        if self._patient and not self.ending and calm_ns > LONG_CALM_NS and room_ns > 2 * LONG_NS:
            return LONG_NS
        return SHORT_NS if room_ns > 2 * SHORT_NS else 0

    def came(self, pieces: int, now_ns: int) -> None:
        """So many pieces were found by the look of ``now_ns``; looks that found none count, too."""
        self._pieces += pieces
        age_ns = now_ns - self._since_ns
        if age_ns >= WINDOW_NS:
            self.dense = self._pieces * SHORT_NS >= WORTH * age_ns
            self._pieces = 0
            self._since_ns = now_ns

    def together(self, pieces: int, reads: int, complete: bool, now_ns: int) -> None:
        """A read had several pieces of an answer in it, of which ``reads`` reads came before. ``complete``: it is the last."""
        if pieces > (START_PIECES if reads < START_READS else END_PIECES if complete else 1):
            self.shared_ns = now_ns

    def left(self, stream: Stream) -> None:
        """An answer is over, however it ended. A probe may end when it likes, and what was cut ended when openloop liked."""
        if stream.near_end:
            self.ending -= 1
        elif stream.step is not None and (stream.failure is None or stream.failure.outcome != "cancelled"):
            self._patient = False
