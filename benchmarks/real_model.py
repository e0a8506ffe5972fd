"""openloop against a real model (``benchmarks.real_target``): does what the client saw agree with what the server says it took?

Open loop, Poisson. llama.cpp reports ``timings`` with each answer: openloop stores their sum as ``requests.server_ms``, and the
server's log has the parts. The two are joined by that sum (to the log's 0.01 ms) in order of completion.

Client side, from the Parquet: ttft_wire = first token row − sent_ns; decode = last row − first row; tpot = decode / (tokens − 1).
Server side, from its log: prompt_ms (start of prompt processing to the first token sampled) and predicted_ms (from there to the last).
ttft_wire − prompt_ms is thus the wait for a slot or for the batch in progress, and the two ways through HTTP and loopback.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import harness
from benchmarks.processes import BenchmarkError, openloop
from benchmarks.real_target import NAME, serving

JOIN_MS = 0.02
"""The log rounds each of two parts to 0.01 ms."""

_TIME = re.compile(
    r"print_timing: id +\d+ \| task (?P<task>\d+) \| +(?P<part>prompt eval|eval) time = +(?P<ms>[\d.]+) ms / +(?P<tokens>\d+) tokens"
)


@dataclass(frozen=True, slots=True)
class Timing:
    """What llama.cpp's log says of one answer; ``total_ms`` is the ``server_ms`` that its client was told."""

    prompt_ms: float
    predicted_ms: float
    predicted_tokens: int
    prompt_tokens: int = 0
    """Processed for it: those found in the cache are not among them."""

    @property
    def total_ms(self) -> float:
        return self.prompt_ms + self.predicted_ms


@dataclass(frozen=True, slots=True)
class Seen:
    """What the client recorded of one answer, in order of completion."""

    server_ms: float
    ttft_wire_ms: float
    decode_ms: float
    rows: int


def timings(log: str) -> list[Timing]:
    """Every finished answer of a server's log, in order of completion."""
    prompts: dict[str, tuple[float, int]] = {}
    found: list[Timing] = []
    for match in _TIME.finditer(log):
        if match["part"] == "prompt eval":
            prompts[match["task"]] = float(match["ms"]), int(match["tokens"])
        else:
            prompt_ms, prompt_tokens = prompts.pop(match["task"])
            found.append(Timing(prompt_ms, float(match["ms"]), int(match["tokens"]), prompt_tokens))
    return found


def settled(log: Path, answers: int) -> list[Timing]:
    """The log's timings once it tells of so many answers: the server writes an entry after its answer has left.

    Raises BenchmarkError where it does not within ten seconds.
    """
    for _ in range(100):
        if len(told := timings(log.read_text())) >= answers:
            return told
        time.sleep(0.1)
    raise BenchmarkError(f"{log} tells of {len(told)} answers, not of {answers}")


def join(seen: Sequence[Seen], told: Sequence[Timing]) -> list[tuple[Seen, Timing]]:
    """Each answer with the server's account of it. Raises BenchmarkError for one without."""
    left = list(told)
    joined = []
    for s in seen:
        match = next((t for t in left if abs(t.total_ms - s.server_ms) <= JOIN_MS), None)
        if match is None:
            raise BenchmarkError(f"no answer of {s.server_ms:.2f} ms in the server's log")
        left.remove(match)
        joined.append((s, match))
    return joined


def recorded(run: Path) -> list[Seen]:
    """Answers that ended ok, probes left out."""
    query = f"""
        SELECT r.server_ms, (min(t.t_ns) - r.sent_ns) / 1e6 AS ttft_wire_ms,
            (max(t.t_ns) - min(t.t_ns)) / 1e6 AS decode_ms, count(*) AS rows
        FROM '{run}/requests.parquet' r JOIN '{run}/tokens.parquet' t USING (run_id, request_id)
        WHERE r.phase = 'main' AND r.outcome = 'ok'
        GROUP BY r.request_id, r.server_ms, r.sent_ns, r.done_ns ORDER BY r.done_ns
    """
    rows = harness.query(query)
    if not rows or any(row["server_ms"] is None for row in rows):
        raise BenchmarkError(f"{run}: answers without server_ms, of {len(rows)}")
    return [Seen(**row) for row in rows]


def compare(joined: Sequence[tuple[Seen, Timing]]) -> list[harness.Row]:
    """A row a figure: the client's, the server's, and the difference request by request."""

    def row(what: str, pairs: list[tuple[float, float]]) -> harness.Row:
        differences = [client - server for client, server in pairs]
        return {
            "figure": what,
            "client_p50_ms": harness.median([c for c, _ in pairs]),
            "server_p50_ms": harness.median([s for _, s in pairs]),
            "difference_p50_ms": harness.median(differences),
            "difference_min_ms": min(differences),
            "difference_p90_ms": harness.quantile(differences, 0.9),
            "difference_max_ms": max(differences),
        }

    several = [(s, t) for s, t in joined if s.rows > 1 and t.predicted_tokens > 1]
    return [
        row("TTFT from the send, against prompt_ms", [(s.ttft_wire_ms, t.prompt_ms) for s, t in joined]),
        row("first to last token, against predicted_ms", [(s.decode_ms, t.predicted_ms) for s, t in several]),
        row(
            "TPOT, against predicted_ms / (tokens − 1)",
            [(s.decode_ms / (t.predicted_tokens - 1), t.predicted_ms / (t.predicted_tokens - 1)) for s, t in several],
        ),
    ]


def measure() -> None:
    parser = harness.arguments(__doc__)
    parser.add_argument("--rate", default="1/s")
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    made = harness.machine()
    with harness.folder(options) as folder:
        log = folder / "real-server.log"
        with serving(log) as server:
            scenario = {
                "name": "real-model",
                "seed": 42,
                "target": {"url": server["url"], "api": "openai-chat", "model": NAME},
                "workload": {"input_tokens": 48, "output_tokens": 16},
                "steps": [{"arrivals": "poisson", "rate": options.rate, "duration": f"{options.seconds:g}s"}],
            }
            client = openloop(scenario, "real-model", folder)
        seen = recorded(client.run)
        joined = join(seen, timings(log.read_text()))
        verdict = client.manifest()["verdict"]
        planned = harness.query(f"SELECT count(*) AS n FROM '{client.run}/requests.parquet' WHERE phase = 'main'")[0][
            "n"
        ]
    tokens = sum(s.rows for s in seen), sum(t.predicted_tokens for _, t in joined)
    note = (
        f"{planned} requests, {len(seen)} ok, all found in the server's log; token rows {tokens[0]}, tokens by the "
        f"server's count {tokens[1]}; the run judged itself {verdict}."
    )
    harness.finish(options, "A real model: the client's times against the server's", made, compare(joined), note)


if __name__ == "__main__":
    harness.main(measure)
