-- name: response_order
-- question: Are each response's chunks whole and in order? (One pass over the gaps that several checks share.)
-- grain: run_id, request_id
-- materialise: yes
-- column: run_id, request_id [-] the request
-- column: gaps [gaps] neighbouring pairs of chunks that were found
-- column: backward_gaps [gaps] of these, below −50 us: kernel stamps of one response go through a clock offset that is measured anew
--   each second, and a new value may put a stamp a few us before the last; 50 us is the tolerance of instants_in_order
-- column: worst_ns [ns] the smallest gap
-- column: read_faults [gaps] pairs whose reads are numbered backwards, or share a number but not an instant

SELECT
    run_id,
    request_id,
    count(*) AS gaps,
    count(*) FILTER (WHERE gap_ns < -50000) AS backward_gaps,
    min(gap_ns) AS worst_ns,
    count(*) FILTER (WHERE read_fault) AS read_faults
FROM chunk_gaps
GROUP BY run_id, request_id
