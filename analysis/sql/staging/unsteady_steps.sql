-- name: unsteady_steps
-- question: Which steps were not in a steady state, so that their p99 and p99.9 are withheld everywhere?
-- grain: run_id, step_id
-- column: run_id, step_id [-] the step; one that is not judged is not among them

SELECT run_id, step_id
FROM steadiness
GROUP BY run_id, step_id
HAVING NOT bool_and(steady)
