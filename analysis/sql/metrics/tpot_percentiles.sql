-- name: tpot_percentiles
-- question: How long does an output token take after the first?
-- grain: run_id, step_id
-- materialise: yes
-- column: run_id, step_id [-] the step
-- column: n [requests] requests of phase main that ended ok with more visible tokens than their first chunk held
-- column: mean_ms, min_ms, p50_ms, p75_ms, p90_ms, p95_ms, max_ms [ms] (last − first chunk) / (visible output tokens − tokens of the first chunk), one value a request
-- column: p99_ms, p999_ms [ms] the same; NULL where n is too small to bound them, see withheld
-- column: adjusted_p50_ms, adjusted_p90_ms, adjusted_p95_ms, adjusted_p99_ms [ms] with every request that failed or was
--   cancelled as infinity, because it never came: no failure may improve a percentile; NULL where answers ended ok and none has the value

SELECT run_id, step_id, unnest(distribution(CASE WHEN outcome = 'ok' THEN tpot_ms END, or_never(outcome, tpot_ms)))
FROM request_metrics
WHERE phase = 'main'
GROUP BY run_id, step_id
