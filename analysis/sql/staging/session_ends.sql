-- name: session_ends
-- question: How far did each conversation come, and why did it end?
-- grain: run_id, session_id
-- column: run_id, session_id, step_id, workload [-] the session
-- column: phase [-] of its first turn; planned: one of its turns was to be given up on purpose
-- column: turns_wanted [turns] as many as it was to have
-- column: turns, ok_turns [turns] requests made; of these, ended ok
-- column: ending [-] completed: all turns ended ok; failed: one did not; cut: the step ended before the next was due
-- column: start_ns, end_ns [ns] first turn due, last one done; end is NULL where that has no end
-- column: duration_s [s] between them, think times included

WITH grouped AS (
    SELECT
        run_id,
        session_id,
        any_value(step_id) AS step_id,
        any_value(workload) AS workload,
        CASE
            WHEN bool_or(counted_phase(phase, cancel_planned) = 'planned') THEN 'planned' ELSE arg_min(phase, turn)
        END AS phase,
        any_value(turns) AS turns_wanted,
        count(*) AS turns,
        count(*) FILTER (WHERE outcome = 'ok') AS ok_turns,
        min(scheduled_ns) AS start_ns,
        -- arg_max passes over NULL, and an end that is not known is not that of the turn before.
        arg_max({done_ns: done_ns}, turn).done_ns AS end_ns
    FROM requests
    WHERE session_id IS NOT NULL
    GROUP BY run_id, session_id
)

SELECT
    run_id,
    session_id,
    step_id,
    workload,
    phase,
    turns_wanted,
    turns,
    ok_turns,
    CASE WHEN ok_turns < turns THEN 'failed' WHEN turns < turns_wanted THEN 'cut' ELSE 'completed' END AS ending,
    start_ns,
    end_ns,
    (end_ns - start_ns) / 1e9 AS duration_s
FROM grouped
