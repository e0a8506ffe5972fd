-- name: offered_all_recorded
-- question: Does every arrival that was due have its one row?
-- grain: run_id, step_id
-- column: run_id, step_id [-] the step
-- column: offered [requests] arrivals due before issuing ended
-- column: recorded [requests] rows of the step

WITH rows_of AS (
    SELECT run_id, step_id, count(*) AS recorded
    FROM requests
    GROUP BY run_id, step_id
)

SELECT s.run_id, s.step_id, s.offered, coalesce(r.recorded, 0) AS recorded
FROM steps AS s
LEFT JOIN rows_of AS r USING (run_id, step_id)
WHERE s.offered <> coalesce(r.recorded, 0)
