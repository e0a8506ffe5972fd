-- name: slo_misses
-- question: Why did requests miss the SLO?
-- grain: run_id, step_id, kind, cause
-- column: run_id, step_id [-] the step; one in which nothing missed has no row
-- column: kind, cause [-] as in slo_requests: late with the limits that were missed, TTFT alone, TPOT alone or both; failed or unfinished with
--   the outcome
-- column: requests [requests] that missed for this cause, and no other
-- column: share_of_misses [-] of all that missed in the step
-- column: share_of_due [-] of all that were due in it

WITH due AS (
    SELECT run_id, step_id, count(*) AS due_requests, count(*) FILTER (WHERE NOT good) AS missed_requests
    FROM slo_requests
    GROUP BY run_id, step_id
),

missed AS (
    SELECT run_id, step_id, kind, cause, count(*) AS requests
    FROM slo_requests
    WHERE NOT good
    GROUP BY run_id, step_id, kind, cause
)

SELECT
    m.run_id,
    m.step_id,
    m.kind,
    m.cause,
    m.requests,
    m.requests / d.missed_requests AS share_of_misses,
    m.requests / d.due_requests AS share_of_due
FROM missed AS m
JOIN due AS d ON m.run_id = d.run_id AND m.step_id = d.step_id
