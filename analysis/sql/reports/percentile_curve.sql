-- name: percentile_curve
-- question: What do TTFT, TPOT, inter-chunk and end-to-end latency look like over the whole range of percentiles?
-- grain: run_id, step_id, q
-- column: run_id, step_id [-] the step
-- column: q [-] 0 to 0.9999
-- column: ttft_ms, tpot_ms, e2e_ms [ms] the percentile over requests of phase main that ended ok; NULL where n is too small to bound it, and
--   from 0.99 on where the step was not steady

WITH lists AS (
    SELECT
        run_id,
        step_id,
        count(ttft_ms) AS ttft_n,
        count(tpot_ms) AS tpot_n,
        count(e2e_ms) AS e2e_n,
        percentile(ttft_ms, curve_points()) AS ttft,
        percentile(tpot_ms, curve_points()) AS tpot,
        percentile(e2e_ms, curve_points()) AS e2e
    FROM request_metrics
    WHERE phase = 'main' AND outcome = 'ok'
    GROUP BY run_id, step_id
),

points AS (
    SELECT *, unnest(curve_points()) AS q, unnest(ttft) AS ttft_at, unnest(tpot) AS tpot_at, unnest(e2e) AS e2e_at
    FROM lists
)

SELECT
    run_id,
    step_id,
    q,
    CASE WHEN q < 0.99 OR u.step_id IS NULL THEN enough(ttft_n, q, ttft_at) END AS ttft_ms,
    CASE WHEN q < 0.99 OR u.step_id IS NULL THEN enough(tpot_n, q, tpot_at) END AS tpot_ms,
    CASE WHEN q < 0.99 OR u.step_id IS NULL THEN enough(e2e_n, q, e2e_at) END AS e2e_ms
FROM points
LEFT JOIN unsteady_steps AS u USING (run_id, step_id)
