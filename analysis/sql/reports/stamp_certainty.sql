-- name: stamp_certainty
-- question: How far could inexact stamps move the percentiles that are printed?
-- grain: run_id, step_id, metric, q
-- column: run_id, step_id, metric [-] the step; ttft or icl
-- column: q [-] the percentile; only those that n is large enough for, and not p99.9 of ICL, which is withheld where it is not certain
-- column: ms [ms] as stamped
-- column: low_ms, high_ms [ms] with every inexact stamp at its earliest and at its latest; TTFT is stamped at its latest already
-- column: moved_ms [ms] the larger of the two moves
-- column: limit_ms [ms] max(1 ms, 1 %); beyond it the run is INVALID
-- column: process_share [-] answers stamped in the process, whose bounds say nothing of when their bytes arrived

WITH first_chunks AS (
    SELECT
        run_id,
        step_id,
        count(ttft_ms) AS n,
        unnest([0.5, 0.75, 0.9, 0.95, 0.99, 0.999]::DOUBLE[]) AS q,
        unnest(percentile(ttft_ms, [0.5, 0.75, 0.9, 0.95, 0.99, 0.999])) AS ms,
        unnest(percentile(ttft_low_ms, [0.5, 0.75, 0.9, 0.95, 0.99, 0.999])) AS low_ms
    FROM request_metrics
    WHERE phase = 'main' AND outcome = 'ok' AND ttft_ms IS NOT NULL
    GROUP BY run_id, step_id
),

both_kinds AS (
    SELECT run_id, step_id, 'ttft' AS metric, n, q, ms, low_ms, ms AS high_ms
    FROM first_chunks
    UNION ALL
    SELECT run_id, step_id, 'icl' AS metric, n, q, ms, low_ms, high_ms
    FROM icl_bounds
    -- The extremes are nobody's percentile, and p99.9 is withheld where it is not certain: neither fails a run.
    WHERE q > 0 AND q < 0.999
),

sources AS (
    SELECT run_id, step_id, avg((stamp_source = 'process')::INTEGER) AS process_share
    FROM request_metrics
    WHERE phase = 'main' AND chunks > 0
    GROUP BY run_id, step_id
)

SELECT
    run_id,
    step_id,
    metric,
    q,
    ms,
    low_ms,
    high_ms,
    greatest(ms - low_ms, high_ms - ms) AS moved_ms,
    greatest(1, ms / 100) AS limit_ms,
    coalesce(process_share, 0) AS process_share
FROM both_kinds
LEFT JOIN sources USING (run_id, step_id)
WHERE q < 0.99 OR n >= least_n(q)
