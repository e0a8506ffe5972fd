-- name: fluidity
-- question: What share of each response's chunks came by the deadline of a reader who reads at a steady pace?
-- grain: run_id, request_id
-- parameter: first_ms DOUBLE NULL time allowed for the first chunk; NULL: that of the run's fluidity SLO, else its TTFT limit, else 500
-- parameter: next_ms DOUBLE NULL time allowed for each further chunk; NULL: that of the run's fluidity SLO, else its TPOT limit, else 50
-- column: run_id, request_id, step_id [-] the request, of phase main and ended ok
-- column: chunks [chunks] its chunks
-- column: fluidity [-] share on time. Early chunks bank slack; a late one starts the reader's clock anew (Etalon, arXiv 2407.07000)

SELECT *
FROM fluidity_within(
    coalesce(getvariable('first_ms')::DOUBLE, slo_fluidity_first_ms, slo_ttft_ms, 500),
    coalesce(getvariable('next_ms')::DOUBLE, slo_fluidity_next_ms, slo_tpot_ms, 50)
)
