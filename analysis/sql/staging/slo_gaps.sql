-- name: slo_gaps
-- question: What was the longest gap between two chunks of each response?
-- grain: run_id, request_id
-- materialise: yes
-- column: run_id, request_id [-] the request, with two chunks at least; of runs whose SLO limits the gaps alone
-- column: longest_gap_ms [ms] its longest inter-chunk latency

SELECT g.run_id, g.request_id, max(g.gap_ns) / 1e6 AS longest_gap_ms
FROM chunk_gaps AS g
-- Without such a limit nothing is asked of the tokens: what the join has nothing to match with is not read.
JOIN runs AS r ON g.run_id = r.run_id
WHERE r.slo_icl_ms IS NOT NULL
GROUP BY g.run_id, g.request_id
