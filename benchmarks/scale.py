"""What does a stream cost in memory, and is anything lost with thousands of them? 4,096 at once, answers of 1,000 tokens, one a 500 ms.

(peak RSS − peak RSS at 1 stream) / 4,095, over all worker processes; RSS is sampled twenty times a second from outside. The run with one
stream lasts as long as openloop needs to settle, and its answers are as long as fit into it. Rows are counted against the truth log.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks import harness, truth
from benchmarks.cpu import Sample
from benchmarks.processes import BenchmarkError, Client, closed_loop, openloop, simulator

ITL_S = 0.5
ALONE_TOKENS = 40


def peak_rss_bytes(samples: Sequence[Sample], pids: Sequence[int]) -> int:
    """The largest sum of the processes' resident memory at any one sample."""
    sums = [sum(s.rss_bytes.get(pid, 0) for pid in pids) for s in samples]
    if not any(sums):
        raise BenchmarkError("no worker was seen among the client's processes")
    return max(sums)


def one(folder: Path, streams: int, tokens: int, itl_s: float) -> tuple[Client, harness.Row]:
    """N streams, one answer each."""
    name = f"scale-{streams}"
    log = folder / f"{name}-truth"
    longest_s = tokens * itl_s * 2 + 60
    with simulator(log, ttft="50ms", itl=f"{itl_s * 1000:g}ms", jitter=0.1) as server:
        scenario = closed_loop(
            server["url"],
            streams,
            tokens,
            steps=[{"arrivals": "closed", "concurrency": streams, "requests": streams}],
            timeouts={"total": f"{longest_s:g}s"},
            drain=f"{longest_s:g}s",  # a step by number ends with its last send: the answers come in the drain
        )
        client = openloop(scenario, name, folder, "--workers", "1")
    return client, truth.lost(client.run, log)


def measure() -> None:
    parser = harness.arguments(__doc__)
    parser.add_argument("--streams", type=int, default=4096)
    parser.add_argument("--tokens", type=int, default=1000)
    parser.add_argument("--itl-s", type=float, default=ITL_S)
    options = parser.parse_args()
    made = harness.machine()
    with harness.folder(options) as folder:
        alone, _ = one(folder, 1, min(ALONE_TOKENS, options.tokens), options.itl_s)
        many, counts = one(folder, options.streams, options.tokens, options.itl_s)
        verdict = many.manifest()["verdict"]
    alone_bytes = peak_rss_bytes(alone.samples, alone.worker_pids())
    peak_bytes = peak_rss_bytes(many.samples, many.worker_pids())
    row = {
        "streams": options.streams,
        "tokens_each": options.tokens,
        "rss_at_1_mib": alone_bytes / 2**20,
        "peak_rss_mib": peak_bytes / 2**20,
        "kib_per_stream": (peak_bytes - alone_bytes) / 1024 / (options.streams - 1),
        **counts,
        "verdict": verdict,
    }
    harness.finish(options, "Scale: memory per stream, and what is lost", made, [row])


if __name__ == "__main__":
    harness.main(measure)
