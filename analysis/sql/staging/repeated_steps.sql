-- name: repeated_steps
-- question: Where on the axis of its load does each step lie? (For runs that repeat one another.)
-- grain: run_id, step_id
-- column: run_id, step_id, load, arm, turn [-] as in compared_steps: steps of one load and arm are the same in every repetition
-- column: turns [-] steps of this load and arm in the run; one after another they make the axis from 0 to 1
-- column: window_start_ns [ns] the step's window begins
-- column: window_ns [ns] its length; a step whose window is empty or unknown is left out
-- column: run_start_ns [ns] the zero of the run's timeline

WITH placed AS (
    SELECT
        s.run_id,
        s.step_id,
        s.load,
        s.arm,
        s.turn,
        1 + max(s.turn) OVER (PARTITION BY s.run_id, s.load, s.arm) AS turns,
        w.window_start_ns,
        w.window_end_ns - w.window_start_ns AS window_ns,
        w.run_start_ns
    FROM compared_steps AS s
    JOIN step_windows AS w ON s.run_id = w.run_id AND s.step_id = w.step_id
)

SELECT *
FROM placed
WHERE window_ns > 0
