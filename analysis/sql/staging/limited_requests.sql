-- name: limited_requests
-- question: Which requests did a rate limit let pass, which did it refuse, and what may each have taken from it?
-- grain: run_id, request_id
-- column: run_id, request_id, step_id, target, phase [-] the request; probes and warm-up are here, because limits count them
-- column: sent_ns, done_ns [ns] when it was sent, and when its answer had ended
-- column: admitted [-] true: an answer began with status 2xx, or the client gave up waiting for one; false: outcome rate_limited. Others, quota
--   and overload among them, are no rows here: what a limit made of them is not known
-- column: input_tokens [tokens] as the target counted them, else as wanted
-- column: max_tokens [tokens] the length of the answer that was asked for; NULL without one
-- column: output_tokens [tokens] that came; NULL of a refused request

SELECT
    run_id,
    request_id,
    step_id,
    target,
    phase,
    sent_ns,
    done_ns,
    outcome <> 'rate_limited' AS admitted,
    coalesce(input_tokens, input_tokens_wanted) AS input_tokens,
    output_tokens_wanted AS max_tokens,
    output_tokens
FROM requests
WHERE
    sent_ns IS NOT NULL
    AND done_ns IS NOT NULL
    AND (
        outcome = 'rate_limited'
        OR http_status BETWEEN 200 AND 299
        OR (http_status IS NULL AND outcome IN ('timeout', 'cancelled'))
    )
