-- name: by_workload
-- question: How did each of a step's workloads fare?
-- grain: run_id, step_id, workload
-- column: run_id, step_id, workload [-] the workload, in its step
-- column: target, api [-] where it went
-- column: tags [-] its tags, key=value,key=value; NULL without
-- column: requests, ok_requests [requests] of phase main; of these, ended ok
-- column: success_share [-] ok / requests
-- column: request_share [-] of the requests of its step
-- column: mean_input_tokens, mean_output_tokens [tokens] as counted in answers that ended ok
-- column: ttft_p50_ms, ttft_p99_ms [ms] TTFT of those that ended ok; p99 is NULL where n is too small to bound it or the step was not steady, here and below
-- column: tpot_p50_ms, tpot_p99_ms [ms] time per output token
-- column: e2e_p50_ms, e2e_p99_ms [ms] end to end
-- column: output_tps [tokens/s] output tokens that arrived inside the step's window, over it
-- column: cost_usd [USD] of requests of phase main whose cost is known; NULL where none is

SELECT * EXCLUDE (tag) RENAME (value AS workload)
FROM step_parts
WHERE tag = ''
