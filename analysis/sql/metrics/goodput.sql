-- name: goodput
-- question: How many requests a second met the SLO, and what share of those that were due?
-- grain: run_id, step_id
-- column: run_id, step_id [-] the step
-- column: slo [-] the limits in words; NULL without any, and then every request that ended ok is good
-- column: due_requests [requests] scheduled in the window, dropped and lost ones included
-- column: good_requests [requests] of these, ended ok and met every limit; a limit on what an answer does not have is met
-- column: goodput_rps [requests/s] good requests over the window
-- column: attainment [-] good / due: errors, refusals, timeouts and answers that never came are misses
-- column: attainment_low, attainment_high [-] its Wilson interval, 95 %, of as many independent requests as these are worth
--   (attainment_evidence)
-- column: good_tps [tokens/s] token goodput: output tokens of good requests over the window

WITH summed AS (
    SELECT
        run_id,
        step_id,
        any_value(slo) AS slo,
        count(*) AS due_requests,
        count(*) FILTER (WHERE good) AS good_requests,
        coalesce(sum(output_tokens) FILTER (WHERE good), 0)::BIGINT AS good_tokens
    FROM slo_requests
    GROUP BY run_id, step_id
)

SELECT
    s.run_id,
    s.step_id,
    s.slo,
    s.due_requests,
    s.good_requests,
    s.good_requests / w.window_s AS goodput_rps,
    s.good_requests / s.due_requests AS attainment,
    (wilson(s.good_requests * e.n_effective / s.due_requests, e.n_effective)).low AS attainment_low,
    (wilson(s.good_requests * e.n_effective / s.due_requests, e.n_effective)).high AS attainment_high,
    s.good_tokens / w.window_s AS good_tps
FROM summed AS s
JOIN step_windows AS w USING (run_id, step_id)
JOIN attainment_evidence AS e USING (run_id, step_id)
