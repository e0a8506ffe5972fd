-- name: sessions
-- question: How many conversations were there, how far did they come, and how long did they last?
-- grain: run_id, step_id, workload
-- column: run_id, step_id, workload [-] the workload, in its step
-- column: sessions [sessions] whose first turn was due in phase main
-- column: completed, failed, cut [sessions] all turns ended ok; one did not, which ended it; the step ended before the next turn was due
-- column: completed_share [-] completed / sessions
-- column: turns_mean, turns_wanted_mean [turns] requests of a session, and as many as it was to have
-- column: started_rps [sessions/s] sessions over the step's window
-- column: duration_mean_s, duration_p50_s, duration_p90_s, duration_p99_s [s] of completed ones, from the first turn due to the last
--   one done, think times included; p99 is NULL where they are too few to bound it

SELECT
    e.run_id,
    e.step_id,
    e.workload,
    count(*) AS sessions,
    count(*) FILTER (WHERE e.ending = 'completed') AS completed,
    count(*) FILTER (WHERE e.ending = 'failed') AS failed,
    count(*) FILTER (WHERE e.ending = 'cut') AS cut,
    completed / sessions AS completed_share,
    avg(e.turns) AS turns_mean,
    avg(e.turns_wanted) AS turns_wanted_mean,
    sessions / any_value(w.window_s) AS started_rps,
    avg(e.duration_s) FILTER (WHERE e.ending = 'completed') AS duration_mean_s,
    percentile(CASE WHEN e.ending = 'completed' THEN e.duration_s END, 0.5) AS duration_p50_s,
    percentile(CASE WHEN e.ending = 'completed' THEN e.duration_s END, 0.9) AS duration_p90_s,
    enough(completed, 0.99, percentile(CASE WHEN e.ending = 'completed' THEN e.duration_s END, 0.99)) AS duration_p99_s
FROM session_ends AS e
JOIN step_windows AS w USING (run_id, step_id)
WHERE e.phase = 'main'
GROUP BY e.run_id, e.step_id, e.workload
