-- name: icl_quantiles
-- question: What are the percentiles of the gaps between chunks, and how far could inexact stamps move them?
-- grain: run_id, step_id, bound, probability
-- materialise: yes
-- column: run_id, step_id [-] the step
-- column: bound [-] seen: the gaps as stamped; low and high: every inexact gap at its least and at its most
-- column: probability [-] 0 to 1
-- column: n [gaps] gaps of the step
-- column: ms [ms] the percentile, interpolated as the macro percentile does, from gaps rounded to 1 us

WITH bounds AS (
    SELECT
        run_id,
        step_id,
        n,
        unnest([{bound: 'seen', us: gap_us}, {bound: 'low', us: low_us}, {bound: 'high', us: high_us}], recursive := true)
    FROM icl_counts
),

counted AS (
    SELECT run_id, step_id, bound, us, sum(n)::BIGINT AS n
    FROM bounds
    GROUP BY ALL
),

ranked AS (
    SELECT
        *,
        sum(n) OVER (PARTITION BY run_id, step_id, bound ORDER BY us) AS upto,
        sum(n) OVER (PARTITION BY run_id, step_id, bound) AS total
    FROM counted
),

-- The value of rank k (from 0) is the smallest one with more than k values up to it.
neighbours AS (
    SELECT
        run_id,
        step_id,
        bound,
        probability,
        any_value(total)::BIGINT AS n,
        any_value(probability * (total - 1)) AS rank,
        min(us) FILTER (WHERE upto > floor(probability * (total - 1))) AS below_us,
        min(us) FILTER (WHERE upto > ceil(probability * (total - 1))) AS above_us
    FROM ranked
    CROSS JOIN (SELECT unnest([0, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1]::DOUBLE[]) AS probability)
    GROUP BY run_id, step_id, bound, probability
)

SELECT
    run_id,
    step_id,
    bound,
    probability,
    n,
    (below_us + (above_us - below_us) * (rank - floor(rank))) / 1000 AS ms
FROM neighbours
