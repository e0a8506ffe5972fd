-- name: reads_within_responses
-- question: Do chunks of one read share its instant, and do reads go forward?
-- grain: run_id, request_id
-- column: run_id, request_id [-] the request
-- column: n [chunks] chunks whose read_index is lower than the one before, or equal with another instant

WITH followed AS (
    SELECT
        run_id,
        request_id,
        t_ns,
        read_index,
        chunk_index,
        lag(request_id) OVER () AS previous_request_id,
        lag(chunk_index) OVER () AS previous_chunk_index,
        lag(t_ns) OVER () AS previous_ns,
        lag(read_index) OVER () AS previous_read_index
    FROM tokens
)

-- OVER (): as in chunk_gaps, rows come in the stored order.
SELECT run_id, request_id, count(*) AS n
FROM followed
WHERE
    request_id = previous_request_id
    AND chunk_index = previous_chunk_index + 1
    AND (read_index < previous_read_index OR (read_index = previous_read_index AND t_ns <> previous_ns))
GROUP BY run_id, request_id
