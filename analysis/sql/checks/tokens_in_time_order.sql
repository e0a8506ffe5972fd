-- name: tokens_in_time_order
-- question: Does time run backwards within any response?
-- grain: run_id, request_id
-- column: run_id, request_id [-] the request
-- column: n [gaps] gaps below zero
-- column: worst_ns [ns] the most negative

-- Kernel stamps of one response go through the same offset as its neighbours, which is re-measured each second: a new value may put a
-- stamp a few us before the last; 50 us is the tolerance of instants_in_order.
SELECT run_id, request_id, count(*) AS n, min(gap_ns) AS worst_ns
FROM chunk_gaps
WHERE gap_ns < -50000
GROUP BY run_id, request_id
