"""The whole tool against the simulator's own limiter: a scenario is drawn, run, and only what was recorded is looked at."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np

from benchmarks.onset.draw import CHARGES, LAWS, Limit
from benchmarks.processes import OPENLOOP, ROOT, BenchmarkError
from generator.run_dir import RunDir

_WINDOWS_S = (1.0, 5.0)
_SHORT = {"token bucket": "bucket", "sliding window": "sliding", "fixed window": "fixed"}


def draw(rng: np.random.Generator, number: int) -> tuple[Limit, dict[str, object], str]:
    """(the truth, a scenario of at most 20 s that passes it, how the target's times waver in words). Laws take turns."""
    law = LAWS[number % len(LAWS)]
    charge = "requests" if law == "concurrency" else CHARGES[(number // len(LAWS)) % len(CHARGES)]
    rate, jitter = float(rng.uniform(15, 40)), float(rng.uniform(0.05, 0.6))
    ttft_s, itl_s = float(rng.uniform(0.1, 0.4)), 0.004
    given, most = (20, 300), (4, 60)
    means = (sum(given) / 2, sum(most) / 2)
    # The simulator's answers are as long as was asked for.
    each = {"requests": 1.0, "input": means[0], "max(max_tokens,input)": means[0] * 1.02}.get(charge, sum(means))
    simulator: dict[str, object] = {"ttft": f"{ttft_s * 1e3:.0f}ms", "itl": f"{itl_s * 1e3:.0f}ms", "jitter": jitter}
    if law == "concurrency":
        size = int(rng.integers(3, 14))
        limit, rate = Limit(law, "requests", size, float("nan")), size / (ttft_s + itl_s * means[1])
        simulator["concurrency"] = size
    else:
        window_s = float(rng.choice(_WINDOWS_S)) if law != "token bucket" else float(rng.uniform(0.5, 2.0))
        size = max(round(rate * each * window_s), 1 if charge == "requests" else 700)
        window_ms = round(window_s * 1e3)
        dimension = "requests" if charge == "requests" else "tokens"
        simulator["limits"] = f"{_SHORT[law]} {dimension} {size}/{window_ms}ms"
        simulator |= {} if charge == "requests" else {"charge": charge}
        refill = size / (window_ms / 1e3)
        limit, rate = Limit(law, charge, size, refill, None if law == "token bucket" else window_s), refill / each
    rate *= float(rng.uniform(0.9, 1.15))
    pause_s = 2.5
    steps = [
        {"rate": f"{rate * share:.2f}/s", "duration": f"{seconds}s"} for share, seconds in ((0.7, 3), (1.25, 6), (2, 5))
    ]
    scenario: dict[str, object] = {
        "target": {"url": "simulator", "simulator": simulator},
        "workload": {"input_tokens": {"uniform": list(given)}, "output_tokens": {"uniform": list(most)}},
        "pause": f"{pause_s}s",
        "steps": steps,
    }
    return limit, scenario, f"{jitter:.0%} of the answers' times"


def run(folder: Path, name: str, scenario: dict[str, object], seed: int) -> RunDir:
    """The sealed run. Whether the generator was punctual (exit code 3 where not) does not matter to what was admitted."""
    if RunDir(folder / name).table_path("requests").exists():  # kept from an earlier measurement with the same seed
        return RunDir(folder / name)
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(scenario))
    command = [*OPENLOOP, "run", str(path), "--no-live", "--json", "--workers", "1"]
    command += ["--seed", str(seed), "--runs-dir", str(folder), "--run-id", name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=180)
    if done.returncode not in (0, 3):
        raise BenchmarkError(f"openloop run ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    return RunDir(folder / name)
