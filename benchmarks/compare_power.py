"""How often a comparison is right: fabricated sides of known truth, weighed by the code that weighs runs.

Drawn with numpy, nothing is sent: TTFTs are lognormal (CV 0.3) with autocorrelation between neighbours, in part the prompt's, which both
sides share; answers have 16 to 64 tokens at 10 ms with 5 % noise. A drift slows both sides alike as time goes on.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis import compare
from benchmarks import harness

Floats = npt.NDArray[np.float64]
BASE_MS = 100.0
SPREAD = 0.3


@dataclass(frozen=True)
class Truth:
    """``shift``: the arm's TTFTs over the baseline's, less 1. ``slows``: how much both slow over the run, in a line. ``wanders``: standard
    deviation of a random walk of both's speed, a step of it for each turn of an arm."""

    name: str
    shift: float = 0.0
    slows: float = 0.0
    wanders: float = 0.0


TRUTHS = (
    Truth("A against A"),
    Truth("5 % slower TTFT", shift=0.05),
    Truth("slows by 30 % over the run", slows=0.3),
    Truth("speed wanders, 3 % a turn", wanders=0.03),
    Truth("5 % slower TTFT, and slows by 30 %", shift=0.05, slows=0.3),
)


def correlated(rng: np.random.Generator, n: int, rho: float) -> Floats:
    """AR(1) of variance 1."""
    noise = rng.normal(size=n) * np.sqrt(1 - rho * rho)
    found = np.empty(n)
    last = float(rng.normal())
    for i in range(n):
        last = found[i] = rho * last + noise[i]
    return found


def sides(
    rng: np.random.Generator, truth: Truth, blocks: int, each: int, rho: float, *, turns: bool
) -> tuple[compare.Side, compare.Side]:
    """Baseline and arm. ``turns``: A B, B A, ...; else the whole baseline first, the arm after it, as runs made apart."""
    steps = 2 * blocks
    walk = np.cumsum(rng.normal(scale=truth.wanders, size=steps))
    made: dict[str, list[tuple[int, int, dict[str, Floats]]]] = {"a": [], "b": []}
    for block in range(blocks):
        prompt, tokens = rng.normal(size=each), rng.integers(16, 65, size=each)
        order = ("a", "b") if block % 2 == 0 else ("b", "a")
        for place, arm in enumerate(order):
            at = 2 * block + place if turns else block + (arm == "b") * blocks
            own = correlated(rng, each, rho)
            speed = (1 + truth.slows * (at + np.linspace(0, 1, each)) / steps) * np.exp(walk[at])
            shift = truth.shift if arm == "b" else 0.0
            ttft = BASE_MS * np.exp(SPREAD * (0.6 * prompt + 0.8 * own)) * (1 + shift) * speed
            tpot = 10 * np.exp(0.05 * rng.normal(size=each)) * speed
            columns = {"ttft_ms": ttft, "tpot_ms": tpot, "e2e_ms": ttft + tpot * (tokens - 1), "ok": np.ones(each)}
            made[arm].append((block, place + 1, columns | {k: np.full(each, np.nan) for k in ("good", "cost_usd")}))
    first, second = (_side(rows, each) for rows in made.values())
    return first, second


def _side(rows: list[tuple[int, int, dict[str, Floats]]], each: int) -> compare.Side:
    return compare.Side(
        np.repeat([block for block, _, _ in rows], each),
        np.repeat([place for _, place, _ in rows], each),
        {name: np.concatenate([columns[name] for _, _, columns in rows]) for name in rows[0][2]},
    )


def counted(truth: Truth, args: argparse.Namespace, *, turns: bool) -> harness.Row:
    """Shares of the repetitions, and how often the interval of TTFT's p50 held the truth."""
    shown = found = held = 0
    widths, whole = [], []
    for number in range(args.pairs):
        rng = np.random.default_rng((args.seed, number))
        a, b = sides(rng, truth, args.blocks, args.requests // args.blocks, args.rho, turns=turns)
        kind: compare.Kind = "in turns" if turns else "apart"
        rows = compare.weigh(kind, "A", ["B"], [("B", "load", a, b)], [list(range(args.blocks)) if turns else []])[
            "figures"
        ]
        median = next(row for row in rows if row["metric"] == "ttft_ms" and row["figure"] == "p50")
        shown += any(row["verdict"] in ("better", "worse") for row in rows)
        found += median["verdict"] == "worse"
        # The truth of a relative shift: what the baseline's own median, taken here, becomes by it.
        held += median["relative_low"] <= truth.shift <= median["relative_high"]
        widths.append((median["relative_high"] - median["relative_low"]) / 2)
        whole.append(median["from_turns"])
    return {
        "truth": truth.name,
        "made": "in turns" if turns else "apart",
        "any_difference_shown_pct": 100 * shown / args.pairs,
        "ttft_p50_worse_pct": 100 * found / args.pairs,
        "ttft_p50_interval_held_pct": 100 * held / args.pairs,
        "half_width_pct": 100 * float(np.mean(widths)),
        "as_wide_as_turns_pct": 100 * float(np.mean(whole)),
    }


def measure() -> None:
    parser = harness.arguments(__doc__)
    parser.add_argument("--pairs", type=int, default=100, help="comparisons of each truth")
    parser.add_argument("--requests", type=int, default=4000, help="of each side")
    parser.add_argument("--blocks", type=int, default=10)
    parser.add_argument("--rho", type=float, default=0.4, help="autocorrelation of neighbouring requests")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    made = harness.machine()
    rows = [counted(truth, args, turns=turns) for truth in TRUTHS for turns in (True, False)]
    title = f"{args.pairs} comparisons of each, {args.requests:,} requests a side in {args.blocks} blocks"
    harness.finish(args, title, made, rows)


if __name__ == "__main__":
    harness.main(measure)
