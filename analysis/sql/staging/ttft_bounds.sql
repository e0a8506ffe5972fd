-- name: ttft_bounds
-- question: How far could inexact stamps move each percentile of TTFT?
-- grain: run_id, step_id, q
-- materialise: yes
-- column: run_id, step_id [-] the step
-- column: q [-] the percentile
-- column: n [requests] requests of phase main that ended ok and streamed a chunk
-- column: ms [ms] as stamped, which is the latest that it can be
-- column: low_ms [ms] with every inexact first stamp at its earliest
-- column: moved_ms [ms] what lies between them
-- column: limit_ms [ms] max(1 ms, 1 %): a percentile that could move further is not certain
-- column: process_share [-] answers stamped in the process, whose bounds say nothing of when their bytes arrived

WITH first_chunks AS (
    SELECT
        run_id,
        step_id,
        count(*) AS n,
        avg((stamp_source IS NOT DISTINCT FROM 'process')::INTEGER) AS process_share,
        unnest([0.5, 0.75, 0.9, 0.95, 0.99, 0.999]::DOUBLE[]) AS q,
        unnest(percentile(ttft_ms, [0.5, 0.75, 0.9, 0.95, 0.99, 0.999])) AS ms,
        unnest(percentile(ttft_low_ms, [0.5, 0.75, 0.9, 0.95, 0.99, 0.999])) AS low_ms
    FROM request_metrics
    WHERE phase = 'main' AND outcome = 'ok' AND ttft_ms IS NOT NULL
    GROUP BY run_id, step_id
)

SELECT
    run_id,
    step_id,
    q,
    n,
    ms,
    low_ms,
    ms - low_ms AS moved_ms,
    greatest(1, ms / 100) AS limit_ms,
    process_share
FROM first_chunks
