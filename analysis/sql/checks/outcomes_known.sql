-- name: outcomes_known
-- question: Does any request have an outcome, a phase or an end that the contract does not know?
-- grain: run_id, request_id
-- column: run_id, request_id [-] the request
-- column: outcome, phase [-] what it says
-- column: done_ns [ns] its end

-- A lost request has no end: the worker that would have recorded it died.
SELECT run_id, request_id, outcome, phase, done_ns
FROM requests
WHERE
    outcome IS NULL
    OR outcome NOT IN (
        'ok', 'rate_limited', 'quota', 'overloaded', 'server_error', 'client_error', 'timeout', 'connect_error', 'truncated',
        'stream_error', 'cancelled', 'dropped', 'lost'
    )
    OR phase IS NULL
    OR phase NOT IN ('probe', 'warmup', 'main')
    OR (done_ns IS NULL AND outcome NOT IN ('lost', 'dropped', 'cancelled'))
