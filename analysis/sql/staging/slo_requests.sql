-- name: slo_requests
-- question: Did each request meet the SLO, and if not, why not?
-- grain: run_id, request_id
-- parameter: slo_ttft_ms DOUBLE NULL limit on TTFT; NULL: the run's own SLO
-- parameter: slo_tpot_ms DOUBLE NULL limit on TPOT; NULL: the run's own SLO
-- parameter: slo_e2e_ms DOUBLE NULL limit on end-to-end latency; NULL: the run's own SLO
-- column: run_id, request_id, step_id, outcome [-] the request, of phase main
-- column: scheduled_ns [ns] when it was due
-- column: output_tokens [tokens] as the target counted
-- column: slo [-] the limits in words; NULL without any, and then every request that ended ok is good
-- column: missed [-] of one that ended ok, the limits that it missed, "TTFT + TPOT"; NULL where it missed none. What an answer does not have
--   meets its limit
-- column: good [-] ended ok and missed none
-- column: kind [-] of one that is not good: late (ended ok, too slowly), failed (the target refused or broke it), unfinished (cut, dropped
--   or lost before it had an end); NULL of good ones
-- column: cause [-] the limits that it missed, or its outcome; NULL of good ones

WITH limited AS (
    SELECT
        m.run_id,
        m.request_id,
        m.step_id,
        m.outcome,
        m.scheduled_ns,
        m.output_tokens,
        m.ttft_ms,
        m.ttft_wire_ms,
        m.ttfo_ms,
        m.tpot_ms,
        m.ntpot_ms,
        m.e2e_ms,
        g.longest_gap_ms,
        f.fluidity,
        coalesce(getvariable('slo_ttft_ms')::DOUBLE, r.slo_ttft_ms) AS ttft_limit_ms,
        r.slo_ttft_wire_ms,
        r.slo_ttfo_ms,
        coalesce(getvariable('slo_tpot_ms')::DOUBLE, r.slo_tpot_ms) AS tpot_limit_ms,
        r.slo_ntpot_ms,
        r.slo_icl_ms,
        coalesce(getvariable('slo_e2e_ms')::DOUBLE, r.slo_e2e_ms) AS e2e_limit_ms,
        r.slo_fluidity,
        r.slo_fluidity_first_ms,
        r.slo_fluidity_next_ms
    FROM request_metrics AS m
    LEFT JOIN runs AS r ON m.run_id = r.run_id
    LEFT JOIN slo_gaps AS g ON m.run_id = g.run_id AND m.request_id = g.request_id
    LEFT JOIN slo_fluidity AS f ON m.run_id = f.run_id AND m.request_id = f.request_id
    WHERE m.phase = 'main'
),

judged AS (
    SELECT
        *,
        nullif(
            concat_ws(
                ', ',
                'TTFT <= ' || ttft_limit_ms || ' ms',
                'TTFT on the wire <= ' || slo_ttft_wire_ms || ' ms',
                'TTFO <= ' || slo_ttfo_ms || ' ms',
                'TPOT <= ' || tpot_limit_ms || ' ms',
                'NTPOT <= ' || slo_ntpot_ms || ' ms',
                'every gap <= ' || slo_icl_ms || ' ms',
                'E2E <= ' || e2e_limit_ms || ' ms',
                format('fluidity >= {:g} ({:g} ms, then {:g} ms)', slo_fluidity, slo_fluidity_first_ms, slo_fluidity_next_ms)
            ),
            ''
        ) AS slo,
        CASE
            WHEN outcome = 'ok'
                THEN nullif(
                    concat_ws(
                        ' + ',
                        CASE WHEN ttft_ms > ttft_limit_ms THEN 'TTFT' END,
                        CASE WHEN ttft_wire_ms > slo_ttft_wire_ms THEN 'TTFT on the wire' END,
                        CASE WHEN ttfo_ms > slo_ttfo_ms THEN 'TTFO' END,
                        CASE WHEN tpot_ms > tpot_limit_ms THEN 'TPOT' END,
                        CASE WHEN ntpot_ms > slo_ntpot_ms THEN 'NTPOT' END,
                        CASE WHEN longest_gap_ms > slo_icl_ms THEN 'gap' END,
                        CASE WHEN e2e_ms > e2e_limit_ms THEN 'E2E' END,
                        CASE WHEN fluidity < slo_fluidity THEN 'fluidity' END
                    ),
                    ''
                )
        END AS missed
    FROM limited
)

SELECT
    run_id,
    request_id,
    step_id,
    outcome,
    scheduled_ns,
    output_tokens,
    slo,
    missed,
    outcome = 'ok' AND missed IS NULL AS good,
    CASE
        WHEN outcome = 'ok' THEN CASE WHEN missed IS NOT NULL THEN 'late' END
        WHEN outcome IN ('cancelled', 'dropped', 'lost') THEN 'unfinished'
        ELSE 'failed'
    END AS kind,
    CASE WHEN outcome = 'ok' THEN missed ELSE outcome END AS cause
FROM judged
