"""SLOs by name: the limits that MLPerf Inference sets for its server scenarios, each at the 99th percentile of every request.

Source: MLCommons, inference_policies and the benchmarks' reference implementations, rounds v5.0 to v6.0. MLPerf asks that the p99 of
TTFT and that of TPOT each keep its limit; a preset asks that 99 % of the requests keep both, which is never easier.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Preset:
    """Limits in milliseconds, and the share of requests that must keep both."""

    ttft_ms: float
    tpot_ms: float
    attainment: float = 0.99


PRESETS = {
    "mlperf/llama2-70b": Preset(2000, 200),
    "mlperf/llama2-70b-interactive": Preset(450, 40),
    "mlperf/llama3.1-405b": Preset(6000, 175),
    "mlperf/llama3.1-405b-interactive": Preset(4500, 80),
    "mlperf/llama3.1-8b": Preset(2000, 100),
    "mlperf/llama3.1-8b-interactive": Preset(500, 30),
    "mlperf/deepseek-r1": Preset(2000, 80),
    "mlperf/deepseek-r1-interactive": Preset(1500, 15),
    "mlperf/gpt-oss-120b": Preset(3000, 80),
    "mlperf/gpt-oss-120b-interactive": Preset(2000, 15),
    "mlperf/mixtral-8x7b": Preset(2000, 200),
}


def find(name: str) -> Preset:
    """Raises ValueError with the nearest name and all of them."""
    if name not in PRESETS:
        # Of names that all begin alike, what follows the slash decides which is meant.
        near = difflib.get_close_matches(
            name.removeprefix("mlperf/"), [n.removeprefix("mlperf/") for n in PRESETS], 1, 0.0
        )
        raise ValueError(f"no SLO preset {name!r}; nearest: {f'mlperf/{near[0]}'!r} (`openloop slos` lists all)")
    return PRESETS[name]
