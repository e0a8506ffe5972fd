"""How often is a step called unsteady, when it is steady and when it is not?

Steps of known character are drawn in virtual time and written as run folders; what is counted is the rule `steady` of the verdict, by
the relation `steadiness`. Beside it: how often MSER-5 alone hits its bound, and how often an ordinary t-test of the slope would have spoken.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from analysis import catalog, database
from benchmarks import harness, queues

LAWS = {
    "steady: M/M/1, ρ 0.5": queues.mm1(0.5),
    "steady: M/M/1, ρ 0.8": queues.mm1(0.8),
    "steady: from empty, ρ 0.8": queues.from_empty(0.8),
    "steady: side by side": queues.side_by_side(0.0),
    "growing: ρ 1.1": queues.from_empty(1.1),
    "growing: ρ 1.5": queues.from_empty(1.5),
    "drift: 20 % slower by the end": queues.side_by_side(0.2),
    "drift: ρ 0.5, then 0.75": queues.from_empty(0.5, 0.5),
}
ONE_IN_200 = 2.76
"""Student's t of 28 degrees of freedom, which 30 means and two parameters leave."""


def ordinary(values: queues.Floats) -> bool:
    """The slope of 30 means, against noise that it takes for independent."""
    y = np.array([part.mean() for part in np.array_split(values, 30)])
    x = np.arange(30) - 14.5
    slope = x @ y / (x @ x)
    left = y - y.mean() - slope * x
    return bool(slope > ONE_IN_200 * math.sqrt(left @ left / 28 / (x @ x)))


def repeated(name: str, n: int, runs: int, seed: int, into: Path) -> harness.Row:
    rng = np.random.default_rng(seed)
    spoken: list[tuple[bool, ...]] = []
    for part in range(0, runs, queues.A_FOLDER):
        drawn = [LAWS[name](n, rng) for _ in range(min(queues.A_FOLDER, runs - part))]
        run = queues.folder(into / f"{len(spoken)}-{n}-{list(LAWS).index(name)}", drawn)
        with database.open_runs([run]) as con:
            rows = catalog.run(con, "steadiness").dicts()
        for step_id, (_, took_s) in enumerate(drawn):
            ttft, in_flight = (
                next(r for r in rows if (r["step_id"], r["series"]) == (step_id, series))
                for series in ("ttft", "in_flight")
            )
            apart = not ttft["steady"], not in_flight["steady"]
            spoken.append((*apart, any(apart), ttft["at_bound"] or in_flight["at_bound"], ordinary(took_s)))
    shares = np.mean(np.array(spoken, dtype=float), axis=0)
    keys = ("by_ttft_share", "by_in_flight_share", "unsteady_share", "mser5_bound_share", "ordinary_t_share")
    return {"step": name, "requests": n} | {key: float(share) for key, share in zip(keys, shares, strict=True)}


def measure() -> None:
    parser = harness.arguments(__doc__)
    parser.add_argument("--runs", type=int, default=400, help="repetitions of each line")
    parser.add_argument("--requests", type=int, nargs="+", default=[200, 600, 3_000])
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    made = harness.machine()
    with harness.folder(options) as folder:
        rows = [repeated(name, n, options.runs, options.seed, folder) for name in LAWS for n in options.requests]
    note = f"{options.runs} repetitions a line. A slope speaks of noise alone once in 200 times by its own law; there are two of them."
    harness.finish(options, "How often a step is called unsteady", made, rows, note)


if __name__ == "__main__":
    harness.main(measure)
