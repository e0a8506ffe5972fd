-- name: icl_percentiles
-- question: How long between neighbouring chunks, over all responses of the step?
-- grain: run_id, step_id
-- materialise: yes
-- column: run_id, step_id [-] the step
-- column: n [gaps] gaps in responses of phase main that ended ok
-- column: mean_ms, min_ms, p50_ms, p75_ms, p90_ms, p95_ms, max_ms [ms] inter-chunk latency, to 1 us; it may be called ITL only
--   where step_summary's icl_is_itl says so
-- column: p99_ms [ms] the same; NULL where n is too small to bound it, see withheld
-- column: p999_ms [ms] the same; NULL also where inexact stamps could move it by more than max(1 ms, 1 %)

WITH means AS (
    SELECT run_id, step_id, sum(gap_us * n) / sum(n) / 1000 AS mean_ms
    FROM icl_counts
    GROUP BY run_id, step_id
),

certainty AS (
    SELECT run_id, step_id, moved_ms <= limit_ms AS certain
    FROM icl_bounds
    WHERE q = 0.999
)

SELECT
    q.run_id,
    q.step_id,
    any_value(q.n) AS n,
    any_value(m.mean_ms) AS mean_ms,
    min(q.ms) FILTER (WHERE q.probability = 0) AS min_ms,
    min(q.ms) FILTER (WHERE q.probability = 0.5) AS p50_ms,
    min(q.ms) FILTER (WHERE q.probability = 0.75) AS p75_ms,
    min(q.ms) FILTER (WHERE q.probability = 0.9) AS p90_ms,
    min(q.ms) FILTER (WHERE q.probability = 0.95) AS p95_ms,
    min(q.ms) FILTER (WHERE q.probability = 0.99 AND q.n >= least_n(0.99)) AS p99_ms,
    CASE WHEN bool_and(c.certain) THEN min(q.ms) FILTER (WHERE q.probability = 0.999 AND q.n >= least_n(0.999)) END AS p999_ms,
    min(q.ms) FILTER (WHERE q.probability = 1) AS max_ms
FROM icl_quantiles AS q
JOIN means AS m USING (run_id, step_id)
JOIN certainty AS c USING (run_id, step_id)
WHERE q.bound = 'seen'
GROUP BY q.run_id, q.step_id
