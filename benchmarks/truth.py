"""The client's records against the simulator's truth log, joined by x-request-id and chunk: how wrong is each stamp?

The truth of a token is the clock read right before its send(2). Loopback carries it to the client's socket within microseconds,
so t_ns − write_ns is the error of a stamp plus that way. An exact stamp is held against it directly; an inexact one claims
only an interval, (arrival before it, t_ns], which must hold the truth.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks import harness
from benchmarks.processes import BenchmarkError

_JOINED = """
    WITH client AS (
        SELECT r.request_id, r.run_id || '-' || r.request_id AS x_request_id, r.sent_ns, r.last_read_before_ns,
            CASE WHEN t.read_index = r.merged_read THEN r.merged_after_ns END AS merged_after_ns,
            t.chunk_index, t.t_ns, t.read_index, t.exact,
            t.chunk_index = max(t.chunk_index) OVER (PARTITION BY r.request_id) AS is_last,
            max(t.t_ns) OVER (
                PARTITION BY r.request_id ORDER BY t.read_index RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS read_before_ns
        FROM '{run}/requests.parquet' r JOIN '{run}/tokens.parquet' t USING (run_id, request_id)
        WHERE r.phase <> 'probe'
    ),
    truth AS (
        SELECT q.x_request_id, q.received_ns, t.chunk_index, t.write_ns
        FROM '{truth}/truth-requests-*.parquet' q JOIN '{truth}/truth-tokens-*.parquet' t USING (request_number)
    ),
    joined AS (
        SELECT *, (t_ns - write_ns) / 1e3 AS error_us, greatest(coalesce(read_before_ns, last_read_before_ns, sent_ns), merged_after_ns) AS after_ns
        FROM client JOIN truth USING (x_request_id, chunk_index)
    )
"""

_STAMPS = (
    _JOINED
    + """
    SELECT count(*) AS tokens,
        (SELECT count(*) FROM client) - count(*) AS tokens_without_truth,
        count(*) / ((max(t_ns) - min(t_ns)) / 1e9) AS tokens_per_s,
        avg(exact::INT) FILTER (WHERE NOT is_last) AS exact_share,
        quantile_cont(error_us, 0.5) FILTER (WHERE exact) AS exact_error_p50_us,
        quantile_cont(error_us, 0.99) FILTER (WHERE exact) AS exact_error_p99_us,
        max(abs(error_us)) FILTER (WHERE exact) AS exact_error_max_us,
        quantile_cont(error_us, 0.5) AS any_error_p50_us,
        quantile_cont(error_us, 0.99) AS any_error_p99_us,
        count(*) FILTER (WHERE NOT exact) AS inexact,
        count(*) FILTER (WHERE NOT exact AND (write_ns <= after_ns OR write_ns > t_ns)) AS inexact_outside,
        max(greatest(after_ns - write_ns, write_ns - t_ns) / 1e3)
            FILTER (WHERE NOT exact AND (write_ns <= after_ns OR write_ns > t_ns)) AS outside_max_us,
        quantile_cont(error_us, 0.5) FILTER (WHERE chunk_index = 0) AS ttft_error_p50_us,
        quantile_cont(error_us, 0.99) FILTER (WHERE chunk_index = 0) AS ttft_error_p99_us,
        quantile_cont((received_ns - sent_ns) / 1e3, 0.99) FILTER (WHERE chunk_index = 0) AS sent_to_received_p99_us
    FROM joined
"""
)

_GAPS = (
    _JOINED
    + """,
    gaps AS (
        SELECT t_ns - lag(t_ns) OVER of_request AS client_ns, write_ns - lag(write_ns) OVER of_request AS truth_ns
        FROM joined WINDOW of_request AS (PARTITION BY request_id ORDER BY chunk_index)
    )
    SELECT quantile_cont(client_ns, 0.5) / 1e6 AS icl_p50_ms, quantile_cont(truth_ns, 0.5) / 1e6 AS icl_p50_truth_ms,
        quantile_cont(client_ns, 0.99) / 1e6 AS icl_p99_ms, quantile_cont(truth_ns, 0.99) / 1e6 AS icl_p99_truth_ms
    FROM gaps
"""
)

_LATENCIES = (
    _JOINED
    + """,
    latencies AS (
        SELECT request_id, count(*) AS n,
            (min(t_ns) - any_value(sent_ns)) / 1e6 AS ttft_ms, (min(write_ns) - any_value(received_ns)) / 1e6 AS ttft_truth_ms,
            (max(t_ns) - min(t_ns)) / 1e6 / nullif(n - 1, 0) AS tpot_ms,
            (max(write_ns) - min(write_ns)) / 1e6 / nullif(n - 1, 0) AS tpot_truth_ms
        FROM joined GROUP BY request_id
    ),
    figures AS (
        SELECT 'TTFT from the send' AS figure, ttft_ms AS client, ttft_truth_ms AS truth FROM latencies
        UNION ALL
        SELECT 'TPOT', tpot_ms, tpot_truth_ms FROM latencies WHERE tpot_ms IS NOT NULL
    )
    SELECT figure, count(*) AS requests,
        quantile_cont(client, 0.5) AS client_p50_ms, quantile_cont(truth, 0.5) AS truth_p50_ms,
        quantile_cont(client, 0.99) AS client_p99_ms, quantile_cont(truth, 0.99) AS truth_p99_ms,
        quantile_cont(client - truth, 0.5) AS difference_p50_ms, quantile_cont(client - truth, 0.99) AS difference_p99_ms,
        max(abs(client - truth)) AS difference_max_ms
    FROM figures GROUP BY figure ORDER BY figure DESC
"""
)

_LOST = """
    SELECT (SELECT count(*) FROM '{truth}/truth-requests-*.parquet') AS requests_truth,
        (SELECT count(*) FROM '{run}/requests.parquet' WHERE sent_ns IS NOT NULL) AS requests_recorded,
        (SELECT count(*) FROM '{truth}/truth-tokens-*.parquet') AS tokens_written,
        (SELECT count(*) FROM '{run}/tokens.parquet') AS tokens_recorded
"""


def stamps(run: Path, truth: Path) -> harness.Row:
    """Errors of a run's stamps in µs, share of exact ones (each response's last aside), inexact ones outside their interval."""
    row = _one(_STAMPS, run, truth)
    if not row["tokens"]:
        raise BenchmarkError(f"{run}: no token joins the truth log in {truth}; is the x-request-id header sent?")
    return {**row, **_one(_GAPS, run, truth)}


def latencies(run: Path, truth: Path) -> list[harness.Row]:
    """TTFT and TPOT in ms, a row each: the client's, the truth's, and the difference request by request.

    The truth's TTFT is first token's write − end of the request's recv(2), so the way to the server is part of the difference.
    """
    return harness.query(_LATENCIES.format(run=run, truth=truth))


def lost(run: Path, truth: Path) -> harness.Row:
    """Requests and tokens, as the simulator counts them and as the run folder does."""
    return _one(_LOST, run, truth)


def _one(sql: str, run: Path, truth: Path) -> harness.Row:
    return harness.query(sql.format(run=run, truth=truth))[0]
