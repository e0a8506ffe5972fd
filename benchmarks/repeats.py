"""How true the interval over repeated runs is, how often it finds runs to differ that do not, and what ending by ``until`` costs.

No target and no clock: requests of a queue (M/M/1, service of 10 ms on average, half busy, 40 ms before it) are drawn, each run's times
moved by a shift of its own, and analysis/repeats/ judges them as it judges recorded runs. The truth is the percentile of very many such
runs together: of one schedule with seeds ``same``, of as many schedules with ``fresh``.

``python -m benchmarks.repeats``: about two minutes.
"""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from analysis.differences.laws import student_ppf
from analysis.repeats.estimate import Estimate, of_quantile
from analysis.repeats.judge import effective
from analysis.repeats.spread import Spread, decompose
from benchmarks import harness
from benchmarks.harness import Row
from generator.until import LEAST, least_n

SERVICE_MS, BUSY, BEFORE_MS = 10.0, 0.5, 40.0
_TRUTH_RUNS = 400
_MOST = 20

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Law:
    """``shift_ms``: standard deviation of what a run has of its own; ``same``: all runs have one schedule."""

    requests: int
    shift_ms: float
    same: bool

    def schedule(self, rng: np.random.Generator) -> Values:
        return np.asarray(np.cumsum(rng.exponential(SERVICE_MS / BUSY, self.requests)))

    def run(self, rng: np.random.Generator, due_ms: Values) -> tuple[Values, Values]:
        """(latencies in ms, when each was due within [0, 1))."""
        service = rng.exponential(SERVICE_MS, self.requests)
        # Lindley's recursion, W(n+1) = max(0, W(n) + S(n) − gap), as the walk of S − gap less the lowest point that it has reached.
        walk = np.concatenate([[0.0], np.cumsum(service[:-1] - np.diff(due_ms))])
        waits = walk - np.minimum.accumulate(walk)
        return BEFORE_MS + waits + service + rng.normal(0, self.shift_ms), due_ms / (due_ms[-1] + 1)


def judged(runs: Sequence[tuple[Values, Values]], p: float, *, same: bool) -> tuple[float, Spread] | None:
    """(the merged percentile, its spread); None where the interval is withheld."""
    found: list[Estimate] = [of_quantile(values, at, p) for values, at in runs]
    worth = effective(found)
    if worth is None or worth < least_n(p):
        return None
    spread = decompose(found, paired=same)
    assert spread is not None
    return float(np.quantile(np.concatenate([values for values, _ in runs]), p)), spread


def fixed(law: Law, count: int, p: float, tries: int, rng: np.random.Generator) -> Row:
    """``count`` runs each time: is the truth inside, and do runs that are alike seem to differ?"""
    inside, shown, withheld, widths, noise = 0, 0, 0, [], []
    for _ in range(tries):
        schedules = _schedules(law, rng)
        truth = _truth(law, schedules, p, rng)
        runs = [law.run(rng, next(schedules)) for _ in range(count)]
        if (seen := judged(runs, p, same=law.same)) is None:
            withheld += 1
            continue
        value, spread = seen
        inside += abs(value - truth) <= spread.half_width
        shown += spread.shown
        widths.append(spread.half_width / value)
        noise.append(spread.within_share or 0.0)
    return _row(law, p) | {
        "runs": count,
        "covered_share": inside / (tries - withheld) if withheld < tries else None,
        "half_width_share": harness.median(widths) if widths else None,
        "noise_share": harness.median(noise) if noise else None,
        "called_different_share": shown / (tries - withheld) if withheld < tries else None,
        "tries": f"{tries}, {withheld} withheld",
    }


def sequential(law: Law, limit: float, p: float, tries: int, rng: np.random.Generator) -> Row:
    """Until the half width is below ``limit`` of the figure, as the console repeats: is the truth inside where it ended so?"""
    inside, reached, made = 0, 0, []
    for _ in range(tries):
        schedules = _schedules(law, rng)
        truth = _truth(law, schedules, p, rng)
        runs: list[tuple[Values, Values]] = []
        while len(runs) < _MOST:
            runs.append(law.run(rng, next(schedules)))
            if len(runs) < LEAST:
                continue
            if (seen := judged(runs, p, same=law.same)) is None:
                continue
            value, spread = seen
            if spread.half_width < limit * value:
                reached += 1
                inside += abs(value - truth) <= spread.half_width
                break
        made.append(len(runs))
    return _row(law, p) | {
        "runs": f"until < {limit:.0%}: {harness.median(made):g} (median)",
        "covered_share": inside / reached if reached else None,
        "tries": f"{tries}, reached {reached}",
    }


def averaged(count: int, tries: int, rng: np.random.Generator) -> str:
    """What merging is for: p99 of ``count`` runs of 100 independent log-normal requests, merged and averaged, each ± the same width."""
    truth = float(np.exp(0.5 * NormalDist().inv_cdf(0.99)))
    hits = {"merged": 0, "averaged": 0}
    for _ in range(tries):
        values = np.exp(rng.normal(0, 0.5, (count, 100)))
        each = np.quantile(values, 0.99, axis=1)
        reach = student_ppf(0.975, count - 1) * float(each.std(ddof=1)) / math.sqrt(count)
        hits["merged"] += abs(float(np.quantile(values, 0.99)) - truth) <= reach
        hits["averaged"] += abs(float(each.mean()) - truth) <= reach
    told = " and ".join(f"{what} {n / tries:.0%}" for what, n in hits.items())
    return f"p99 of {count} runs of 100 independent requests, truth inside: {told}."


def _schedules(law: Law, rng: np.random.Generator) -> Iterator[Values]:
    """For one run after another."""
    one = law.schedule(rng)
    while True:
        yield one if law.same else law.schedule(rng)


_TRUTHS: dict[tuple[Law, float], float] = {}


def _truth(law: Law, schedules: Iterator[Values], p: float, rng: np.random.Generator) -> float:
    """Of the schedule at hand, drawn each time anew; of all schedules once."""
    if not law.same and (law, p) in _TRUTHS:
        return _TRUTHS[law, p]
    count = _TRUTH_RUNS // 4 if law.same else _TRUTH_RUNS * 2
    found = float(np.quantile(np.concatenate([law.run(rng, next(schedules))[0] for _ in range(count)]), p))
    _TRUTHS[law, p] = found
    return found


def _row(law: Law, p: float) -> Row:
    return {
        "figure": f"p{p * 100:g}",
        "seeds": "same" if law.same else "fresh",
        "requests": law.requests,
        "shift_sd_ms": law.shift_ms,
    }


def measure() -> None:
    parser = harness.arguments(__doc__)
    parser.add_argument("--tries", type=int, default=400)
    parser.add_argument("--seed", type=int, default=2026)
    options = parser.parse_args()
    made = harness.machine() | {"command": f"python -m benchmarks.repeats {shlex.join(sys.argv[1:])}".strip()}
    rng = np.random.default_rng(options.seed)
    rows = [
        fixed(Law(requests, shift, same), count, p, options.tries, rng)
        for same in (True, False)
        for shift in (0.0, 2.0)
        for requests, count, p in ((400, 5, 0.5), (400, 5, 0.95), (1000, 5, 0.99), (4000, 5, 0.99), (4000, 10, 0.99))
    ]
    rows += [
        sequential(Law(requests, shift, same), limit, p, options.tries, rng)
        for same in (True, False)
        for requests, shift, limit, p in ((4000, 0.0, 0.08, 0.99), (400, 2.0, 0.05, 0.5))
    ]
    harness.finish(
        options, "Intervals over repeated runs", made, rows, *(averaged(k, options.tries, rng) for k in (5, 10))
    )


if __name__ == "__main__":
    harness.main(measure)
