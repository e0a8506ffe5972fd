-- name: repeated_seconds
-- question: How many output tokens came in which second of a load? (For runs that repeat one another.)
-- grain: run_id, step_id, second
-- column: run_id, step_id, second [-] the step, and seconds as in token_seconds
-- column: load, arm [-] as in compared_steps
-- column: from_share, to_share [-] where the second lies, as far as it is within the window, on the axis of repeated_requests
-- column: output_tokens [tokens] what came in it, of requests of any outcome, counted as in throughput

WITH came AS (
    SELECT
        t.run_id,
        t.step_id,
        t.second,
        sum(t.window_counted_tokens + (t.window_chunks - t.window_counted_chunks) * m.chunk_weight_tokens) AS output_tokens
    FROM token_seconds AS t
    JOIN request_metrics AS m ON t.run_id = m.run_id AND t.request_id = m.request_id
    WHERE t.window_chunks > 0
    GROUP BY t.run_id, t.step_id, t.second
)

SELECT
    c.run_id,
    c.step_id,
    c.second,
    p.load,
    p.arm,
    (p.turn + greatest((p.run_start_ns + c.second::BIGINT * 1000000000 - p.window_start_ns) / p.window_ns, 0)) / p.turns AS from_share,
    (p.turn + least((p.run_start_ns + (c.second::BIGINT + 1) * 1000000000 - p.window_start_ns) / p.window_ns, 1)) / p.turns AS to_share,
    c.output_tokens
FROM came AS c
JOIN repeated_steps AS p ON c.run_id = p.run_id AND c.step_id = p.step_id
