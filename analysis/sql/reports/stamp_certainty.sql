-- name: stamp_certainty
-- question: How far could inexact stamps move the percentiles that are printed?
-- grain: run_id, step_id, metric, q
-- column: run_id, step_id, metric [-] the step; ttft or icl
-- column: q [-] the percentile, of those up to p99 that are printed; p99.9 is withheld where it is not certain
-- column: ms [ms] as stamped
-- column: low_ms, high_ms [ms] with every inexact stamp at its earliest and at its latest; TTFT is stamped at its latest already
-- column: moved_ms [ms] the larger of the two moves
-- column: limit_ms [ms] max(1 ms, 1 %); beyond it the run is INVALID
-- column: process_share [-] answers stamped in the process, whose bounds say nothing of when their bytes arrived

WITH both_kinds AS (
    SELECT run_id, step_id, 'ttft' AS metric, q, ms, low_ms, ms AS high_ms
    FROM ttft_bounds
    UNION ALL
    SELECT run_id, step_id, 'icl' AS metric, q, ms, low_ms, high_ms
    FROM icl_bounds
),

sources AS (
    SELECT run_id, step_id, avg((stamp_source = 'process')::INTEGER) AS process_share
    FROM request_metrics
    WHERE phase = 'main' AND chunks > 0
    GROUP BY run_id, step_id
)

SELECT
    b.run_id,
    b.step_id,
    b.metric,
    b.q,
    b.ms,
    b.low_ms,
    b.high_ms,
    greatest(b.ms - b.low_ms, b.high_ms - b.ms) AS moved_ms,
    greatest(1, b.ms / 100) AS limit_ms,
    coalesce(s.process_share, 0) AS process_share
FROM both_kinds AS b
LEFT JOIN sources AS s ON b.run_id = s.run_id AND b.step_id = s.step_id
ANTI JOIN withheld AS w
    ON b.run_id = w.run_id AND b.step_id = w.step_id AND b.metric = w.metric AND b.q = 0.99 AND w.figure = 'p99'
-- The extremes are nobody's percentile.
WHERE b.q > 0 AND b.q < 0.999
