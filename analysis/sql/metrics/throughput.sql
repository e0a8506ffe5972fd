-- name: throughput
-- question: What did the whole system deliver inside the measurement window?
-- grain: run_id, step_id
-- column: run_id, step_id [-] the step
-- column: window_s [s] length of the window [start + warm-up, end of issuing)
-- column: sent_requests, ok_requests [requests] sent inside the window; ended ok inside it, whenever sent
-- column: sent_rps, ok_rps [requests/s] the same over the window
-- column: output_tokens [tokens] output tokens that arrived inside the window, of requests of any outcome. A chunk counts its n_tokens;
--   where that is unknown, its share of what the target counted, or 1; reasoning that is never shown has no instant and is left out
-- column: output_tps [tokens/s] the same over the window
-- column: unstreamed_tokens [tokens] those of output_tokens that came in answers without streaming: all at the instant of the body's end
-- column: input_tokens [tokens] prompt tokens of requests sent inside the window, as the target counted them, else as wanted
-- column: input_tps [tokens/s] the same over the window
-- column: total_tps [tokens/s] both

WITH requests_of AS (
    SELECT
        w.run_id,
        w.step_id,
        w.window_s,
        r.outcome,
        coalesce(r.sent_ns >= w.window_start_ns AND r.sent_ns < w.window_end_ns, false) AS sent_inside,
        coalesce(r.done_ns >= w.window_start_ns AND r.done_ns < w.window_end_ns, false) AS done_inside,
        coalesce(r.input_tokens, r.input_tokens_wanted, 0) AS input_tokens,
        coalesce(t.output_tokens, 0) AS output_tokens,
        coalesce(t.unstreamed_tokens, 0) AS unstreamed_tokens
    FROM step_windows AS w
    LEFT JOIN request_metrics AS r USING (run_id, step_id)
    LEFT JOIN window_tokens AS t USING (run_id, request_id)
),

summed AS (
    SELECT
        run_id,
        step_id,
        any_value(window_s) AS window_s,
        count(*) FILTER (WHERE sent_inside) AS sent_requests,
        count(*) FILTER (WHERE done_inside AND outcome = 'ok') AS ok_requests,
        coalesce(sum(r.unstreamed_tokens), 0)::DOUBLE AS unstreamed_tokens,
        coalesce(sum(r.output_tokens), 0)::DOUBLE AS output_tokens,
        coalesce(sum(input_tokens) FILTER (WHERE sent_inside), 0)::BIGINT AS input_tokens
    FROM requests_of AS r
    GROUP BY run_id, step_id
)

SELECT
    run_id,
    step_id,
    window_s,
    sent_requests,
    ok_requests,
    sent_requests / window_s AS sent_rps,
    ok_requests / window_s AS ok_rps,
    output_tokens,
    output_tokens / window_s AS output_tps,
    unstreamed_tokens,
    input_tokens,
    input_tokens / window_s AS input_tps,
    (output_tokens + input_tokens) / window_s AS total_tps
FROM summed
