-- name: icl_counts
-- question: How often does each gap between chunks occur, to the microsecond? (Every ICL figure is computed from these counts, exactly.)
-- grain: run_id, step_id, gap_us, low_us, high_us
-- materialise: yes
-- column: run_id, step_id [-] the step; requests of phase main that ended ok
-- column: gap_us [us] inter-chunk latency, rounded
-- column: low_us, high_us [us] the bounds that inexact stamps leave; both equal gap_us where stamps are exact
-- column: n [gaps] how many

WITH good AS (
    SELECT run_id, request_id, step_id, coalesce(last_read_before_ns, sent_ns) AS before_ns, merged_read, merged_after_ns
    FROM requests
    WHERE counted_phase(phase, cancel_planned) = 'main' AND outcome = 'ok'
),

-- A response's last chunk mostly shares its read with the end of the answer. That nothing of this read had come when the sockets
-- were last looked at bounds the chunk far better than the arrival before it.
bounded AS (
    SELECT
        g.run_id,
        r.step_id,
        g.gap_ns,
        CASE
            WHEN g.low_ns < g.gap_ns AND g.read_index = r.merged_read
                THEN greatest(g.low_ns, least(g.gap_ns, r.merged_after_ns - (g.t_ns - g.gap_ns)))
            ELSE g.low_ns
        END AS low_ns,
        CASE
            WHEN g.gap_ns = 0 AND g.read_index = r.merged_read
                THEN least(coalesce(g.high_ns, g.t_ns - r.before_ns), greatest(g.t_ns - r.merged_after_ns, 0))
            ELSE coalesce(g.high_ns, g.t_ns - r.before_ns)
        END AS high_ns
    FROM chunk_gaps AS g
    JOIN good AS r ON g.run_id = r.run_id AND g.request_id = r.request_id
)

SELECT
    run_id,
    step_id,
    ((gap_ns + 500) // 1000)::BIGINT AS gap_us,
    ((low_ns + 500) // 1000)::BIGINT AS low_us,
    ((high_ns + 500) // 1000)::BIGINT AS high_us,
    count(*) AS n
FROM bounded
GROUP BY ALL
