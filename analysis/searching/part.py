"""What a search is asked for, what it has run so far, and what it runs next: plain values, which ``search.json`` keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from analysis.searching.sample import Sample

Axis = Literal["rate", "concurrency"]
Kind = Literal["ladder", "probe", "confirm"]


@dataclass(frozen=True, slots=True)
class Goal:
    """``target``: the attainment that the SLO asks for. ``low`` and ``high``: loads between which to look, None where the ladder finds them
    out. ``probe_s``: how long one probe may take at most, warm-ups left out. ``warmup_s`` None: a fifth of each part, at most 30 s.
    """

    axis: Axis
    target: float
    seed: int
    low: float | None = None
    high: float | None = None
    precision: float = 0.01
    confidence: float = 0.99
    probe_s: float = 240.0
    warmup_s: float | None = None
    pause_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What a search may spend; None for no limit. ``retries``: how often an INVALID run is repeated before the search ends."""

    requests: int | None = None
    time_s: float | None = 1800.0
    usd: float | None = None
    retries: int = 2


@dataclass(frozen=True, slots=True)
class Order:
    """The next run. ``load``: arrivals a second, or slots. ``trial``: number of the probe within the search; ``part``: of the run within the
    probe. A rung of the ladder ends by number of ``requests``, everything else by time.
    """

    kind: Kind
    load: float
    trial: int
    part: int
    seed: int
    window_s: float | None = None
    warmup_s: float = 0.0
    requests: int | None = None
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """A run that is over. ``sent``: all requests that it cost, probes and warm-up included. ``x_rps``, ``ok_rps``, ``latency_s`` and
    ``in_flight`` are measured each for itself: completed a second, ended ok a second, mean time in flight, mean number in flight. ``reasons``: why it is INVALID, none if it is
    not; ``cut``: it was ended before its time. ``planned_s``: the load's length where it was ordered; ``elapsed_s`` holds pause, start, drain
    and analysis, too.
    """

    run_id: str
    kind: Kind
    load: float
    trial: int
    part: int
    sample: Sample
    sent: int
    elapsed_s: float
    usd: float | None = None
    x_rps: float | None = None
    ok_rps: float | None = None
    latency_s: float | None = None
    in_flight: float | None = None
    reasons: tuple[str, ...] = ()
    cut: bool = False
    planned_s: float = 0.0

    @property
    def counts(self) -> bool:
        """Whether the search may go by it: an INVALID run says nothing of the target. A rung of the ladder only guides where to look
        first, nothing is accepted or rejected by it, so it may be INVALID.
        """
        return not self.cut and (self.kind == "ladder" or not self.reasons)


def seed_of(goal: Goal, runs: int) -> int:
    """Of the run that follows so many others: fresh arrivals, lengths and prompts for each, the same ones whenever the search is repeated."""
    return int(np.random.SeedSequence([goal.seed, runs]).generate_state(1)[0])
