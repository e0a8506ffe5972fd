-- name: rate_limit_admitted
-- question: What does a target admit a second while it throttles, in each cell of lengths?
-- grain: run_id, target, input_tokens_wanted, output_tokens_wanted
-- parameter: limit_window_s DOUBLE 5 length of a stretch
-- column: run_id, target [-] who was asked
-- column: input_tokens_wanted, output_tokens_wanted [tokens] the cell: the steps that asked for these lengths, means where they vary
-- column: windows [-] stretches of limit_window_s in which it throttled all along; with fewer than two there is no interval
-- column: admitted_rps, admitted_rps_low, admitted_rps_high [1/s] requests admitted in them: mean, and its 95 % interval by Student's law, for
--   few stretches say little of how much they vary. It is the refill rate of a token bucket whatever is offered, and of a window that is not
--   longer than a stretch
-- column: input_tps, input_tps_low, input_tps_high [tokens/s] input tokens of the admitted, alike; NULL where lengths are not known
-- column: larger_tps, larger_tps_low, larger_tps_high [tokens/s] alike, charged max(max_tokens, input)
-- column: asked_tps, asked_tps_low, asked_tps_high [tokens/s] alike, charged input + max_tokens

WITH rates AS (
    SELECT
        l.run_id,
        l.target,
        w.input_tokens_wanted,
        w.output_tokens_wanted,
        l.admitted / getvariable('limit_window_s') AS admitted_rps,
        l.input_tokens / getvariable('limit_window_s') AS input_tps,
        l.larger_tokens / getvariable('limit_window_s') AS larger_tps,
        l.asked_tokens / getvariable('limit_window_s') AS asked_tps
    FROM limit_windows AS l
    JOIN step_windows AS w USING (run_id, step_id)
    WHERE l.throttled
),

summed AS (
    SELECT
        run_id,
        target,
        input_tokens_wanted,
        output_tokens_wanted,
        count(*) AS windows,
        -- Of one and of two degrees of freedom as they are: no series about the normal law reaches so far.
        CASE windows WHEN 1 THEN NULL WHEN 2 THEN 12.706 WHEN 3 THEN 4.303 ELSE student_975(windows - 1) END / sqrt(windows) AS margin_sd,
        avg(admitted_rps) AS admitted_rps,
        margin_sd * stddev_samp(admitted_rps) AS admitted_margin,
        avg(input_tps) AS input_tps,
        margin_sd * stddev_samp(input_tps) AS input_margin,
        avg(larger_tps) AS larger_tps,
        margin_sd * stddev_samp(larger_tps) AS larger_margin,
        avg(asked_tps) AS asked_tps,
        margin_sd * stddev_samp(asked_tps) AS asked_margin
    FROM rates
    GROUP BY ALL
)

SELECT
    run_id,
    target,
    input_tokens_wanted,
    output_tokens_wanted,
    windows,
    admitted_rps,
    CASE WHEN admitted_margin IS NOT NULL THEN greatest(0, admitted_rps - admitted_margin) END AS admitted_rps_low,
    admitted_rps + admitted_margin AS admitted_rps_high,
    input_tps,
    CASE WHEN input_margin IS NOT NULL THEN greatest(0, input_tps - input_margin) END AS input_tps_low,
    input_tps + input_margin AS input_tps_high,
    larger_tps,
    CASE WHEN larger_margin IS NOT NULL THEN greatest(0, larger_tps - larger_margin) END AS larger_tps_low,
    larger_tps + larger_margin AS larger_tps_high,
    asked_tps,
    CASE WHEN asked_margin IS NOT NULL THEN greatest(0, asked_tps - asked_margin) END AS asked_tps_low,
    asked_tps + asked_margin AS asked_tps_high
FROM summed
