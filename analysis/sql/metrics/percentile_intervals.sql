-- name: percentile_intervals
-- question: Between which bounds do the percentiles of TTFT, TPOT and E2E lie, given that neighbouring requests resemble one another?
-- grain: run_id, step_id, metric, q
-- column: run_id, step_id, metric [-] the step; ttft, tpot or e2e
-- column: q [-] 0.5, 0.9, 0.95, 0.99
-- column: n [requests] requests of phase main that ended ok
-- column: ms [ms] the percentile
-- column: low_ms, high_ms [ms] its 95 % interval: order statistics at the ranks that a binomial law gives for n_effective, scaled back to
--   n; high is NULL where the rank lies beyond the largest value
-- column: n_effective [requests] as many independent requests would be as sure

-- Under load latencies are autocorrelated, and the plain binomial interval covers a third or less of what it promises. What the
-- indicator 1{x <= percentile} varies between 30 stretches of time, beyond what independence allows, says by how much n shrinks.
-- 2.045 is Student's 97.5 % quantile for 29 degrees of freedom.
WITH samples AS (
    SELECT run_id, step_id, request_id, scheduled_ns, unnest([
        {metric: 'ttft', ms: ttft_ms}, {metric: 'tpot', ms: tpot_ms}, {metric: 'e2e', ms: e2e_ms}
    ], recursive := true)
    FROM request_metrics
    WHERE phase = 'main' AND outcome = 'ok'
),

batched AS (
    SELECT *, ntile(30) OVER (PARTITION BY run_id, step_id, metric ORDER BY scheduled_ns, request_id) AS batch
    FROM samples
    WHERE ms IS NOT NULL
),

quantiles AS (
    SELECT run_id, step_id, metric, count(*) AS n, unnest([0.5, 0.9, 0.95, 0.99]::DOUBLE[]) AS q,
        unnest(percentile(ms, [0.5, 0.9, 0.95, 0.99])) AS at_ms
    FROM batched
    GROUP BY run_id, step_id, metric
),

shares AS (
    SELECT b.run_id, b.step_id, b.metric, k.q, k.n, k.at_ms, b.batch, avg((b.ms <= k.at_ms)::INTEGER) AS share
    FROM batched AS b
    JOIN quantiles AS k ON b.run_id = k.run_id AND b.step_id = k.step_id AND b.metric = k.metric
    GROUP BY ALL
),

effective AS (
    SELECT
        run_id,
        step_id,
        metric,
        q,
        n,
        at_ms,
        -- With fewer requests than two a batch nothing can be said of their dependence: n stands.
        CASE WHEN n < 60 THEN n ELSE n / greatest(1, var_samp(share) / 30 / (q * (1 - q) / n)) END AS n_effective
    FROM shares
    GROUP BY run_id, step_id, metric, q, n, at_ms
),

ranks AS (
    SELECT
        *,
        floor(n * (q - 2.045 * sqrt(q * (1 - q) / n_effective)))::BIGINT AS low_rank,
        ceil(n * (q + 2.045 * sqrt(q * (1 - q) / n_effective)))::BIGINT + 1 AS high_rank
    FROM effective
),

sorted AS (
    SELECT run_id, step_id, metric, list(ms ORDER BY ms) AS values_ms
    FROM batched
    GROUP BY run_id, step_id, metric
)

SELECT
    run_id,
    step_id,
    metric,
    q,
    n,
    at_ms AS ms,
    s.values_ms[greatest(low_rank, 1)] AS low_ms,
    CASE WHEN high_rank <= n THEN s.values_ms[high_rank] END AS high_ms,
    n_effective
FROM ranks
JOIN sorted AS s USING (run_id, step_id, metric)
