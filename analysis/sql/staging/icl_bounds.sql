-- name: icl_bounds
-- question: How far could inexact stamps move each percentile of inter-chunk latency?
-- grain: run_id, step_id, q
-- column: run_id, step_id [-] the step
-- column: q [-] the percentile
-- column: n [gaps] gaps of the step
-- column: ms [ms] as stamped
-- column: low_ms, high_ms [ms] with every inexact gap at its least and at its most
-- column: moved_ms [ms] the larger of the two moves
-- column: limit_ms [ms] max(1 ms, 1 %): a percentile that could move further is not certain

WITH sides AS (
    SELECT
        run_id,
        step_id,
        probability AS q,
        min(n) AS n,
        min(ms) FILTER (WHERE bound = 'seen') AS ms,
        min(ms) FILTER (WHERE bound = 'low') AS low_ms,
        min(ms) FILTER (WHERE bound = 'high') AS high_ms
    FROM icl_quantiles
    GROUP BY run_id, step_id, probability
)

SELECT
    run_id,
    step_id,
    q,
    n,
    ms,
    low_ms,
    high_ms,
    greatest(ms - low_ms, high_ms - ms) AS moved_ms,
    greatest(1, ms / 100) AS limit_ms
FROM sides
