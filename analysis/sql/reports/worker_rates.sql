-- name: worker_rates
-- question: How much of each step's load did each worker carry, and had it room for more?
-- grain: run_id, step_id, worker_id
-- column: run_id, step_id, worker_id [-] the step and the worker
-- column: requests [requests] sent by this worker inside the step's window
-- column: sent_rps [requests/s] the same over the window
-- column: share [-] of all that was sent inside the window
-- column: rho [-] share of one CPU that it worked during the window: the rate times the CPU time of a request
-- column: service_ms [ms] that CPU time, rho / sent_rps
-- column: service_cv2 [-] squared coefficient of variation of a request's work, taken to go as its chunks, and one for the rest
-- column: wait_ms [ms] what a queue of one server would have its customers wait (M/G/1): rho service_ms (1 + service_cv2) / (2 (1 − rho));
--   NULL where rho is 1 or more, which no queue bears

WITH sent AS (
    SELECT
        w.run_id,
        w.step_id,
        r.worker_id,
        any_value(w.window_s) AS window_s,
        any_value(w.window_start_ns) AS window_start_ns,
        any_value(w.window_end_ns) AS window_end_ns,
        count(*) AS requests,
        var_pop(1 + r.chunks) / avg(1 + r.chunks) ^ 2 AS service_cv2
    FROM step_windows AS w
    JOIN request_metrics AS r USING (run_id, step_id)
    WHERE r.sent_ns >= w.window_start_ns AND r.sent_ns < w.window_end_ns
    GROUP BY w.run_id, w.step_id, r.worker_id
),

-- Health comes once a second: what overlaps the window counts by how much of it does.
shared_time AS (
    SELECT
        s.run_id,
        s.step_id,
        s.worker_id,
        h.cpu_share,
        least(h.t_ns, s.window_end_ns) - greatest(h.from_ns, s.window_start_ns) AS overlap_ns
    FROM sent AS s
    JOIN health_seconds AS h USING (run_id, worker_id)
    WHERE h.from_ns < s.window_end_ns AND h.t_ns > s.window_start_ns
),

busy AS (
    SELECT run_id, step_id, worker_id, sum(cpu_share * overlap_ns) / nullif(sum(overlap_ns), 0) AS rho
    FROM shared_time
    GROUP BY run_id, step_id, worker_id
)

SELECT
    run_id,
    step_id,
    worker_id,
    s.requests,
    s.requests / s.window_s AS sent_rps,
    s.requests / sum(s.requests) OVER (PARTITION BY run_id, step_id) AS share,
    b.rho,
    1000 * b.rho * s.window_s / s.requests AS service_ms,
    s.service_cv2,
    CASE WHEN b.rho < 1 THEN b.rho * service_ms * (1 + s.service_cv2) / (2 * (1 - b.rho)) END AS wait_ms
FROM sent AS s
LEFT JOIN busy AS b USING (run_id, step_id, worker_id)
