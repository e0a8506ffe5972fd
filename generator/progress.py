"""What the coordinator tells whoever watches a run, a few times a second, and how the run ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from generator.job import Step

Phase = Literal["starting", "probe", "step", "drain", "pause", "sealing", "done"]


@dataclass(frozen=True, slots=True)
class Progress:
    """A moment of a run. Counts are of the whole run so far; rates and TTFT are of the last second or so."""

    phase: Phase
    step: Step | None
    steps: int
    elapsed_s: float
    step_elapsed_s: float
    step_expected_s: float | None  # None where the end is by count and cannot be told
    left_s: float | None
    due: int | None  # arrivals of this step due so far; None when closed
    step_issued: int
    step_done: int
    sent: int
    done: int
    in_flight: int
    tokens: int
    sent_per_s: float
    tokens_per_s: float
    ttft_p50_ms: float | None
    ttft_p99_ms: float | None
    late_1ms: int
    spent_usd: float | None = None  # what was answered so far; None where no price is known
    outcomes: dict[str, int] = field(default_factory=dict)
    run_id: str = ""
    late_10ms: int = 0
    late_100ms: int = 0
    ttft_bins: tuple[int, ...] = ()  # counts of the whole run, by the bins of generator.counters
    ttft_sum_s: float = 0.0
    notes: tuple[str, ...] = ()  # what happened since the last one: a worker died, a step ended


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a run ended. ``succeeded``: requests of the load that ended ok, ``sent``: those that went out, probes among them. ``error`` is
    what stopped it early, in words for a person; ``exit_code`` goes with it.
    """

    interrupted: bool
    lost_workers: tuple[int, ...]
    succeeded: int
    sent: int
    error: str | None
    exit_code: int
