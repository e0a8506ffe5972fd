-- name: worker_rates
-- question: How much of each step's load did each worker carry?
-- grain: run_id, step_id, worker_id
-- column: run_id, step_id, worker_id [-] the step and the worker
-- column: requests [requests] sent by this worker inside the step's window
-- column: sent_rps [requests/s] the same over the window
-- column: share [-] of all that was sent inside the window

SELECT
    w.run_id,
    w.step_id,
    r.worker_id,
    count(*) AS requests,
    count(*) / any_value(w.window_s) AS sent_rps,
    count(*) / sum(count(*)) OVER (PARTITION BY w.run_id, w.step_id) AS share
FROM step_windows AS w
JOIN requests AS r USING (run_id, step_id)
WHERE r.sent_ns >= w.window_start_ns AND r.sent_ns < w.window_end_ns
GROUP BY w.run_id, w.step_id, r.worker_id
