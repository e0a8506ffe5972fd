-- name: window_tokens
-- question: How many output tokens of each request arrived inside its step's measurement window?
-- grain: run_id, request_id
-- column: run_id, request_id, step_id [-] the request, of any phase and outcome
-- column: output_tokens [tokens] a chunk counts its n_tokens; where that is unknown, its share of what the target counted, or 1
-- column: unstreamed_tokens [tokens] those of them that came in an answer without streaming, all at the instant of the body's end

WITH inside AS (
    SELECT
        run_id,
        request_id,
        sum(window_counted_tokens) AS counted_tokens,
        sum(window_chunks - window_counted_chunks) AS uncounted_chunks
    FROM token_seconds
    GROUP BY run_id, request_id
)

SELECT
    m.run_id,
    m.request_id,
    m.step_id,
    CASE
        WHEN
            m.streamed IS NOT DISTINCT FROM false
            AND m.outcome = 'ok'
            AND m.done_ns >= w.window_start_ns
            AND m.done_ns < w.window_end_ns
            THEN coalesce(m.visible_tokens, 0)
        ELSE 0
    END AS unstreamed_tokens,
    coalesce(i.counted_tokens + i.uncounted_chunks * m.chunk_weight_tokens, 0) + unstreamed_tokens AS output_tokens
FROM request_metrics AS m
JOIN step_windows AS w USING (run_id, step_id)
LEFT JOIN inside AS i USING (run_id, request_id)
