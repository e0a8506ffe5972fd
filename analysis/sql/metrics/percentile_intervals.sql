-- name: percentile_intervals
-- question: Between which bounds do the percentiles of each latency lie, given that neighbouring requests resemble one another?
-- grain: run_id, step_id, metric, q
-- materialise: yes
-- column: run_id, step_id, metric [-] the step; ttft, ttft_wire, ttfo, ttst, tpot, ntpot, icl, e2e, lateness, as in latency_summary
-- column: q [-] 0.5, 0.9, 0.95, 0.99, 0.999
-- column: n [values] requests, or gaps for icl
-- column: n_effective [values] as many independent ones would be as sure; NULL for icl of fewer than ten requests, which cannot tell
-- column: least_n [values] as many independent ones as it takes to bound the percentile on both sides: by the binomial law p99 368 and p99.9
--   3,688, in fact 415 and 4,179 at least, and more where few degrees of freedom tell how alike neighbours are
-- column: ms [ms] the percentile; NULL where n is below 299 for p99, 2,995 for p99.9: not even independent values would bound it from above
-- column: low_ms, high_ms [ms] its 95 % interval: order statistics at the ranks that a binomial law gives for n_effective, scaled back to
--   n; high is NULL where n_effective is below least_n, low too where the percentile is the median or its rank would be below the first
-- column: reason [-] why high is NULL, in words; NULL where it is not

-- Under load latencies are autocorrelated, and the plain binomial interval covers a third or less of what it promises. What the
-- indicator 1{x <= percentile} varies between 30 stretches of time, beyond what independence allows, says by how much n shrinks.
WITH ordered AS (
    SELECT run_id, step_id, metric, list(ms ORDER BY ms) AS values_ms
    FROM latency_samples
    GROUP BY run_id, step_id, metric
),

-- Interpolated between order statistics, as the macro percentile does.
quantiles AS (
    SELECT
        run_id,
        step_id,
        metric,
        len(values_ms) AS n,
        list_transform(
            [0.5, 0.9, 0.95, 0.99, 0.999]::DOUBLE[],
            lambda q: values_ms[1 + floor(q * (len(values_ms) - 1))::BIGINT]
            + (q * (len(values_ms) - 1) - floor(q * (len(values_ms) - 1)))
            * (
                values_ms[1 + ceil(q * (len(values_ms) - 1))::BIGINT]
                - values_ms[1 + floor(q * (len(values_ms) - 1))::BIGINT]
            )
        ) AS at_ms
    FROM ordered
),

counted AS (
    SELECT
        s.run_id,
        s.step_id,
        s.metric,
        s.batch,
        count(*) AS size,
        count(*) FILTER (WHERE s.ms <= k.at_ms[1]) AS p50,
        count(*) FILTER (WHERE s.ms <= k.at_ms[2]) AS p90,
        count(*) FILTER (WHERE s.ms <= k.at_ms[3]) AS p95,
        count(*) FILTER (WHERE s.ms <= k.at_ms[4]) AS p99,
        count(*) FILTER (WHERE s.ms <= k.at_ms[5]) AS p999
    FROM latency_samples AS s
    JOIN quantiles AS k ON s.run_id = k.run_id AND s.step_id = k.step_id AND s.metric = k.metric
    GROUP BY s.run_id, s.step_id, s.metric, s.batch
),

batches AS (
    SELECT run_id, step_id, metric, batch, size, unnest([
        {q: 0.5::DOUBLE, hits: p50}, {q: 0.9::DOUBLE, hits: p90}, {q: 0.95::DOUBLE, hits: p95}, {q: 0.99::DOUBLE, hits: p99},
        {q: 0.999::DOUBLE, hits: p999}
    ], recursive := true)
    FROM counted
    UNION ALL BY NAME
    SELECT 'icl' AS metric, * FROM icl_batches
),

stretches AS (
    SELECT run_id, step_id, metric, q, list(hits ORDER BY batch) AS hits, list(size ORDER BY batch) AS sizes
    FROM batches
    GROUP BY run_id, step_id, metric, q
),

effective AS (
    SELECT
        run_id,
        step_id,
        metric,
        q,
        list_sum(sizes)::BIGINT AS n,
        -- With fewer requests than two a stretch nothing can be said of their dependence: n stands. Gaps are never independent.
        CASE
            WHEN metric = 'icl' AND len(sizes) < 10 THEN NULL
            WHEN metric <> 'icl' AND list_sum(sizes) < 60 THEN list_sum(sizes)
            ELSE effective_n(hits, sizes)
        END AS n_effective,
        student_975(
            CASE
                WHEN metric <> 'icl' AND list_sum(sizes) < 60 THEN 29
                ELSE greatest(2, len(sizes) / widening(persistence(deviations(hits, sizes))) - 1)
            END
        ) AS student
    FROM stretches
),

-- An end whose rank lies outside of the sample is no end: the largest value is an upper bound only of a percentile whose interval by
-- Student's quantile, which may be much wider than the normal law's, ends within the sample.
bounded AS (
    SELECT
        *,
        q - student * sqrt(q * (1 - q) / n_effective) AS low_share,
        q + student * sqrt(q * (1 - q) / n_effective) AS high_share,
        greatest(least_n_two_sided(q), ceil(student ^ 2 * greatest(q, 1 - q) / least(q, 1 - q))::BIGINT) AS least_n
    FROM effective
),

ranks AS (
    SELECT
        *,
        greatest(1, floor(n * low_share))::BIGINT AS low_rank,
        least(n, ceil(n * high_share) + 1)::BIGINT AS high_rank
    FROM bounded
),

-- The least gap that so many gaps do not exceed is the order statistic.
gaps AS (
    SELECT run_id, step_id, gap_us, sum(sum(n)) OVER (PARTITION BY run_id, step_id ORDER BY gap_us) AS up_to
    FROM icl_counts
    GROUP BY run_id, step_id, gap_us
),

gap_bounds AS (
    SELECT
        r.run_id,
        r.step_id,
        r.q,
        min(g.gap_us) FILTER (WHERE g.up_to >= r.low_rank) / 1000 AS low_ms,
        min(g.gap_us) FILTER (WHERE g.up_to >= r.high_rank) / 1000 AS high_ms
    FROM ranks AS r
    JOIN gaps AS g ON r.run_id = g.run_id AND r.step_id = g.step_id
    WHERE r.metric = 'icl'
    GROUP BY r.run_id, r.step_id, r.q
)

SELECT
    run_id,
    step_id,
    metric,
    q,
    r.n,
    r.n_effective,
    r.least_n,
    CASE
        WHEN q >= 0.99 AND r.n < least_n(q) THEN NULL
        ELSE coalesce(i.ms, k.at_ms[list_position([0.5, 0.9, 0.95, 0.99, 0.999], q)])
    END AS ms,
    CASE
        WHEN r.n_effective >= r.least_n OR (q > 0.5 AND r.n >= least_n(q) AND r.low_share > 0)
            THEN coalesce(o.values_ms[r.low_rank], b.low_ms)
    END AS low_ms,
    CASE WHEN r.n_effective >= r.least_n THEN coalesce(o.values_ms[r.high_rank], b.high_ms) END AS high_ms,
    CASE
        WHEN r.n_effective IS NULL THEN 'n too small: gaps of fewer than ten requests'
        WHEN r.n < r.least_n THEN 'n too small: ' || r.n || ' of ' || r.least_n
        WHEN r.n_effective < r.least_n
            THEN 'n too small: ' || r.n || ' are worth ' || floor(r.n_effective)::BIGINT || ' independent ones of ' || r.least_n
    END AS reason
FROM ranks AS r
LEFT JOIN ordered AS o USING (run_id, step_id, metric)
LEFT JOIN quantiles AS k USING (run_id, step_id, metric)
LEFT JOIN gap_bounds AS b USING (run_id, step_id, q)
LEFT JOIN icl_quantiles AS i
    ON r.run_id = i.run_id AND r.step_id = i.step_id AND r.q = i.probability AND i.bound = 'seen' AND r.metric = 'icl'
