"""Many streams over several APIs at once, with every fault that the simulator can make: is any outcome misnamed?

One simulator, one run, a target an API, workloads by weight. Each request of the run folder is held against the simulator's truth log, by
x-request-id: what the simulator did decides which outcome it must have, and what it told (tokens, status, chunks) must be in the row.
A request that was sent twice (its connection died before any byte of the answer) is held against what happened the second time.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.processes import openloop, simulator

STREAMED: dict[str, dict[str, Any]] = {
    "openai-chat": {},
    "openai-completions": {},
    "openai-responses": {},
    "anthropic-messages": {},
    "http-json": {
        "stream": True,
        "http": {
            "path": "/predict",
            "body": {"input": "{{prompt}}", "max_tokens": "{{max_tokens}}", "stream": "{{stream}}"},
            "answer": "$.text",
            "error": "$.error",
        },
    },
}
"""API → what its target needs beside URL and model."""

UNSTREAMED: dict[str, dict[str, Any]] = {"openai-embeddings": {"stream": False}}

OUTCOMES = {
    "ok": "ok",
    "refused": "rate_limited",
    "overloaded": "overloaded",
    "client_error": "client_error",
    "gone": "cancelled",
    "429": "rate_limited",
    "quota": "quota",
    "500": "server_error",
    "503": "overloaded",
    "reset": "truncated",
    "stall": "timeout",
    "truncated": "truncated",
    "no-finish": "truncated",
    "bad-json": "stream_error",
    "bad-framing": "stream_error",
    "error-in-200": "stream_error",
    "overloaded-in-200": "overloaded",
}
"""What the simulator did, by the fault that it made or else by its own outcome → the outcome that openloop must record. ``gone``: the
client left, which it does here by plan alone.
"""

OF_PLAIN_HTTP = {"no-finish": "ok", "bad-json": "ok", "overloaded-in-200": "stream_error"}
"""Where a plain service differs: it has no end mark, nothing says what its events must be, and its errors have no types."""

FAULTS = tuple(name for name in OUTCOMES if name not in ("ok", "refused", "overloaded", "client_error", "gone"))

_JOINED = """
    WITH expected(api, did, outcome) AS (SELECT unnest($apis), unnest($dids), unnest($outcomes)),
    truth AS (
        SELECT *, CASE WHEN outcome = 'fault' THEN fault ELSE outcome END AS did
        FROM read_parquet($truth)
        QUALIFY row_number() OVER (PARTITION BY x_request_id ORDER BY request_number DESC) = 1
    ),
    client AS (
        SELECT *, run_id || '-' || request_id AS x_request_id
        FROM read_parquet($requests) WHERE phase <> 'probe' AND sent_ns IS NOT NULL
    ),
    rows AS (SELECT run_id, request_id, count(*) AS token_rows FROM read_parquet($tokens) GROUP BY ALL),
    joined AS (
        SELECT t.api, t.did, e.outcome AS expected, c.outcome, c.error_type, c.error_message,
            t.status, c.http_status, coalesce(r.token_rows, 0) AS token_rows, t.written_chunks, t.streamed,
            c.input_tokens, t.input_tokens AS input_told, c.output_tokens, t.output_tokens AS output_told,
            c.reasoning_tokens, t.reasoning_tokens AS reasoning_told, c.cached_tokens, t.cached_tokens AS cached_told,
            c.api AS client_api, c.request_id
        FROM truth t FULL JOIN client c USING (x_request_id)
        LEFT JOIN expected e ON e.api = t.api AND e.did = t.did
        LEFT JOIN rows r ON r.run_id = c.run_id AND r.request_id = c.request_id
    )
"""

_TABLE = (
    _JOINED
    + """
    SELECT coalesce(api, client_api) AS api, did, expected AS outcome,
        count(*) FILTER (WHERE api IS NOT NULL) AS truth_count,
        count(*) FILTER (WHERE outcome = expected) AS client_count,
        count(*) FILTER (WHERE outcome IS DISTINCT FROM expected OR client_api IS DISTINCT FROM api) AS misnamed
    FROM joined GROUP BY ALL ORDER BY api, truth_count DESC, did
"""
)

_COUNTS = (
    _JOINED
    + """
    SELECT count(*) AS answers,
        count(*) FILTER (WHERE http_status IS DISTINCT FROM status) AS other_status,
        count(*) FILTER (WHERE streamed AND token_rows <> written_chunks) AS other_chunks,
        count(*) FILTER (WHERE has_counts AND input_tokens IS DISTINCT FROM input_told) AS other_input_tokens,
        count(*) FILTER (WHERE has_counts AND generates AND output_tokens IS DISTINCT FROM output_told) AS other_output_tokens,
        count(*) FILTER (WHERE has_counts AND generates AND coalesce(reasoning_tokens, 0) <> reasoning_told)
            AS other_reasoning_tokens,
        count(*) FILTER (WHERE has_counts AND generates AND cached_tokens IS DISTINCT FROM cached_told) AS other_cached_tokens
    FROM (SELECT *, api <> 'http-json' AS has_counts, api <> 'openai-embeddings' AS generates FROM joined)
    WHERE did = 'ok'
"""
)

_MISNAMED = (
    _JOINED
    + """
    SELECT api, did, expected, outcome, error_type, error_message, count(*) AS n
    FROM joined WHERE outcome IS DISTINCT FROM expected GROUP BY ALL ORDER BY n DESC LIMIT 20
"""
)


def expected(api: str, did: str) -> str:
    return OF_PLAIN_HTTP.get(did, OUTCOMES[did]) if api == "http-json" else OUTCOMES[did]


def scenario(targets: Mapping[str, Mapping[str, Any]], steps: list[dict[str, Any]], **workload: Any) -> dict[str, Any]:
    """All of ``targets`` alike by weight; ``workload``: more keys of each. Time limits are short, since a stall ends by one."""
    return {
        "name": "mixed",
        "seed": 42,
        "targets": dict(targets),
        "workloads": [
            {"name": name, "target": name, "weight": 1, "input_tokens": 16, "output_tokens": 32, **workload}
            for name in targets
        ],
        "probe": 0,
        "timeouts": {"idle": "2s", "first_token": "5s", "total": "6s"},
        "steps": steps,
    }


def target(url: str, api: str, **more: Any) -> dict[str, Any]:
    return {"url": url, "api": api, "model": "simulated", **STREAMED.get(api, {}), **more}


def outcomes(run: Path, truth: Path) -> list[harness.Row]:
    """API × what the simulator did: the outcome that it must have, how often by the truth, how often in the run, and how many
    of these requests have another one.
    """
    return _asked(_TABLE, run, truth)


def counts(run: Path, truth: Path) -> harness.Row:
    """Of the answers that went well: how many rows differ from the truth, by what they differ in."""
    return _asked(_COUNTS, run, truth)[0]


def misnamed(run: Path, truth: Path) -> list[harness.Row]:
    """What is wrong, for whoever looks for the reason."""
    return _asked(_MISNAMED, run, truth)


def limits_told(run: Path) -> list[harness.Row]:
    """API and the limit on requests that its answers told, refusals included."""
    sql = "SELECT DISTINCT api, limit_requests FROM read_parquet($requests) WHERE limit_requests IS NOT NULL"
    return harness.query(sql, requests=f"{run}/requests.parquet")


def _asked(sql: str, run: Path, truth: Path) -> list[harness.Row]:
    pairs = [(api, did) for api in [*STREAMED, *UNSTREAMED] for did in OUTCOMES]
    return harness.query(
        sql,
        apis=[api for api, _ in pairs],
        dids=[did for _, did in pairs],
        outcomes=[expected(api, did) for api, did in pairs],
        truth=f"{truth}/truth-requests-*.parquet",
        requests=f"{run}/requests.parquet",
        tokens=f"{run}/tokens.parquet",
    )


def side_by_side(rows: list[harness.Row]) -> list[harness.Row]:
    """A row a thing that the simulator did, a column an API: how often openloop has the right outcome, of how often it happened."""
    found: dict[str, harness.Row] = {}
    for row in rows:
        line = found.setdefault(row["did"], {"the_simulator_did": row["did"], "outcome": OUTCOMES.get(row["did"])})
        line[row["api"]] = f"{row['client_count']:,} of {row['truth_count']:,}"
    return list(found.values())


def measure() -> None:
    parser = harness.arguments(__doc__)
    parser.add_argument("--streams", type=int, default=512)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--share", type=float, default=0.01, help="of each fault, of all requests")
    parser.add_argument("--apis", default="openai-chat,openai-responses,anthropic-messages", help="by comma, or all")
    options = parser.parse_args()
    apis = [*STREAMED, *UNSTREAMED] if options.apis == "all" else options.apis.split(",")
    made = harness.machine()
    with harness.folder(options) as folder:
        truth = folder / "truth"
        faults = ",".join(f"{name}={options.share}" for name in FAULTS)
        with simulator(truth, ttft="50ms", itl="20ms", fault=faults, reasoning="25%", cached="50%") as server:
            steps = [{"arrivals": "closed", "concurrency": options.streams, "duration": f"{options.seconds:g}s"}]
            targets = {api: target(server["url"], api) for api in apis}
            client = openloop(scenario(targets, steps), "mixed", folder)
        rows = outcomes(client.run, truth)
        other = counts(client.run, truth)
        wrong = misnamed(client.run, truth)
        verdict = client.manifest()["verdict"]
    total = sum(row["truth_count"] for row in rows)
    answers = other.pop("answers")
    differing = ", ".join(f"{name.removeprefix('other_').replace('_', ' ')} {n}" for name, n in other.items())
    note = (
        f"{options.streams} streams at once, {total:,} requests; misnamed: {sum(row['misnamed'] for row in rows)}. Of {answers:,} "
        f"answers that went well, rows that differ from the truth: {differing}. The run judged itself {verdict}."
    )
    notes = [note, *(f"misnamed: {row}" for row in wrong)]
    harness.finish(options, "Several APIs at once, and every fault", made, side_by_side(rows), *notes)


if __name__ == "__main__":
    harness.main(measure)
