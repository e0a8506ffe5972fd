-- name: limit_windows
-- question: What did a target admit in each stretch of a few seconds, and was it throttling all along?
-- grain: run_id, step_id, target, window_index
-- parameter: limit_window_s DOUBLE 5 length of a stretch
-- column: run_id, step_id, target [-] the step, and who was asked
-- column: window_index [-] from 0 at the step's start; a last one that the step's end cuts short is left out
-- column: admitted, refused [requests] sent in it
-- column: input_tokens [tokens] of the admitted; NULL where that of one is not known, as of the next two
-- column: larger_tokens [tokens] of the admitted: the larger of input and max_tokens, a request
-- column: asked_tokens [tokens] of the admitted: input and max_tokens
-- column: throttled [-] it has a refusal, and so has the stretch before it in the same step

WITH placed AS (
    SELECT r.*, floor((r.sent_ns - w.start_ns) / (getvariable('limit_window_s') * 1e9))::INTEGER AS window_index
    FROM limited_requests AS r
    JOIN step_windows AS w USING (run_id, step_id)
    WHERE
        r.sent_ns >= w.start_ns
        AND w.start_ns + (window_index + 1) * getvariable('limit_window_s') * 1e9 <= w.end_ns
),

counted AS (
    SELECT
        run_id,
        step_id,
        target,
        window_index,
        count(*) FILTER (WHERE admitted) AS admitted,
        count(*) FILTER (WHERE NOT admitted) AS refused,
        sum(input_tokens) FILTER (WHERE admitted) AS input_tokens,
        sum(greatest(input_tokens, max_tokens)) FILTER (WHERE admitted) AS larger_tokens,
        sum(input_tokens + max_tokens) FILTER (WHERE admitted) AS asked_tokens,
        bool_and(input_tokens IS NOT NULL) AS input_known,
        bool_and(max_tokens IS NOT NULL) AS asked_known
    FROM placed
    GROUP BY run_id, step_id, target, window_index
)

SELECT
    run_id,
    step_id,
    target,
    window_index,
    admitted,
    refused,
    CASE WHEN input_known THEN coalesce(input_tokens, 0) END::BIGINT AS input_tokens,
    CASE WHEN input_known AND asked_known THEN coalesce(larger_tokens, 0) END::BIGINT AS larger_tokens,
    CASE WHEN input_known AND asked_known THEN coalesce(asked_tokens, 0) END::BIGINT AS asked_tokens,
    refused > 0
    AND coalesce(lag(refused) OVER before, 0) > 0
    AND lag(window_index) OVER before = window_index - 1 AS throttled
FROM counted
WINDOW before AS (PARTITION BY run_id, step_id, target ORDER BY window_index)
