-- name: tokens_in_time_order
-- question: Does time run backwards within any response?
-- grain: run_id, request_id
-- column: run_id, request_id [-] the request
-- column: n [gaps] gaps below zero
-- column: worst_ns [ns] the most negative

SELECT run_id, request_id, backward_gaps AS n, worst_ns
FROM response_order
WHERE backward_gaps > 0
