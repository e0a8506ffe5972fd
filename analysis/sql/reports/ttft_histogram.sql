-- name: ttft_histogram
-- question: How is TTFT distributed?
-- grain: run_id, step_id, low_ms
-- parameter: bins_a_decade INTEGER 20 bins between 1 ms and 10 ms, and so on
-- column: run_id, step_id [-] the step
-- column: low_ms, high_ms [ms] a bin [low, high), equally wide on a log scale; bins without a request have no row
-- column: n [requests] requests of phase main that ended ok

WITH binned AS (
    SELECT
        run_id,
        step_id,
        getvariable('bins_a_decade')::DOUBLE AS bins,
        -- TTFT is positive in any honest run; the least that a clock of ns can tell keeps log10 away from 0.
        floor(log10(greatest(ttft_ms, 1e-6)) * getvariable('bins_a_decade')::DOUBLE) AS bin
    FROM request_metrics
    WHERE phase = 'main' AND outcome = 'ok' AND ttft_ms IS NOT NULL
)

SELECT
    run_id,
    step_id,
    10 ^ (bin / bins) AS low_ms,
    10 ^ ((bin + 1) / bins) AS high_ms,
    count(*) AS n
FROM binned
GROUP BY run_id, step_id, bin, bins
