-- name: latency_summary
-- question: What are the percentiles of every latency, step by step?
-- grain: run_id, step_id, metric
-- column: run_id, step_id [-] the step
-- column: metric [-] ttft, ttft_wire, ttfo, ttst, tpot, ntpot, icl, e2e, lateness: each as <metric>_percentiles defines it
-- column: n [values] requests, or gaps for icl
-- column: mean_ms, min_ms, p50_ms, p75_ms, p90_ms, p95_ms, max_ms [ms] of requests that ended ok
-- column: p99_ms, p999_ms [ms] the same; NULL where n is too small, see withheld
-- column: adjusted_p50_ms, adjusted_p90_ms, adjusted_p95_ms, adjusted_p99_ms [ms] with failures as infinity; NULL for icl and lateness, and where answers ended ok and none has the value

SELECT 'ttft' AS metric, * FROM ttft_percentiles
UNION ALL BY NAME
SELECT 'ttft_wire' AS metric, * FROM ttft_wire_percentiles
UNION ALL BY NAME
SELECT 'ttfo' AS metric, * FROM ttfo_percentiles
UNION ALL BY NAME
SELECT 'ttst' AS metric, * FROM ttst_percentiles
UNION ALL BY NAME
SELECT 'tpot' AS metric, * FROM tpot_percentiles
UNION ALL BY NAME
SELECT 'ntpot' AS metric, * FROM ntpot_percentiles
UNION ALL BY NAME
SELECT 'icl' AS metric, * FROM icl_percentiles
UNION ALL BY NAME
SELECT 'e2e' AS metric, * FROM e2e_percentiles
UNION ALL BY NAME
SELECT 'lateness' AS metric, * FROM lateness_percentiles
