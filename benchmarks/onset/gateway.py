"""A limiter of somebody else's: LiteLLM's proxy with an ``rpm`` limit, found blind by a staircase through the whole tool.

``python -m benchmarks.onset.gateway`` starts the gateway (benchmarks/real_gateway.py installs it) in front of a model that it answers for
itself, sends a staircase past the limit, and prints what was found beside what the gateway's source says. Five minutes.

The truth, of litellm 1.106 (router_utils/pre_call_checks/model_rate_limit_check.py): ``enforce_model_rate_limits`` counts a request, refused
ones too, under a key that ends in the UTC time as ``%H-%M`` and refuses where the count is above ``rpm``. That is a fixed window of 60 s which
begins with each UTC minute. Of a fixed window it makes no difference that refusals count: once it is full, all are refused until it ends.
"""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from analysis import catalog, database, ratelimit
from analysis.onset.identify import identify
from analysis.onset.limiter import FIXED, Candidate
from analysis.onset.loaded import load
from benchmarks import harness, real_gateway
from benchmarks.harness import Row
from benchmarks.processes import openloop
from benchmarks.real_gateway import Gateway
from generator.run_dir import RunDir

MODEL = "limited"
WINDOW_S = 60.0
_ANSWER = "A mock answer of a dozen words or so, always the same one, told at once."


def measure() -> None:
    parser = harness.arguments(__doc__)
    parser.add_argument("--rpm", type=int, default=40, help="requests a minute that the gateway admits")
    parser.add_argument("--seed", type=int, default=42)
    options = parser.parse_args()
    made = harness.machine() | {"command": f"python -m benchmarks.onset.gateway {shlex.join(sys.argv[1:])}".strip()}
    with harness.folder(options) as folder:
        run = RunDir(folder / "gateway-rpm")
        if not run.table_path("requests").exists():
            with limited(options.rpm, folder) as gateway:
                openloop(scenario(gateway, options.rpm), run.run_id, folder, "--seed", str(options.seed))
        rows, notes = judged(run, options.rpm)
    harness.finish(options, f"LiteLLM {real_gateway.version()} with rpm: {options.rpm}", made, rows, *notes)


@contextlib.contextmanager
def limited(rpm: int, folder: Path) -> Iterator[Gateway]:
    """The proxy in front of nothing: its model answers with a fixed text, ``rpm`` times a minute."""
    config = {
        "model_list": [
            {
                "model_name": MODEL,
                "litellm_params": {"model": "openai/none", "api_key": "none", "mock_response": _ANSWER, "rpm": rpm},
            }
        ],
        "router_settings": {"optional_pre_call_checks": ["enforce_model_rate_limits"], "num_retries": 0},
        "litellm_settings": {"num_retries": 0},
    }
    with real_gateway.serving(config, folder) as made:
        yield made


def scenario(gateway: Gateway, rpm: int) -> dict[str, Any]:
    """Two steps: one below the limit for more than a minute, one at twice of it for more than three, so that windows fill, end and fill again."""
    return {
        "name": "gateway-rpm",
        "target": {"url": gateway.url, "model": MODEL, "api_key": gateway.key},
        # Prompts of unlike lengths: with equal ones a limit in requests and one in their tokens are the same.
        "workload": {"input_tokens": {"lognormal": {"mean": 80, "sd": 120, "max": 1000}}, "output_tokens": 16},
        "expected_limit": {"rate": f"{rpm}/min", "size": rpm},
        "workers": 1,
        "pause": "5s",
        "steps": [
            {"rate": f"{0.7 * rpm:g}/min", "duration": "70s"},
            {"rate": f"{2 * rpm:g}/min", "duration": "190s"},
        ],
    }


def judged(run: RunDir, rpm: int) -> tuple[list[Row], list[str]]:
    """(truth beside what was found, what the target declares and what else may have been)."""
    with database.open_runs([run]) as con:
        report = ratelimit.judge(con)
        found = identify(load(con, "target"))
        first_ns = catalog.query(con, "SELECT min(sent_ns) FROM requests WHERE sent_ns IS NOT NULL").rows[0][0]
    target = report["targets"][0] if report else {"limiters": [], "why": "nothing was refused", "certain": False}
    said = target["limiters"][0] if len(target["limiters"]) == 1 else None
    begins = _begins(found.limiters[0].candidate, first_ns, run) if said else None
    rows: list[Row] = [
        {"figure": "kind", "truth": f"{FIXED} of {WINDOW_S:g} s, requests", "found": _kind(said) or target["why"]},
        {
            "figure": "size, requests",
            "truth": rpm,
            "found": f"{said['size']:.4g} [{said['size_low']:.4g}, {said['size_high'] or float('inf'):.4g}]"
            if said
            else None,
        },
        {
            "figure": "a minute, requests",
            "truth": rpm,
            "found": f"{said['refill_per_s'] * 60:.4g}" if said and said["refill_per_s"] else None,
        },
        {
            "figure": "windows begin, seconds after a UTC minute does",
            "truth": 0,
            "found": None if begins is None else f"{begins:.2f}",
        },
        {
            "figure": "requests, refused, treated otherwise",
            "truth": None,
            "found": ", ".join(str(target.get(k)) for k in ("looked_at", "rate_limited", "misclassified")),
        },
        {"figure": "certain", "truth": None, "found": "yes" if target["certain"] else "no"},
        {"figure": "time to the answer's headers, p50 and p99", "truth": None, "found": _slowness(run)},
        {"figure": "next best kind", "truth": None, "found": _next(target.get("runner_up"))},
    ]
    behind = [line for line in report["assumptions"] if line.startswith("Not so")] if report else []
    return rows, behind + [_said(row) for row in target.get("declared", [])]


def _said(row: Row) -> str:
    """``Declared by headers in 508 answers: a limit of 150 requests; found / declared 1.000.``"""
    told = [f"a limit of {row['limit']:g} {row['dimension']}"] if row["limit"] is not None else []
    told += [f"to wait {row['wait_s']:g} s"] if row["wait_s"] is not None else []
    ratio = "" if row["size_ratio"] is None else f"; found / declared {row['size_ratio']:.3f}"
    return f"Declared by {row['source']} in {row['answers']} answers: {', '.join(told) or 'nothing of use'}{ratio}."


def _slowness(run: RunDir) -> str:
    """A gateway that is behind counts a request long after it was sent, and the analysis assumes that it does so at once."""
    with database.open_runs([run]) as con:
        asked = "SELECT quantile_cont((headers_ns - sent_ns) / 1e6, [0.5, 0.99]) FROM requests WHERE step_id >= 0"
        ((found,),) = catalog.query(con, asked).rows
    return f"{found[0]:.0f} and {found[1]:.0f} ms"


def _begins(candidate: Candidate, first_ns: int, run: RunDir) -> float | None:
    """Seconds after the nearest beginning of a UTC minute, or before it where negative; None where each window begins with a request."""
    if candidate.law != FIXED or candidate.phase_s is None or candidate.window_s != WINDOW_S:
        return None
    anchor = run.read_manifest()["clock"]
    first_s = (first_ns - anchor["monotonic_ns"] + anchor["utc_ns"]) / 1e9
    return float((first_s + candidate.phase_s + WINDOW_S / 2) % WINDOW_S - WINDOW_S / 2)


def _kind(limiter: Row | None) -> str | None:
    if limiter is None:
        return None
    window = f" of {limiter['window_s']:g} s" if limiter["window_s"] else ""
    return f"{limiter['law']}{window}, {limiter['charge'] or 'in flight'}"


def _next(runner_up: Row | None) -> str | None:
    return None if runner_up is None else f"{_kind(runner_up)}: {runner_up['misclassified']} treated otherwise"


if __name__ == "__main__":
    harness.main(measure)
