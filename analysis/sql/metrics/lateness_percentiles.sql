-- name: lateness_percentiles
-- question: How late did the generator take requests that were due?
-- grain: run_id, step_id
-- materialise: yes
-- column: run_id, step_id [-] the step
-- column: n [requests] requests of phase main that were issued, however they ended
-- column: mean_ms, min_ms, p50_ms, p75_ms, p90_ms, p95_ms, max_ms [ms] issued − scheduled
-- column: p99_ms, p999_ms [ms] the same; NULL where n is too small to bound them, see withheld

WITH described AS (
    SELECT run_id, step_id, unnest(distribution(lateness_ms, NULL::DOUBLE))
    FROM request_metrics
    WHERE phase = 'main' AND issued_ns IS NOT NULL
    GROUP BY run_id, step_id
)

-- A failure does not make the generator late, so there is nothing to adjust.
SELECT * EXCLUDE (adjusted_p50_ms, adjusted_p90_ms, adjusted_p95_ms, adjusted_p99_ms)
FROM described
