"""How well a search finds the largest rate: held against the simulator's batch model, whose true largest rate long runs tell.

Two stages. ``model``: the search's own decisions against the pure timing model in virtual time, many repetitions; ``tool``: the whole of
``openloop search`` against the simulator's process. The truth of both is the model's: attainment over long runs in virtual time at a grid of
rates, a straight line between the two that enclose the target.

    python -m benchmarks.search                     # the model, 10 searches a setting
    python -m benchmarks.search --tool 3            # and three searches through the whole tool
"""

from __future__ import annotations

import heapq
import json
import statistics
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml

from analysis.searching.course import Ending, floor_and_bar, next_move, trials
from analysis.searching.observe import in_flight_at
from analysis.searching.part import Done, Goal, Limits, Order
from analysis.searching.sample import Sample, sample
from benchmarks import harness
from benchmarks.processes import OPENLOOP
from generator.job import Arrivals, Length, Step, WorkloadSpec
from generator.schedule import offsets
from simulator.model import Model, from_settings
from simulator.settings import Settings

MS = 1_000_000
INPUT_TOKENS, OUTPUT_TOKENS = 72, 16
"""As the target counts them, its chat template included."""
GRID = 0.02
WITHIN = 0.03

Times = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Setting:
    """``arrivals``: law of the gaps; ``probe_s``: the longest that a probe may take."""

    name: str
    arrivals: Arrivals
    ttft_ms: float
    target: float
    probe_s: float
    settings: Settings


ENGINE = Settings(timing="batch", max_batch=16)
SETTINGS = (
    Setting("poisson, 95 % within 250 ms", "poisson", 250, 0.95, 1800, ENGINE),
    Setting("poisson, 99 % within 500 ms", "poisson", 500, 0.99, 3600, ENGINE),
    Setting("poisson, 95 % within 250 ms, short probes", "poisson", 250, 0.95, 480, ENGINE),
    Setting("constant, 95 % within 250 ms", "constant", 250, 0.95, 480, ENGINE),
)


def schedule(setting: Setting, rate_rps: float, span_s: float, seed: int) -> npt.NDArray[np.int64]:
    """The generator's own arrivals, [n] ns."""
    spec = WorkloadSpec("w", Length("fixed", value=INPUT_TOKENS), Length("fixed", value=OUTPUT_TOKENS))
    step = Step(0, "s", "target", setting.arrivals, spec, (seed, 0), rate_rps=rate_rps, duration_ns=round(span_s * 1e9))
    return offsets(step)


def answers(model: Model, arrivals: npt.NDArray[np.int64]) -> tuple[Times, Times]:
    """(TTFT, end-to-end latency) in s of each arrival."""
    first, last = np.zeros(len(arrivals)), np.zeros(len(arrivals))

    def take(now_ns: int) -> None:
        for due_ns, number, _ in model.due(now_ns):
            if first[number] == 0:
                first[number] = due_ns
            last[number] = due_ns

    for number, t_ns in enumerate(arrivals.tolist()):
        take(t_ns - 1)
        model.arrive(number, t_ns, INPUT_TOKENS, OUTPUT_TOKENS)
    while (next_ns := model.next_ns()) is not None:
        take(next_ns)
    return (first - arrivals) / 1e9, (last - arrivals) / 1e9


def seeded(setting: Setting, seed: int) -> Model:
    return from_settings(Settings(timing="batch", max_batch=setting.settings.max_batch, seed=seed % 2**31))


def opened(setting: Setting, order: Order) -> Done:
    """An open-loop run in virtual time."""
    assert order.window_s is not None
    arrivals = schedule(setting, order.load, order.warmup_s + order.window_s, order.seed)
    ttft_s, e2e_s = answers(seeded(setting, order.seed), arrivals)
    at_s = arrivals / 1e9
    main = at_s >= order.warmup_s
    held = sample(ttft_s[main] * 1000 / setting.ttft_ms, in_flight_at(at_s[main], at_s, at_s + e2e_s))
    return Done(
        "", order.kind, order.load, order.trial, order.part, held, len(arrivals), order.warmup_s + order.window_s
    )


def closed(setting: Setting, order: Order) -> Done:
    """A rung of the ladder in virtual time."""
    model, slots, total = seeded(setting, order.seed), int(order.load), order.requests or 0
    free = [round(slot * 10 * MS) for slot in range(slots)]
    sent, first, last = ([0.0] * total for _ in range(3))
    begun = 0
    while begun < total or model.next_ns() is not None:
        next_ns = model.next_ns()
        if begun < total and free and (next_ns is None or free[0] <= next_ns):
            t_ns = heapq.heappop(free)
            model.arrive(begun, t_ns, INPUT_TOKENS, OUTPUT_TOKENS)
            sent[begun] = t_ns / 1e9
            begun += 1
            continue
        assert next_ns is not None
        for due_ns, number, sequence in model.due(next_ns):
            first[number] = first[number] or due_ns / 1e9
            last[number] = due_ns / 1e9
            if sequence.left == 0:
                heapq.heappush(free, due_ns)
    used = (np.array(first) - np.array(sent)) * 1000 / setting.ttft_ms
    ended = np.sort(np.array(last))[slots : total - slots]
    x_rps = float((len(ended) - 1) / (ended[-1] - ended[0]))
    held = Sample(total, int(np.count_nonzero(used > 1)), 1.0, growing=False)
    return Done("", "ladder", order.load, 0, 0, held, total, max(last), x_rps=x_rps, ok_rps=x_rps)


def attainment(setting: Setting, rate_rps: float, requests: int, seed: int) -> float:
    """The model's own, over one long run without its first tenth."""
    arrivals = schedule(setting, rate_rps, requests / rate_rps, seed)
    ttft_s, _ = answers(seeded(setting, seed), arrivals)
    return float(np.mean(ttft_s[len(ttft_s) // 10 :] * 1000 <= setting.ttft_ms))


def truth(setting: Setting, requests: int) -> float:
    """The rate at which the attainment is the target. Halving by shorter runs finds the neighbourhood; there, long runs at rates 1 % apart, each
    with arrivals of its own, and a straight line between the two that enclose the target, in log odds.
    """
    low, high = 1.0, 2.0
    while attainment(setting, high, 20_000, 1) >= setting.target:
        low, high = high, high * 1.5
    while high / low - 1 > GRID:
        middle = (low * high) ** 0.5
        met = attainment(setting, middle, requests // 8, round(middle * 1000)) >= setting.target
        low, high = (middle, high) if met else (low, middle)
    rates = (low * high) ** 0.5 * (1 + 0.01 * np.arange(-4, 5))
    shares = np.array([attainment(setting, rate, requests, 100 + k) for k, rate in enumerate(rates)])
    # Chance may put two of them out of order; a law that falls with the rate does not.
    odds = np.minimum.accumulate(_log_odds(shares))
    return float(np.interp(-float(_log_odds(np.array(setting.target))), -odds, rates))


def _log_odds(share: Times) -> Times:
    clipped = np.clip(share, 1e-5, 1 - 1e-5)
    return np.log(clipped / (1 - clipped))


def searched(setting: Setting, seed: int) -> tuple[Ending, Goal, list[Done]]:
    goal = Goal("rate", setting.target, seed, probe_s=setting.probe_s, pause_s=0.0)
    runs: list[Done] = []
    while not isinstance(move := next_move(goal, Limits(time_s=None), runs), Ending):
        runs.append(closed(setting, move) if move.kind == "ladder" else opened(setting, move))
    return move, goal, runs


def sweep_requests(setting: Setting, true_rps: float) -> float:
    """What a plain sweep costs that is as fine and as sure: each rate from half the true one to a quarter above it in steps of 1 %,
    for as long as the longest probe."""
    rates = true_rps / 2 * 1.01 ** np.arange(np.log(2.5) / np.log(1.01))
    return float(rates.sum() * setting.probe_s)


def in_model(repetitions: int, requests: int, only: str | None) -> Iterator[dict[str, object]]:
    for setting in SETTINGS:
        if only is not None and only not in setting.name:
            continue
        true_rps = truth(setting, requests)
        errors, spent, waits = [], [], []
        for seed in range(repetitions):
            end, goal, runs = searched(setting, seed)
            found, _ = floor_and_bar(trials(goal, runs))
            spent.append(sum(d.sent for d in runs))
            waits.append(sum(d.elapsed_s for d in runs))
            errors.append(found / true_rps - 1 if found and end.end == "found" else -1.0)
        yield {
            "setting": setting.name,
            "probe_s": setting.probe_s,
            "true_rps": round(true_rps, 2),
            "searches": repetitions,
            "within_3_%": sum(abs(e) <= WITHIN for e in errors),
            "above_the_truth": sum(e > 0 for e in errors),
            "error_median_%": round(100 * statistics.median(errors), 2),
            "error_worst_%": round(100 * max(errors, key=abs), 2),
            "requests_median": round(statistics.median(spent)),
            "virtual_h_median": round(statistics.median(waits) / 3600, 2),
            "plain_sweep_requests": round(sweep_requests(setting, true_rps)),
        }


def in_tool(
    repetitions: int, probe_s: float, arrivals: Arrivals, requests: int, folder: Path
) -> Iterator[dict[str, object]]:
    """The shipped scenario with probes of this length, through the command line."""
    shipped = yaml.safe_load((Path(__file__).parents[1] / "scenarios" / "search-slo.yaml").read_text(encoding="utf-8"))
    shipped["steps"][0]["arrivals"] = arrivals
    shipped["workload"] |= {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS}  # what the truth is told for
    path = folder / "search-slo.yaml"
    path.write_text(yaml.safe_dump(shipped))
    setting = Setting("tool", arrivals, 250, 0.95, probe_s, ENGINE)
    true_rps = truth(setting, requests)
    for seed in range(repetitions):
        words = f"--probe-duration {probe_s:g}s --seed {seed} --max-time none --retries 10 --workers 1 --no-live --json"
        command = [*OPENLOOP, "search", str(path), "--runs-dir", str(folder / "runs"), *words.split()]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
        found = json.loads(done.stdout)
        load = found["load"]
        yield {
            "arrivals": arrivals,
            "seed": seed,
            "end": found["end"],
            "true_rps": round(true_rps, 2),
            "found_rps": load,
            "error_%": None if load is None else round(100 * (load / true_rps - 1), 2),
            "not_accepted_rps": found["not_accepted"],
            "requests": found["spent"]["requests"],
            "minutes": round(found["spent"]["seconds"] / 60, 1),
            "probes": len(found["probes"]),
            "invalid_runs": len(found["invalid"]),
            "plain_sweep_requests": round(sweep_requests(setting, true_rps)),
        }


def measure() -> None:
    parser = harness.arguments(__doc__)
    parser.add_argument(
        "--repetitions", type=int, default=10, help="searches of each setting against the model; 0: none"
    )
    parser.add_argument(
        "--truth-requests", type=int, default=1_000_000, help="requests of each long run that tells the truth"
    )
    parser.add_argument("--only", help="settings whose name has this word")
    parser.add_argument("--tool", type=int, default=0, help="searches through the whole tool")
    parser.add_argument(
        "--tool-probe", type=float, default=60.0, help="longest that one of their probes takes, seconds"
    )
    parser.add_argument("--tool-arrivals", default="constant", choices=["constant", "poisson"])
    asked = parser.parse_args()
    made = harness.machine()
    if asked.repetitions:
        rows = list(in_model(asked.repetitions, asked.truth_requests, asked.only))
        harness.finish(asked, "Against the timing model", made, rows)
    if asked.tool:
        with harness.folder(asked) as folder:
            rows = list(in_tool(asked.tool, asked.tool_probe, asked.tool_arrivals, asked.truth_requests, folder))
        harness.finish(asked, "Through the whole tool", made, rows)


if __name__ == "__main__":
    harness.main(measure)
