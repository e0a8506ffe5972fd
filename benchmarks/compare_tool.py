"""`openloop ab` as a whole against built-in endpoints of known difference: does the verdict find it, does the interval hold it?

Needs no network: two simulators on this machine, TTFT 40 ms with 20 % jitter, the second slower by what each run's row says.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from benchmarks import harness
from benchmarks.processes import BenchmarkError

TTFT_MS = 40.0


def run(shift: float, seed: int, args: argparse.Namespace, folder: Path) -> harness.Row:
    """One comparison and what it said of TTFT's median."""
    load = ["--rate", f"{args.rate}/s", "--duration", f"{args.seconds}s", "--blocks", str(args.blocks)]
    lengths = ["--input-tokens", "32", "--output-tokens", "8", "--seed", str(seed)]
    sets = []
    for name, ttft_ms in (("A", TTFT_MS), ("B", TTFT_MS * (1 + shift))):
        for option in (f"ttft={ttft_ms:g}ms", "itl=5ms", "jitter=0.2", f"seed={seed * 2 + (name == 'B')}"):
            sets += ["--set", f"targets.{name}.simulator.{option}"]
    command = [
        str(Path(sys.executable).with_name("openloop")),
        "ab",
        "--target",
        "A=simulator",
        "--target",
        "B=simulator",
    ]
    command += [*load, *lengths, *sets, "--runs-dir", str(folder), "--no-live", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if not done.stdout:
        raise BenchmarkError(done.stderr)
    report = json.loads(done.stdout)
    figures = report["comparison"]["figures"]
    median = next(row for row in figures if row["metric"] == "ttft_ms" and row["figure"] == "p50")
    true_ms = TTFT_MS * shift
    return {
        "seed": seed,
        "true_ms": true_ms,
        "found_ms": median["difference"],
        "low_ms": median["low"],
        "high_ms": median["high"],
        "held": "yes" if median["low"] <= true_ms <= median["high"] else "no",
        "ttft_p50": median["verdict"],
        "figures_shown": sum(row["verdict"] in ("better", "worse") for row in figures),
        "requests_a_side": median["n"][0],
        "run": report["verdict"]["verdict"],
    }


def measure() -> None:
    parser = harness.arguments(__doc__)
    parser.add_argument("--shifts", default="0,0,0,0.1,0.1,0.1", help="of B's TTFT, a run each")
    parser.add_argument("--rate", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=8.0, help="of load to each target")
    parser.add_argument("--blocks", type=int, default=8)
    args = parser.parse_args()
    made = harness.machine()
    with harness.folder(args) as folder:
        rows = [run(float(shift), seed, args, folder) for seed, shift in enumerate(args.shifts.split(","), 1)]
    harness.finish(args, "openloop ab against two built-in endpoints", made, rows)


if __name__ == "__main__":
    harness.main(measure)
