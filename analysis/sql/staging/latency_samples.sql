-- name: latency_samples
-- question: What is each value that a request's latency percentiles are made of, and in which stretch of its step did it fall?
-- grain: run_id, request_id, metric
-- column: run_id, step_id, request_id [-] the request, of phase main: one that ended ok, for lateness one that was issued
-- column: metric [-] ttft, ttft_wire, ttfo, ttst, tpot, ntpot, e2e, lateness
-- column: ms [ms] its value; a request without one has no row
-- column: batch [-] 1 to 30: equal numbers of the step's requests in the order in which they were due

WITH placed AS (
    SELECT
        run_id,
        step_id,
        request_id,
        ntile(30) OVER (PARTITION BY run_id, step_id ORDER BY scheduled_ns, request_id) AS batch,
        outcome = 'ok' AS ok,
        issued_ns IS NOT NULL AS issued,
        ttft_ms,
        ttft_wire_ms,
        ttfo_ms,
        ttst_ms,
        tpot_ms,
        ntpot_ms,
        e2e_ms,
        lateness_ms
    FROM request_metrics
    WHERE phase = 'main'
),

long AS (
    SELECT run_id, step_id, request_id, batch, unnest([
        {metric: 'ttft', ms: CASE WHEN ok THEN ttft_ms END},
        {metric: 'ttft_wire', ms: CASE WHEN ok THEN ttft_wire_ms END},
        {metric: 'ttfo', ms: CASE WHEN ok THEN ttfo_ms END},
        {metric: 'ttst', ms: CASE WHEN ok THEN ttst_ms END},
        {metric: 'tpot', ms: CASE WHEN ok THEN tpot_ms END},
        {metric: 'ntpot', ms: CASE WHEN ok THEN ntpot_ms END},
        {metric: 'e2e', ms: CASE WHEN ok THEN e2e_ms END},
        {metric: 'lateness', ms: CASE WHEN issued THEN lateness_ms END}
    ], recursive := true)
    FROM placed
)

SELECT run_id, step_id, request_id, metric, ms, batch
FROM long
WHERE ms IS NOT NULL
