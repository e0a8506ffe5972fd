-- name: turns
-- question: How did each turn of the conversations fare?
-- grain: run_id, step_id, workload, turn
-- column: run_id, step_id, workload [-] the workload, in its step
-- column: turn [-] from 1; each carries all that was said before it
-- column: requests, ok_requests [requests] of phase main; of these, ended ok. A turn that did not ends its session
-- column: success_share [-] ok / requests
-- column: mean_input_tokens, mean_cached_tokens [tokens] of those that ended ok: the whole conversation as the target counted it, and
--   what it took from a cache; NULL where it does not say
-- column: mean_output_tokens [tokens] of those that ended ok
-- column: ttft_mean_ms, ttft_p50_ms, ttft_p90_ms, ttft_p99_ms [ms] TTFT of those that ended ok; p99 is NULL where n is too small to
--   bound it or the step was not steady, here and below
-- column: tpot_p50_ms, tpot_p99_ms [ms] time per output token
-- column: e2e_p50_ms, e2e_p90_ms, e2e_p99_ms [ms] end to end

WITH grouped AS (
    SELECT
        r.run_id,
        r.step_id,
        r.workload,
        r.turn,
        count(*) AS requests,
        count(*) FILTER (WHERE m.outcome = 'ok') AS ok_requests,
        avg(m.input_tokens) FILTER (WHERE m.outcome = 'ok') AS mean_input_tokens,
        avg(r.cached_tokens) FILTER (WHERE m.outcome = 'ok') AS mean_cached_tokens,
        avg(m.output_tokens) FILTER (WHERE m.outcome = 'ok') AS mean_output_tokens,
        distribution(CASE WHEN m.outcome = 'ok' THEN m.ttft_ms END, NULL::DOUBLE) AS ttft,
        distribution(CASE WHEN m.outcome = 'ok' THEN m.tpot_ms END, NULL::DOUBLE) AS tpot,
        distribution(CASE WHEN m.outcome = 'ok' THEN m.e2e_ms END, NULL::DOUBLE) AS e2e
    FROM requests AS r
    JOIN request_metrics AS m USING (run_id, request_id)
    WHERE m.phase = 'main' AND r.turn IS NOT NULL
    GROUP BY r.run_id, r.step_id, r.workload, r.turn
)

SELECT
    run_id,
    step_id,
    workload,
    turn,
    requests,
    ok_requests,
    ok_requests / requests AS success_share,
    mean_input_tokens,
    mean_cached_tokens,
    mean_output_tokens,
    ttft.mean_ms AS ttft_mean_ms,
    ttft.p50_ms AS ttft_p50_ms,
    ttft.p90_ms AS ttft_p90_ms,
    CASE WHEN u.step_id IS NULL THEN ttft.p99_ms END AS ttft_p99_ms,
    tpot.p50_ms AS tpot_p50_ms,
    CASE WHEN u.step_id IS NULL THEN tpot.p99_ms END AS tpot_p99_ms,
    e2e.p50_ms AS e2e_p50_ms,
    e2e.p90_ms AS e2e_p90_ms,
    CASE WHEN u.step_id IS NULL THEN e2e.p99_ms END AS e2e_p99_ms
FROM grouped
LEFT JOIN unsteady_steps AS u USING (run_id, step_id)
