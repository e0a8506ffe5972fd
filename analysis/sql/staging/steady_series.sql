-- name: steady_series
-- question: How do TTFT and what is in flight run through each step, request by request?
-- grain: run_id, step_id, series, place
-- column: run_id, step_id [-] steps that should be steady: a ramp should not, and a trace repeats somebody's day; these have no rows
-- column: series [-] ttft: of requests of phase main that ended ok, in the order in which they were due; E2E where the answer came whole.
--   in_flight: sent and not ended, over the whole run, when each of phase main was sent
-- column: place [-] 0, 1, … in that order
-- column: since_s [s] when it was due or sent, from the start of the step's window
-- column: value [ms or requests] the series

WITH judged AS (
    SELECT run_id, step_id, window_start_ns
    FROM step_windows
    WHERE coalesce(arrivals, '') <> 'trace'
        AND coalesce(rate_end_rps, rate_rps, 0) = coalesce(rate_rps, 0)
        AND coalesce(concurrency_end, concurrency, 0) = coalesce(concurrency, 0)
),

values_of AS (
    SELECT run_id, step_id, 'ttft' AS series, request_id, scheduled_ns AS at_ns, coalesce(ttft_ms, e2e_ms) AS value
    FROM request_metrics
    WHERE phase = 'main' AND outcome = 'ok'
    UNION ALL
    SELECT m.run_id, m.step_id, 'in_flight' AS series, m.request_id, m.sent_ns AS at_ns, c.in_flight::DOUBLE AS value
    FROM request_metrics AS m
    JOIN concurrency_at_send AS c USING (run_id, request_id)
    WHERE m.phase = 'main'
)

SELECT
    v.run_id,
    v.step_id,
    v.series,
    row_number() OVER (PARTITION BY v.run_id, v.step_id, v.series ORDER BY v.at_ns, v.request_id) - 1 AS place,
    (v.at_ns - j.window_start_ns) / 1e9 AS since_s,
    v.value
FROM values_of AS v
JOIN judged AS j ON v.run_id = j.run_id AND v.step_id = j.step_id
WHERE v.value IS NOT NULL
