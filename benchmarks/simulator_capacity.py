"""What a paced token costs the simulator: CPU µs per content token of one process, and how late its writes are.

A C reader (``native/reader.c``) drives a closed loop of streams; one token is one event in one ``send(2)``. CPU is user + system of
the simulator alone, its truth log included, between two instants while all streams run, over the tokens that the truth log
says were written between them. Lateness is write_ns − due_ns of the same tokens. The kernel's share is the system time: a send over
loopback runs the receiver's side of TCP, too, in the sender's time. Kept waiting is the share of the time in which its loop was ready to run and
the machine ran somebody else (``/proc/PID/schedstat``): where it is not near 0, lateness is the neighbours'.
"""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import psutil

from benchmarks import harness
from benchmarks.processes import BenchmarkError, native, pinned, simulator

TTFT = "50ms"
TOKENS = 300
SETTLE_S = 1.0


def measured(folder: Path, streams: int, itl: str, seconds: float) -> harness.Row:
    reader = native("reader")
    with simulator(folder, cpu=0, ttft=TTFT, itl=itl, jitter=0.05) as server:
        process = psutil.Process(server["pids"][0])
        command = [str(reader), str(server["port"]), str(streams), str(seconds + 2 * SETTLE_S), str(TOKENS)]
        client = subprocess.Popen(pinned(command, 1), stdout=subprocess.PIPE)
        time.sleep(SETTLE_S)
        before, waited_ns, first_ns = process.cpu_times(), _waited_ns(process.pid), time.monotonic_ns()
        time.sleep(seconds)
        after, waited_ns, last_ns = process.cpu_times(), _waited_ns(process.pid) - waited_ns, time.monotonic_ns()
        out, _ = client.communicate(timeout=60)
        if client.returncode != 0:
            raise BenchmarkError(f"the reader ended with {client.returncode}: {out.decode(errors='replace')}")
        json.loads(out)
    found = harness.query(
        f"""
        SELECT count(*) AS tokens, avg(complete::INT) AS whole,
            quantile_cont((write_ns - due_ns) / 1e3, 0.5) AS p50, quantile_cont((write_ns - due_ns) / 1e3, 0.99) AS p99
        FROM '{folder}/truth-tokens-*.parquet' WHERE write_ns BETWEEN {first_ns} AND {last_ns}
        """
    )[0]
    user_s, system_s = after.user - before.user, after.system - before.system
    window_s = (last_ns - first_ns) / 1e9
    return {
        "streams": streams,
        "itl": itl,
        "tokens_per_s": found["tokens"] / window_s,
        "cpu_us_per_token": (user_s + system_s) / found["tokens"] * 1e6,
        "of_it_system_us": system_s / found["tokens"] * 1e6,
        "cpu_share": (user_s + system_s) / window_s,
        "kept_waiting_share": waited_ns / (last_ns - first_ns),
        "late_p50_us": found["p50"],
        "late_p99_us": found["p99"],
        "sent_whole_share": found["whole"],
    }


def _waited_ns(pid: int) -> int:
    """Time that the process's first thread spent runnable and not running, in ns."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1])


def measure() -> None:
    parser = harness.arguments(__doc__)
    parser.add_argument("--streams", default="64,512,640", help="by comma")
    parser.add_argument("--itl", default="10ms")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    made = harness.machine()
    rows = []
    with harness.folder(options) as folder:
        for streams in map(int, options.streams.split(",")):
            tries = [
                measured(folder / f"{streams}-{n}", streams, options.itl, options.seconds)
                for n in range(options.repeat)
            ]
            rows.append(
                {name: harness.median([t[name] for t in tries]) if name != "itl" else options.itl for name in tries[0]}
            )
    note = f"Medians of {options.repeat}; simulator on CPU 0, reader on CPU 1; {TOKENS} tokens an answer, TTFT {TTFT}, jitter 5 %."
    harness.finish(options, "Capacity of one simulator process", made, rows, note)


if __name__ == "__main__":
    harness.main(measure)
