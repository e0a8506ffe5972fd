-- name: tokens_have_requests
-- question: Does any chunk belong to no request, or to one that cannot have any?
-- grain: run_id, request_id
-- column: run_id, request_id [-] the request
-- column: chunks [chunks] its rows
-- column: outcome [-] how the request ended; NULL where there is none

WITH chunks_of AS (
    SELECT run_id, request_id, sum(chunks)::BIGINT AS chunks
    FROM token_seconds
    GROUP BY run_id, request_id
)

-- The rows of a lost request may have reached the disk before its worker died.
SELECT t.run_id, t.request_id, t.chunks, r.outcome
FROM chunks_of AS t
LEFT JOIN requests AS r USING (run_id, request_id)
WHERE r.request_id IS NULL OR (r.sent_ns IS NULL AND r.outcome <> 'lost')
