-- name: icl_batches
-- question: How many of the gaps between chunks lie below each percentile, in each stretch of the step?
-- grain: run_id, step_id, q, batch
-- column: run_id, step_id [-] the step
-- column: q [-] 0.5, 0.9, 0.95, 0.99, 0.999
-- column: batch [-] equal numbers of the step's requests that ended ok, 30 at most, in the order in which they were due
-- column: hits, size [gaps] gaps of the batch up to the percentile; all of them

WITH placed AS (
    SELECT run_id, step_id, request_id, ntile(30) OVER (PARTITION BY run_id, step_id ORDER BY scheduled_ns, request_id) AS batch
    FROM request_metrics
    WHERE phase = 'main' AND outcome = 'ok' AND chunks > 1
),

-- Percentiles are of gaps rounded to 1 us, and so is the comparison.
limits AS (
    SELECT
        run_id,
        step_id,
        max(ms) FILTER (WHERE probability = 0.5) * 1000 AS p50_us,
        max(ms) FILTER (WHERE probability = 0.9) * 1000 AS p90_us,
        max(ms) FILTER (WHERE probability = 0.95) * 1000 AS p95_us,
        max(ms) FILTER (WHERE probability = 0.99) * 1000 AS p99_us,
        max(ms) FILTER (WHERE probability = 0.999) * 1000 AS p999_us
    FROM icl_quantiles
    WHERE bound = 'seen'
    GROUP BY run_id, step_id
),

counted AS (
    SELECT
        p.run_id,
        p.step_id,
        p.batch,
        count(*) AS size,
        count(*) FILTER (WHERE (g.gap_ns + 500) // 1000 <= l.p50_us) AS p50,
        count(*) FILTER (WHERE (g.gap_ns + 500) // 1000 <= l.p90_us) AS p90,
        count(*) FILTER (WHERE (g.gap_ns + 500) // 1000 <= l.p95_us) AS p95,
        count(*) FILTER (WHERE (g.gap_ns + 500) // 1000 <= l.p99_us) AS p99,
        count(*) FILTER (WHERE (g.gap_ns + 500) // 1000 <= l.p999_us) AS p999
    FROM chunk_gaps AS g
    JOIN placed AS p ON g.run_id = p.run_id AND g.request_id = p.request_id
    JOIN limits AS l ON p.run_id = l.run_id AND p.step_id = l.step_id
    GROUP BY p.run_id, p.step_id, p.batch
)

SELECT run_id, step_id, batch, size, unnest([
    {q: 0.5::DOUBLE, hits: p50}, {q: 0.9::DOUBLE, hits: p90}, {q: 0.95::DOUBLE, hits: p95}, {q: 0.99::DOUBLE, hits: p99},
    {q: 0.999::DOUBLE, hits: p999}
], recursive := true)
FROM counted
