-- name: phases_match_windows
-- question: Is any request's phase at odds with its step's window?
-- grain: run_id, request_id
-- column: run_id, request_id [-] the request
-- column: phase [-] what it says
-- column: scheduled_ns, window_start_ns [ns] its moment, and where the window begins

SELECT r.run_id, r.request_id, r.phase, r.scheduled_ns, w.window_start_ns
FROM requests AS r
LEFT JOIN step_windows AS w USING (run_id, step_id)
WHERE
    (r.phase = 'probe') IS DISTINCT FROM (r.step_id < 0)
    OR (r.phase = 'warmup' AND r.scheduled_ns >= w.window_start_ns)
    OR (r.phase = 'main' AND r.scheduled_ns < w.window_start_ns)
