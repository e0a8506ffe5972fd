"""Limiters, blind: kinds, sizes and refills drawn at random, found again from what was recorded of requests that they refused.

``--tables`` of them are reference limiters (benchmarks/onset/reference.py) behind a drawn network, written as run folders; ``--runs`` are
the simulator's own, reached by ``openloop run``. The table has every limiter; the summary counts a wrong kind as wrong in all it says.
"""

from __future__ import annotations

import math
import shlex
import sys
from pathlib import Path

import numpy as np

from analysis import database, ratelimit
from benchmarks import harness
from benchmarks.harness import Row
from benchmarks.onset import draw, tables, tool
from benchmarks.onset.draw import Limit
from generator.run_dir import RunDir

NEAR = 0.02
"""A refill this close, relatively, is right."""


def measure() -> None:
    parser = harness.arguments(__doc__)
    parser.add_argument("--tables", type=int, default=60, help="reference limiters behind a drawn network")
    parser.add_argument("--runs", type=int, default=16, help="the simulator's limiters, through the whole tool")
    parser.add_argument("--seed", type=int, default=2026)
    options = parser.parse_args()
    made = harness.machine() | {"command": f"python -m benchmarks.onset {shlex.join(sys.argv[1:])}".strip()}
    with harness.folder(options) as folder:
        rows = [_table(folder, number, options.seed) for number in range(options.tables)]
        rows += [_run(folder, number, options.seed) for number in range(options.runs)]
    for name, of in (("tables", rows[: options.tables]), ("the whole tool", rows[options.tables :]), ("all", rows)):
        if of:
            print(f"{name}: {summary(of)}\n")
    if options.json:
        harness.finish(options, "Limiters, blind", made, rows)
        return
    columns = {
        k: k
        for k in (
            "limiter",
            "truth",
            "size",
            "refill_per_s",
            "jitter",
            "refused",
            "found",
            "certain",
            "misclassified",
            "refill_error",
            "covered",
        )
    }
    print(harness.show("Limiters, blind", made, [{k: row[k] for k in columns} for row in rows]))


def summary(rows: list[Row]) -> str:
    """``kind right 57 of 60, onset covered 56 of 60, refill within 2 % 44 of 45``."""
    rates = [row for row in rows if row["law"] != "concurrency"]
    parts = [f"kind right {sum(r['kind'] == 'right' for r in rows)} of {len(rows)}"]
    parts.append(f"onset covered {sum(r['covered'] == 'yes' for r in rows)} of {len(rows)}")
    near = sum(r["refill_error"] is not None and abs(r["refill_error"]) <= NEAR for r in rates)
    parts.append(f"refill within 2 % {near} of {len(rates)}")
    parts.append(f"size covered {sum(r['size_covered'] == 'yes' for r in rows)} of {len(rows)}")
    return ", ".join(parts)


def _table(folder: Path, number: int, seed: int) -> Row:
    rng = np.random.default_rng((seed, number))
    law = draw.LAWS[number % len(draw.LAWS)]
    charge = "requests" if law == "concurrency" else str(rng.choice(draw.CHARGES))
    limit, traffic, jitter = draw.limit_and_traffic(rng, law, charge, float(rng.choice([1, 10, 60])))
    run = tables.write(folder / f"table-{number}", traffic, *draw.outcome([limit], traffic))
    return _judged(f"table {number}", run, limit, jitter)


def _run(folder: Path, number: int, seed: int) -> Row:
    limit, scenario, jitter = tool.draw(np.random.default_rng((seed, 1000 + number)), number)
    run = tool.run(folder, f"run-{number}", scenario, seed + number)
    return _judged(f"run {number}", run, limit, jitter)


def _judged(name: str, run: RunDir, limit: Limit, jitter: str) -> Row:
    """What was found of one limiter beside its truth. ``also`` names charges that this run cannot tell apart: any of them is right."""
    with database.open_runs([run]) as con:
        report = ratelimit.judge(con)
    target = report["targets"][0] if report else {"limiters": [], "why": "nothing was refused", "certain": False}
    row: Row = {
        "limiter": name,
        "law": limit.law,
        "truth": _kind(limit.law, limit.charge, limit.window_s),
        "size": limit.size,
        "refill_per_s": None if math.isnan(limit.refill) else limit.refill,
        "jitter": jitter,
        "refused": target.get("rate_limited"),
        "found": "; ".join(_kind(f["law"], f["charge"], f["window_s"]) for f in target["limiters"]) or target["why"],
        "certain": "yes" if target["certain"] else "no",
        "misclassified": target.get("misclassified"),
        "kind": "wrong",
        "refill_error": None,
        "covered": "no",
        "size_covered": "no",
    }
    if len(target["limiters"]) != 1:
        return row
    found = target["limiters"][0]
    factors = {found["charge"] or "requests": 1.0}
    factors |= {a["charge"]: a["size"] / found["size"] for a in found["also"]}
    if (found["law"], found["window_s"]) != (limit.law, limit.window_s) or limit.charge not in factors:
        return row
    factor = factors[limit.charge]
    size = _inside(limit.size, found["size_low"], found["size_high"], factor)
    row |= {"kind": "right", "size_covered": size, "covered": size}
    if limit.law != "concurrency":
        row["refill_error"] = found["refill_per_s"] * factor / limit.refill - 1
        row["covered"] = _inside(limit.refill, found["refill_per_s_low"], found["refill_per_s_high"], factor)
    return row


def _inside(truth: float, low: float, high: float | None, factor: float) -> str:
    rounding = 1e-9 * truth
    above = high is None or truth <= high * factor + rounding
    return "yes" if low * factor - rounding <= truth and above else "no"


def _kind(law: str, charge: str | None, window_s: float | None) -> str:
    window = "" if window_s is None else f" {window_s:g} s"
    return f"{law}{window}" if law == "concurrency" else f"{law}{window}, {charge}"


if __name__ == "__main__":
    harness.main(measure)
