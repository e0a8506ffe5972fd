-- name: icl_histogram
-- question: How are the gaps between chunks distributed?
-- grain: run_id, step_id, low_ms
-- parameter: bins_a_decade INTEGER 20 bins between 1 ms and 10 ms, and so on
-- column: run_id, step_id [-] the step
-- column: low_ms, high_ms [ms] a bin [low, high), equally wide on a log scale; gaps that round to 0 us are in the lowest, which
--   ends at 1 us; bins without a gap have no row
-- column: n [gaps] gaps in responses of phase main that ended ok

WITH binned AS (
    SELECT
        run_id,
        step_id,
        n,
        getvariable('bins_a_decade')::DOUBLE AS bins,
        floor(log10(greatest(gap_us, 0.9999) / 1000) * getvariable('bins_a_decade')::DOUBLE) AS bin
    FROM icl_counts
)

SELECT
    run_id,
    step_id,
    10 ^ (bin / bins) AS low_ms,
    10 ^ ((bin + 1) / bins) AS high_ms,
    sum(n)::BIGINT AS n
FROM binned
GROUP BY run_id, step_id, bin, bins
