-- name: reads_within_responses
-- question: Do chunks of one read share its instant, and do reads go forward?
-- grain: run_id, request_id
-- column: run_id, request_id [-] the request
-- column: n [chunks] chunks whose read_index is lower than the one before, or equal with another instant

SELECT run_id, request_id, read_faults AS n
FROM response_order
WHERE read_faults > 0
