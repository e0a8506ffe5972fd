"""What does a token cost the client? CPU µs (user + system), everything decoded and recorded, one token a segment, paced.

The socket transport, the aiohttp transport, a bare C epoll reader (``native/reader.c``) and the same in bare Python (``bare_reader.py``) take
turns against the simulator with fixed TTFT 50 ms and ITL 10 ms; the order is reversed in every other round, and figures are medians over rounds.

CPU is that of all client processes (coordinator, workers, their threads) between the first and the last token, from samples of
the process tree twenty times a second; nothing is subtracted. The worker's share alone is the slope of its own health rows. What workers
spend after the last token, to write what they still hold, is in the last column: all CPU from the first token to their end.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks import harness
from benchmarks.accuracy import ITL, OUTPUT_TOKENS, TTFT
from benchmarks.cpu import Sample, cpu_between
from benchmarks.processes import BenchmarkError, closed_loop, native, openloop, simulator

C_READER, BARE_PYTHON = "C reader", "bare Python"

_TOKENS = "SELECT count(*) AS tokens, min(t_ns) AS first_ns, max(t_ns) AS last_ns FROM '{run}/tokens.parquet'"
_WORKERS = """
    SELECT sum(cpu_s) AS cpu_s, sum(tokens) AS tokens FROM (
        SELECT max(cpu_s) - min(cpu_s) AS cpu_s, max(tokens) - min(tokens) AS tokens
        FROM '{run}/health.parquet' WHERE worker_id >= 0 AND t_ns BETWEEN {first_ns} AND {last_ns} GROUP BY worker_id
    )
"""


def of_reader(streams: int, seconds: float, client: str = C_READER) -> harness.Row:
    """One run of a bare reader; it reads its own CPU at the first arrival and at the last token."""
    with simulator(None, ttft=TTFT, itl=ITL, jitter=0) as server:
        words = [str(native("reader"))] if client == C_READER else [sys.executable, "-m", "benchmarks.bare_reader"]
        words += [str(server["port"]), str(streams), f"{seconds:g}", str(OUTPUT_TOKENS)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"the {client} ended with {done.returncode}: {done.stderr}")
    said = json.loads(done.stdout)
    return {
        "us_per_token": said["cpu_s"] * 1e6 / said["tokens"],
        "tokens_per_s": said["tokens"] * 1e9 / (said["last_ns"] - said["first_ns"]),
        "worker_us": None,
        "to_the_end_us": None,
    }


def of_openloop(folder: Path, transport: str, streams: int, seconds: float, run_id: str) -> harness.Row:
    with simulator(None, ttft=TTFT, itl=ITL, jitter=0) as server:
        scenario = closed_loop(server["url"], streams, OUTPUT_TOKENS, seconds)
        client = openloop(scenario, run_id, folder, "--workers", "1", "--transport", transport)
    seen = harness.query(_TOKENS.format(run=client.run))[0]
    if not seen["tokens"]:
        raise BenchmarkError(f"{client.run}: no tokens")
    workers = harness.query(_WORKERS.format(run=client.run, **seen))[0]
    return {
        "us_per_token": cpu_between(client.samples, seen["first_ns"], seen["last_ns"]) * 1e6 / seen["tokens"],
        "tokens_per_s": seen["tokens"] * 1e9 / (seen["last_ns"] - seen["first_ns"]),
        "worker_us": workers["cpu_s"] * 1e6 / workers["tokens"] if workers["tokens"] else None,
        "to_the_end_us": _until_workers_end(client.samples, client.worker_pids(), seen["first_ns"])
        * 1e6
        / seen["tokens"],
    }


def _until_workers_end(samples: tuple[Sample, ...], workers: list[int], first_ns: int) -> float:
    """CPU seconds of all client processes from the first token until the last sample that has a worker in it."""
    alive = [s.t_ns for s in samples if any(pid in s.cpu_s for pid in workers)]
    if not alive:
        raise BenchmarkError("no worker was seen among the client's processes")
    return cpu_between(samples, first_ns, alive[-1])


def summary(streams: int, client: str, rounds: list[harness.Row], floor: list[harness.Row]) -> harness.Row:
    """Medians over rounds; the ratio is the median of the rounds' own, as each has its own reader run beside it."""
    costs = [r["us_per_token"] for r in rounds]

    def middle(name: str) -> float | None:
        values = [r[name] for r in rounds if r[name] is not None]
        return harness.median(values) if values else None

    return {
        "streams": streams,
        "client": client,
        "us_per_token": harness.median(costs),
        "least_us": min(costs),
        "most_us": max(costs),
        "times_the_c_reader": harness.median([c / f["us_per_token"] for c, f in zip(costs, floor, strict=True)]),
        "tokens_per_s": middle("tokens_per_s"),
        "worker_us": middle("worker_us"),
        "to_the_end_us": middle("to_the_end_us"),
        "rounds": len(rounds),
    }


def measure() -> None:
    parser = harness.arguments(__doc__)
    parser.add_argument("--streams", type=int, nargs="+", default=[64, 512])
    parser.add_argument("--transports", nargs="+", default=["socket", "aiohttp"])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    made = harness.machine()
    clients = [options.transports[0], C_READER, *options.transports[1:], BARE_PYTHON]
    rows = []
    with harness.folder(options) as folder:
        for streams in options.streams:
            rounds: dict[str, list[harness.Row]] = {c: [] for c in clients}
            for n in range(options.rounds):
                for client in clients if n % 2 == 0 else reversed(clients):
                    rounds[client].append(
                        of_reader(streams, options.seconds, client)
                        if client in (C_READER, BARE_PYTHON)
                        else of_openloop(folder, client, streams, options.seconds, f"cost-{client}-{streams}-{n}")
                    )
            rows += [summary(streams, c, rounds[c], rounds[C_READER]) for c in clients]
    note = (
        "us per token: all client processes, first to last token; least and most over the rounds. worker: the slope of the worker's "
        "own health rows. to the end: all CPU from the first token until the workers have ended, over the same tokens."
    )
    harness.finish(options, "Cost: client CPU per token", made, rows, note)


if __name__ == "__main__":
    harness.main(measure)
