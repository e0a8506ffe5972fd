-- name: token_seconds
-- question: Which chunks of which request came in which second? (The one pass over the tokens that request_metrics, throughput and the timeline share.)
-- grain: run_id, request_id, second
-- materialise: yes
-- column: run_id, request_id, step_id [-] the request
-- column: second [s] whole seconds since the run's first step began; negative for probes
-- column: chunks, inexact_chunks, reasoning_chunks [chunks] rows in that second; those that are not exact; those of reasoning
-- column: counted_chunks, counted_tokens [chunks, tokens] chunks whose n_tokens is known, and the sum of it
-- column: window_chunks, window_counted_chunks, window_counted_tokens [chunks, tokens] the same inside the step's window
-- column: first_ns, last_ns [ns] first and last row
-- column: second_chunk_ns [ns] the response's second row, where it is here
-- column: first_output_ns [ns] first row that is not reasoning
-- column: first_exact [-] whether the response's first row is exact, where it is here
-- column: first_tokens [tokens] n_tokens of the response's first row, where it is here

WITH placed AS (
    SELECT
        t.*,
        step_of(t.request_id) AS step_id,
        w.run_start_ns,
        coalesce(t.t_ns >= w.window_start_ns AND t.t_ns < w.window_end_ns, false) AS in_window
    FROM tokens AS t
    LEFT JOIN step_windows AS w
        ON t.run_id = w.run_id AND step_of(t.request_id) = w.step_id
)

SELECT
    run_id,
    request_id,
    any_value(step_id) AS step_id,
    floor((t_ns - coalesce(run_start_ns, 0)) / 1e9)::INTEGER AS second,
    count(*) AS chunks,
    count(*) FILTER (WHERE NOT exact) AS inexact_chunks,
    count(*) FILTER (WHERE kind = 'reasoning') AS reasoning_chunks,
    count(n_tokens) AS counted_chunks,
    coalesce(sum(n_tokens), 0)::BIGINT AS counted_tokens,
    count(*) FILTER (WHERE in_window) AS window_chunks,
    count(n_tokens) FILTER (WHERE in_window) AS window_counted_chunks,
    coalesce(sum(n_tokens) FILTER (WHERE in_window), 0)::BIGINT AS window_counted_tokens,
    min(t_ns) AS first_ns,
    max(t_ns) AS last_ns,
    min(t_ns) FILTER (WHERE chunk_index = 1) AS second_chunk_ns,
    min(t_ns) FILTER (WHERE kind <> 'reasoning') AS first_output_ns,
    bool_and(exact) FILTER (WHERE chunk_index = 0) AS first_exact,
    min(n_tokens) FILTER (WHERE chunk_index = 0) AS first_tokens
FROM placed
GROUP BY run_id, request_id, second
