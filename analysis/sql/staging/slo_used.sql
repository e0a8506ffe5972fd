-- name: slo_used
-- question: What share of the SLO's limits did each request use up?
-- grain: run_id, request_id
-- column: run_id, step_id, request_id, phase, outcome, scheduled_ns, sent_ns, done_ns [-] as in request_metrics
-- column: used [-] latency over limit, the largest where there are several limits; 0 where the answer has nothing that is limited. A
--   request that did not end ok used up infinity: what it took is not known. Good is who used up at most 1.

WITH measured AS (
    SELECT
        m.*,
        -- greatest() passes over NULL: of a limit that is not set, and of a latency that the answer does not have.
        greatest(
            0.0,
            ttft_ms / slo_ttft_ms,
            ttft_wire_ms / slo_ttft_wire_ms,
            ttfo_ms / slo_ttfo_ms,
            tpot_ms / slo_tpot_ms,
            ntpot_ms / slo_ntpot_ms,
            e2e_ms / slo_e2e_ms
        ) AS share
    FROM request_metrics AS m
    LEFT JOIN runs USING (run_id)
)

SELECT
    run_id,
    step_id,
    request_id,
    phase,
    outcome,
    scheduled_ns,
    sent_ns,
    done_ns,
    or_never(outcome, share) AS used
FROM measured
WHERE step_id >= 0
