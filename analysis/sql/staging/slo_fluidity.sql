-- name: slo_fluidity
-- question: What share of each response's chunks came by the deadlines of the run's SLO?
-- grain: run_id, request_id
-- materialise: yes
-- column: run_id, request_id, step_id [-] the request, of phase main and ended ok, with chunks; of runs whose SLO gives deadlines alone:
--   those of its fluidity, else its TTFT and TPOT limits
-- column: chunks [chunks] its chunks
-- column: fluidity [-] share on time, as the metric "fluidity" has it, of which this is the run's own case, computed once

SELECT *
FROM fluidity_within(coalesce(slo_fluidity_first_ms, slo_ttft_ms), coalesce(slo_fluidity_next_ms, slo_tpot_ms))
