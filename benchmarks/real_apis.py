"""Every API of a real model's server, directly and through a real gateway: do the client's tokens and times agree with the server's log?

One request at a time, so that the n-th answer is the n-th entry of llama.cpp's log. Tokens: what ``usage`` told openloop against what the
log counts. Times: first token − sent against the log's prompt time, and last − first token against its time for the others. The
prompt cache is left on, as users have it; prompts are all different, each API's are drawn by a seed of their own, so that little more
than the chat template's start is found in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.processes import BenchmarkError, openloop
from benchmarks.real_gateway import gateway
from benchmarks.real_model import Timing, settled, timings
from benchmarks.real_target import NAME, serving

KEY_VARIABLE = "OPENLOOP_GATEWAY_KEY"
DIRECT = ("openai-chat", "openai-completions", "openai-responses", "anthropic-messages")
THROUGH = ("openai-chat", "anthropic-messages")

_ANSWERS = """
    WITH rows AS (
        SELECT run_id, request_id, count(*) AS rows, min(t_ns) AS first_ns, max(t_ns) AS last_ns
        FROM read_parquet($tokens) GROUP BY ALL
    )
    SELECT request_id, outcome, error_message, token_source, finish_reason, input_tokens, cached_tokens, output_tokens,
        server_ms, rows, (first_ns - sent_ns) / 1e6 AS ttft_ms, (last_ns - first_ns) / 1e6 AS decode_ms
    FROM read_parquet($requests) LEFT JOIN rows USING (run_id, request_id)
    WHERE phase = 'main' ORDER BY done_ns
"""


def scenario(url: str, api: str, requests: int, seed: int, **target: Any) -> dict[str, Any]:
    return {
        "name": f"real-{api}",
        "seed": seed,
        # The likeliest token each time: a drawn one may be a fraction of an emoji, and a fraction has no event.
        "target": {"url": url, "api": api, "model": NAME, "body": {"temperature": 0}, **target},
        "probe": 1,
        "workload": {"input_tokens": 48, "output_tokens": 16},
        "steps": [{"arrivals": "closed", "concurrency": 1, "requests": requests}],
    }


def answers(run: Path) -> list[harness.Row]:
    """What was recorded of each request, in order of completion."""
    return harness.query(_ANSWERS, requests=f"{run}/requests.parquet", tokens=f"{run}/tokens.parquet")


def compare(seen: list[harness.Row], told: list[Timing]) -> harness.Row:
    """Counts of equal tokens, and the medians of the times and of their differences. Raises BenchmarkError where nothing answered."""
    pairs = [(row, timing) for row, timing in zip(seen, told, strict=True) if row["outcome"] == "ok"]
    if not pairs:
        raise BenchmarkError(f"no answer of {len(seen)} went well: {seen[:1]}")
    return {
        "requests": len(seen),
        "ok": len(pairs),
        "token_source": ", ".join(sorted({str(row["token_source"]) for row, _ in pairs})),
        "output_tokens_equal": sum(row["output_tokens"] == timing.predicted_tokens for row, timing in pairs),
        "input_tokens_equal": sum(_processed(row) == timing.prompt_tokens for row, timing in pairs),
        "rows_per_token": sum(row["rows"] for row, _ in pairs) / sum(timing.predicted_tokens for _, timing in pairs),
        "ttft_ms": harness.median([row["ttft_ms"] for row, _ in pairs]),
        "server_prompt_ms": harness.median([timing.prompt_ms for _, timing in pairs]),
        "ttft_minus_prompt_ms": harness.median([row["ttft_ms"] - timing.prompt_ms for row, timing in pairs]),
        "decode_ms": harness.median([row["decode_ms"] for row, _ in pairs]),
        "server_decode_ms": harness.median([timing.predicted_ms for _, timing in pairs]),
    }


def _processed(row: harness.Row) -> int | None:
    """Input that was not found in the cache, which is what the log counts; None where usage does not tell."""
    return None if row["input_tokens"] is None else row["input_tokens"] - (row["cached_tokens"] or 0)


@contextmanager
def _key(value: str) -> Iterator[None]:
    os.environ[KEY_VARIABLE] = value
    try:
        yield
    finally:
        del os.environ[KEY_VARIABLE]


def _measured(
    log: Path, name: str, made: Mapping[str, Any], folder: Path, rows: list[harness.Row], verdicts: set[str]
) -> None:
    before = len(timings(log.read_text()))
    client = openloop(made, name, folder)
    seen = answers(client.run)
    told = settled(log, before + made["probe"] + len(seen))
    manifest = client.manifest()
    verdicts.add(f"{name} {manifest['verdict']} {'; '.join(manifest['reasons'])}".strip())
    # The probe's answers come first.
    rows.append({"target": name} | compare(seen, told[-len(seen) :]))


def measure() -> None:
    parser = harness.arguments(__doc__)
    parser.add_argument("--requests", type=int, default=20)
    parser.add_argument("--no-gateway", action="store_true")
    options = parser.parse_args()
    made = harness.machine()
    rows: list[harness.Row] = []
    verdicts: set[str] = set()
    with harness.folder(options) as folder:
        log = folder / "real-server.log"
        with serving(log) as server:
            for seed, api in enumerate(DIRECT, 1):
                _measured(log, api, scenario(server["url"], api, options.requests, seed), folder, rows, verdicts)
            if not options.no_gateway:
                with gateway(server["url"], folder) as proxy, _key(proxy.key):
                    for seed, api in enumerate(THROUGH, 11):
                        key = f"${{{KEY_VARIABLE}}}"
                        wanted = scenario(proxy.url, api, options.requests, seed, api_key=key)
                        _measured(log, f"gateway-{api}", wanted, folder, rows, verdicts)
        with serving(folder / "real-embeddings.log", "embeddings") as server:
            wanted = scenario(server["url"], "openai-embeddings", options.requests, 21)
            client = openloop(wanted, "openai-embeddings", folder)
            vectors = answers(client.run)
    good = [row for row in vectors if row["outcome"] == "ok"]
    note = (
        f"Embeddings, by a server started for them: {len(good)} of {len(vectors)} ok, input tokens told by usage in "
        f"{sum(row['input_tokens'] is not None for row in good)} of them."
    )
    harness.finish(
        options,
        "A real model's server and a real gateway, API by API",
        made,
        rows,
        note,
        "Verdicts: " + ", ".join(sorted(verdicts)) + ".",
    )


if __name__ == "__main__":
    harness.main(measure)
