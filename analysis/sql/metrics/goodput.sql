-- name: goodput
-- question: How many requests a second met the SLO, and what share of those that were due?
-- grain: run_id, step_id
-- parameter: slo_ttft_ms DOUBLE NULL limit on TTFT; NULL: the run's own SLO
-- parameter: slo_tpot_ms DOUBLE NULL limit on TPOT; NULL: the run's own SLO
-- parameter: slo_e2e_ms DOUBLE NULL limit on end-to-end latency; NULL: the run's own SLO
-- column: run_id, step_id [-] the step
-- column: slo [-] the limits in words; NULL without any, and then every request that ended ok is good
-- column: due_requests [requests] scheduled in the window, dropped and lost ones included
-- column: good_requests [requests] of these, ended ok and met every limit; a limit on what an answer does not have is met
-- column: goodput_rps [requests/s] good requests over the window
-- column: attainment [-] good / due: errors, refusals, timeouts and answers that never came are misses
-- column: attainment_low, attainment_high [-] its Wilson interval, 95 %
-- column: good_tps [tokens/s] output tokens of good requests over the window

WITH limited AS (
    SELECT
        m.*,
        coalesce(getvariable('slo_ttft_ms')::DOUBLE, runs.slo_ttft_ms) AS ttft_limit_ms,
        coalesce(getvariable('slo_tpot_ms')::DOUBLE, runs.slo_tpot_ms) AS tpot_limit_ms,
        coalesce(getvariable('slo_e2e_ms')::DOUBLE, runs.slo_e2e_ms) AS e2e_limit_ms,
        runs.slo_ttft_wire_ms,
        runs.slo_ttfo_ms,
        runs.slo_ntpot_ms
    FROM request_metrics AS m
    LEFT JOIN runs USING (run_id)
    WHERE m.phase = 'main'
),

judged AS (
    SELECT
        run_id,
        step_id,
        output_tokens,
        concat_ws(
            ', ',
            'TTFT <= ' || ttft_limit_ms || ' ms',
            'TTFT on the wire <= ' || slo_ttft_wire_ms || ' ms',
            'TTFO <= ' || slo_ttfo_ms || ' ms',
            'TPOT <= ' || tpot_limit_ms || ' ms',
            'NTPOT <= ' || slo_ntpot_ms || ' ms',
            'E2E <= ' || e2e_limit_ms || ' ms'
        ) AS slo,
        outcome = 'ok'
        AND coalesce(ttft_ms <= ttft_limit_ms, true)
        AND coalesce(ttft_wire_ms <= slo_ttft_wire_ms, true)
        AND coalesce(ttfo_ms <= slo_ttfo_ms, true)
        AND coalesce(tpot_ms <= tpot_limit_ms, true)
        AND coalesce(ntpot_ms <= slo_ntpot_ms, true)
        AND coalesce(e2e_ms <= e2e_limit_ms, true) AS good
    FROM limited
),

summed AS (
    SELECT
        run_id,
        step_id,
        nullif(any_value(slo), '') AS slo,
        count(*) AS due_requests,
        count(*) FILTER (WHERE good) AS good_requests,
        coalesce(sum(output_tokens) FILTER (WHERE good), 0)::BIGINT AS good_tokens
    FROM judged
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
    (wilson(s.good_requests, s.due_requests)).low AS attainment_low,
    (wilson(s.good_requests, s.due_requests)).high AS attainment_high,
    s.good_tokens / w.window_s AS good_tps
FROM summed AS s
JOIN step_windows AS w USING (run_id, step_id)
