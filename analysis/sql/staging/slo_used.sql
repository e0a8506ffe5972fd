-- name: slo_used
-- question: What share of the SLO's limits did each request use up?
-- grain: run_id, request_id
-- parameter: slo_ttft_ms DOUBLE NULL limit on TTFT; NULL: the run's own SLO
-- parameter: slo_tpot_ms DOUBLE NULL limit on TPOT; NULL: the run's own SLO
-- parameter: slo_e2e_ms DOUBLE NULL limit on end-to-end latency; NULL: the run's own SLO
-- column: run_id, step_id, request_id, phase, outcome, scheduled_ns, sent_ns, done_ns [-] as in request_metrics; probes are left out
-- column: used [-] latency over limit, of phase main, the largest where there are several limits; of fluidity the share of late chunks
--   over that allowed; 0 where the answer has nothing that is limited. A request that did not end ok used up infinity: what it
--   took is not known. More than 1 is who is not good in slo_requests.

WITH measured AS (
    SELECT
        m.run_id,
        m.step_id,
        m.request_id,
        m.phase,
        m.outcome,
        m.scheduled_ns,
        m.sent_ns,
        m.done_ns,
        s.good,
        -- greatest() passes over NULL: of a limit that is not set, and of a latency that the answer does not have.
        greatest(
            0.0,
            m.ttft_ms / coalesce(getvariable('slo_ttft_ms')::DOUBLE, r.slo_ttft_ms),
            m.ttft_wire_ms / r.slo_ttft_wire_ms,
            m.ttfo_ms / r.slo_ttfo_ms,
            m.tpot_ms / coalesce(getvariable('slo_tpot_ms')::DOUBLE, r.slo_tpot_ms),
            m.ntpot_ms / r.slo_ntpot_ms,
            g.longest_gap_ms / r.slo_icl_ms,
            m.e2e_ms / coalesce(getvariable('slo_e2e_ms')::DOUBLE, r.slo_e2e_ms),
            (1 - f.fluidity) / nullif(1 - r.slo_fluidity, 0)
        ) AS share
    FROM request_metrics AS m
    LEFT JOIN runs AS r ON m.run_id = r.run_id
    LEFT JOIN slo_requests AS s ON m.run_id = s.run_id AND m.request_id = s.request_id
    LEFT JOIN slo_gaps AS g ON m.run_id = g.run_id AND m.request_id = g.request_id
    LEFT JOIN slo_fluidity AS f ON m.run_id = f.run_id AND m.request_id = f.request_id
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
    CASE
        WHEN phase <> 'main' THEN NULL
        WHEN outcome <> 'ok' THEN 'infinity'::DOUBLE
        -- A quotient may round onto 1, or a limit of 100 % fluidity have none: whether it is good is not left to that.
        WHEN good THEN least(share, 1.0)
        ELSE greatest(share, 1.000001)
    END AS used
FROM measured
WHERE step_id >= 0
