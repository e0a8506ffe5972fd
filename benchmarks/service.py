"""How long does a page of 10,000 benchmarks take, and what do followers of a run's events cost the run?

The list: a catalogue that is filled with rows, asked over HTTP of `openloop serve` in a process of its own; each page as often as --rounds says.
The followers: the same benchmark against the built-in endpoint, in turns without anybody and with --followers connections to its events,
alternating which goes first. Service and followers share this machine with the run, which is the worst case: more often they are elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from benchmarks import harness
from benchmarks.processes import OPENLOOP, ROOT, BenchmarkError, environment
from console.web.catalogue.store import Store
from console.web.catalogue.tables import BenchmarkRow, TagRow

PAGES = {
    "newest": {},
    "a state, by p99 TTFT": {"state": "completed", "sort": "-ttft_p99_ms"},
    "part of a name, page 20": {"name": "stair", "page": 20},
    "a tag": {"tag": "nightly", "sort": "created"},
    "500 on a page": {"size": 500},
}
SCENARIO = {
    "target": {"url": "simulator", "simulator": {"ttft": "50ms", "itl": "20ms"}},
    "workload": {"input_tokens": 64, "output_tokens": 32},
    "workers": 1,
}


@contextlib.contextmanager
def serving(runs: Path) -> Iterator[str]:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    words = [*OPENLOOP, "serve", "--port", str(port), "--runs-dir", str(runs)]
    process = subprocess.Popen(words, cwd=ROOT, env=environment(), stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{url}/health", timeout=2).status_code == 200:
                    break
            time.sleep(0.2)
        else:
            raise BenchmarkError("openloop serve did not answer within a minute")
        yield url
    finally:
        process.terminate()
        process.wait(60)


def fill(runs: Path, count: int) -> None:
    """A catalogue as a year of nightly runs leaves it; no run folders, which a list does not read."""
    (runs / ".service").mkdir(parents=True)
    store = Store(f"sqlite:///{(runs / '.service' / 'catalogue.sqlite').resolve()}")
    with store.session.begin() as s:
        s.add_all(
            BenchmarkRow(
                id=f"run-{n:06}",
                name=("staircase", "quick", "sustained", "gateway")[n % 4],
                state="failed" if n % 17 == 0 else "completed",
                origin="api",
                model=f"model-{n % 9}",
                created_ms=1_700_000_000_000 + n * 60_000,
                figured=True,
                requests=n,
                ttft_p99_ms=(n * 7919) % 1000 / 3,
            )
            for n in range(count)
        )
        s.flush()
        s.add_all(TagRow(benchmark_id=f"run-{n:06}", tag="nightly") for n in range(0, count, 3))
    store.close()


def lists(folder: Path, count: int, rounds: int) -> list[dict[str, Any]]:
    fill(folder / "many", count)
    rows = []
    with serving(folder / "many") as url, httpx.Client(base_url=url, timeout=30) as client:
        for page, asked in PAGES.items():
            took_ms = []
            for _ in range(rounds):
                start = time.perf_counter()
                client.get("/benchmarks", params=asked).raise_for_status()
                took_ms.append((time.perf_counter() - start) * 1e3)
            ordered = sorted(took_ms)
            rows.append(
                {
                    "page": page,
                    "benchmarks": count,
                    "p50_ms": harness.median(took_ms),
                    "p95_ms": ordered[int(0.95 * (len(ordered) - 1))],
                    "max_ms": ordered[-1],
                    "rounds": rounds,
                }
            )
    return rows


async def follow(url: str, benchmark_id: str, followers: int) -> int:
    """Bytes that all of them were told until the run was over."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=None, limits=limits) as client:

        async def one() -> int:
            size = 0
            async with client.stream("GET", f"/benchmarks/{benchmark_id}/events") as stream:
                async for part in stream.aiter_bytes():
                    size += len(part)
            return size

        return sum(await asyncio.gather(*(one() for _ in range(followers))))


def watched(url: str, rate: str, duration: str, followers: int) -> dict[str, Any]:
    form = {"scenario": SCENARIO | {"steps": [{"arrivals": "constant", "rate": rate, "duration": duration}]}}
    benchmark_id = httpx.post(f"{url}/benchmarks", json=form, timeout=60).raise_for_status().json()["id"]
    told = asyncio.run(follow(url, benchmark_id, max(followers, 1))) if followers else 0
    while (found := httpx.get(f"{url}/benchmarks/{benchmark_id}?size=0", timeout=30).json())["state"] in (
        "queued",
        "running",
    ):
        time.sleep(1)
    if found["state"] != "completed":
        raise BenchmarkError(f"{benchmark_id}: {found['state']}: {found['error']}")
    report = httpx.get(f"{url}/benchmarks/{benchmark_id}/report", timeout=120).json()
    generator = report["generator"]
    return {
        "followers": followers,
        "sent": report["totals"]["requests"],
        "lateness_p50_ms": generator["lateness_p50_ms"],
        "lateness_p99_ms": generator["lateness_p99_ms"],
        "lateness_max_ms": generator["lateness_max_ms"],
        "cpu_share": generator["cpu_share"],
        "verdict": report["verdict"]["verdict"],
        "told_kib": told / 1024,
    }


def measure() -> None:
    parser = harness.arguments(__doc__)
    parser.add_argument("--benchmarks", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--followers", type=int, default=50)
    parser.add_argument("--rate", default="50/s")
    parser.add_argument("--duration", default="30s")
    parser.add_argument("--turns", type=int, default=4)
    options = parser.parse_args()
    made = harness.machine()
    with harness.folder(options) as folder:
        listed = lists(folder, options.benchmarks, options.rounds)
        runs = []
        with serving(folder / "runs") as url:
            for turn in range(options.turns):
                both = (0, options.followers) if turn % 2 == 0 else (options.followers, 0)
                runs += [watched(url, options.rate, options.duration, followers) for followers in both]
    harness.finish(options, f"A page of {options.benchmarks:,} benchmarks, over HTTP", made, listed)
    harness.finish(options, f"A run at {options.rate} with and without followers", made, runs)


if __name__ == "__main__":
    os.umask(0o077)
    harness.main(measure)
