"""What a step with several workloads or with conversations asks for: expected requests and tokens, by weight and by turns."""

from __future__ import annotations

from typing import Literal

import numpy as np

from generator.job import Step
from generator.workload import lengths

_DRAWS = 65_536


def requests(step: Step) -> float | None:
    """Expected requests of its planned arrivals; None where the target decides how many there are, or a dataset how long they talk."""
    mean = step.turns_mean
    return None if step.planned_arrivals is None or mean is None else step.planned_arrivals * mean


def tokens(step: Step, side: Literal["input", "output"]) -> float | None:
    """Expected tokens of all requests. A turn's input is all that was said before it, so a conversation's grows with the square of its
    turns; None where any part is not known.
    """
    if step.planned_arrivals is None:
        return None
    alone = step.alone()
    weights = sum(a.workload.weight for a in alone)
    found = [(_of_arrival(a, side), a.workload.weight / weights) for a in alone]
    known = [value * share * step.planned_arrivals for value, share in found if value is not None]
    return sum(known) if len(known) == len(found) else None


def _of_arrival(step: Step, side: Literal["input", "output"]) -> float | None:
    """Of one request, or of one session."""
    spec = step.workload
    own, answer = spec.input_tokens, spec.output_tokens
    wanted = answer if side == "output" else own
    if wanted is None or wanted.law == "trace":
        return None
    if spec.session is None:
        return lengths.mean(wanted)
    if spec.session.mean_turns is None:
        return None
    if side == "output":
        return spec.session.mean_turns * lengths.mean(wanted)
    law = spec.session.turns
    if law is None or answer is None or answer.law == "trace":
        return None
    first = lengths.mean(spec.session.first_input_tokens or wanted)
    turns = np.maximum(lengths.draw(law, np.random.default_rng(0), _DRAWS), 1).astype(np.float64)
    each = lengths.mean(wanted) + lengths.mean(answer)
    return float((turns * first + each * turns * (turns - 1) / 2).mean())
