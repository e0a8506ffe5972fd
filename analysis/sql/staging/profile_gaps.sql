-- name: profile_gaps
-- question: What are the mean, the percentiles and the longest of the gaps between chunks that other tools look at?
-- grain: run_id, step_id, chunks
-- column: run_id, step_id [-] the step
-- column: chunks [-] between which chunks, as in profile_gap_counts
-- column: n [gaps] how many
-- column: mean_ms, p50_ms, p90_ms, p95_ms, p99_ms, max_ms [ms] of all of them pooled, of gaps rounded to 1 us

WITH ranked AS (
    SELECT
        *,
        sum(n) OVER (PARTITION BY run_id, step_id, chunks ORDER BY gap_us) AS upto,
        sum(n) OVER (PARTITION BY run_id, step_id, chunks) AS total
    FROM profile_gap_counts
),

-- As the macro percentile does: between the values of the ranks (from 0) below and above p (n - 1).
percentiles AS (
    SELECT
        run_id,
        step_id,
        chunks,
        p,
        min(gap_us) FILTER (WHERE upto > floor(p * (total - 1))) AS below_us,
        min(gap_us) FILTER (WHERE upto > ceil(p * (total - 1))) AS above_us,
        any_value(p * (total - 1)) AS rank
    FROM ranked
    CROSS JOIN (SELECT unnest([0.5, 0.9, 0.95, 0.99]::DOUBLE[]) AS p)
    GROUP BY run_id, step_id, chunks, p
),

placed AS (
    SELECT run_id, step_id, chunks, p, (below_us + (above_us - below_us) * (rank - floor(rank))) / 1000 AS ms
    FROM percentiles
),

wide AS (
    SELECT
        run_id,
        step_id,
        chunks,
        any_value(ms) FILTER (WHERE p = 0.5) AS p50_ms,
        any_value(ms) FILTER (WHERE p = 0.9) AS p90_ms,
        any_value(ms) FILTER (WHERE p = 0.95) AS p95_ms,
        any_value(ms) FILTER (WHERE p = 0.99) AS p99_ms
    FROM placed
    GROUP BY run_id, step_id, chunks
),

pooled AS (
    SELECT run_id, step_id, chunks, sum(n)::BIGINT AS n, sum(gap_us * n) / sum(n) / 1000 AS mean_ms, max(gap_us) / 1000 AS max_ms
    FROM profile_gap_counts
    GROUP BY run_id, step_id, chunks
)

SELECT p.run_id, p.step_id, p.chunks, p.n, p.mean_ms, w.p50_ms, w.p90_ms, w.p95_ms, w.p99_ms, p.max_ms
FROM pooled AS p
JOIN wide AS w ON p.run_id = w.run_id AND p.step_id = w.step_id AND p.chunks = w.chunks
