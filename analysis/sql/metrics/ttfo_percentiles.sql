-- name: ttfo_percentiles
-- question: How long until the first chunk that is not reasoning?
-- grain: run_id, step_id
-- materialise: yes
-- column: run_id, step_id [-] the step
-- column: n [requests] requests of phase main that ended ok and streamed such a chunk
-- column: mean_ms, min_ms, p50_ms, p75_ms, p90_ms, p95_ms, max_ms [ms] first chunk that is not reasoning − scheduled; equals TTFT where reasoning is hidden or absent
-- column: p99_ms, p999_ms [ms] the same; NULL where n is too small to bound them, see withheld
-- column: adjusted_p50_ms, adjusted_p90_ms, adjusted_p95_ms, adjusted_p99_ms [ms] with every request that failed or was
--   cancelled as infinity, because it never came: no failure may improve a percentile; NULL where answers ended ok and none has the value

SELECT run_id, step_id, unnest(distribution(CASE WHEN outcome = 'ok' THEN ttfo_ms END, or_never(outcome, ttfo_ms)))
FROM request_metrics
WHERE phase = 'main'
GROUP BY run_id, step_id
