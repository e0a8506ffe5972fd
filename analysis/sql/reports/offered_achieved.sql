-- name: offered_achieved
-- question: How much load was offered, and how much of it was sent and answered?
-- grain: run_id, step_id
-- column: run_id, step_id, name [-] the step
-- column: window_s [s] length of the measurement window
-- column: offered_rps [requests/s] arrivals that fell into the window, over it, dropped and lost ones included: in an open loop by the
--   schedule, in a closed one as slots fell free
-- column: achieved_rps [requests/s] sent inside the window, over it
-- column: ok_rps [requests/s] ended ok inside the window, over it
-- column: achieved_share [-] achieved / offered; NULL when nothing was offered
-- column: mean_in_flight [requests] over the window: the requests' time in flight inside it, over its length

WITH parts AS (
    SELECT
        w.run_id,
        w.step_id,
        count(*) FILTER (WHERE r.scheduled_ns >= w.window_start_ns AND r.scheduled_ns < w.window_end_ns) AS offered,
        -- A request of an earlier step may still be in flight here, so each is laid over every window of its run.
        sum(greatest(0, least(r.done_ns, w.window_end_ns) - greatest(r.sent_ns, w.window_start_ns)))
            FILTER (WHERE r.sent_ns IS NOT NULL AND r.done_ns IS NOT NULL)
        / 1e9 AS flight_s
    FROM step_windows AS w
    JOIN requests AS r
        ON
            w.run_id = r.run_id
            AND r.step_id >= 0
            AND r.scheduled_ns < w.window_end_ns
            -- What was dropped or lost has no end; it was due all the same.
            AND coalesce(r.done_ns, r.scheduled_ns) >= w.window_start_ns
    GROUP BY w.run_id, w.step_id
)

SELECT
    run_id,
    step_id,
    w.name,
    w.window_s,
    coalesce(p.offered, 0) / w.window_s AS offered_rps,
    t.sent_rps AS achieved_rps,
    t.ok_rps,
    t.sent_rps / nullif(offered_rps, 0) AS achieved_share,
    coalesce(p.flight_s, 0) / w.window_s AS mean_in_flight
FROM step_windows AS w
JOIN throughput AS t USING (run_id, step_id)
LEFT JOIN parts AS p USING (run_id, step_id)
