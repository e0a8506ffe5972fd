-- name: judged_sends
-- question: Which requests tell how punctual the generator was, and how late was each?
-- grain: run_id, request_id
-- column: run_id, request_id, step_id, worker_id [-] the request; probes are left out, warm-up is not
-- column: attempted [-] the generator did its part: it sent the request, or the target refused the connection or let it run out of time
-- column: judges_lateness [-] its lateness is the generator's. In a closed loop not so for a slot's first request, whose moment is
--   arbitrary, nor for slots of one worker freed within 1 ms of one another: the target freed them together, and one is sent at a time.
--   The later turns of conversations wait for answers as slots do, whatever starts their sessions
-- column: judges_send [-] its send delay is the generator's: sent, once, on a connection that existed
-- column: lateness_ms [ms] issued − scheduled
-- column: send_delay_ms [ms] sent − issued

WITH placed AS (
    SELECT
        r.run_id,
        r.request_id,
        r.step_id,
        r.worker_id,
        r.issued_ns,
        r.sent_ns,
        r.connected_ns,
        r.outcome,
        r.resent,
        (r.issued_ns - r.scheduled_ns) / 1e6 AS lateness_ms,
        (r.sent_ns - r.issued_ns) / 1e6 AS send_delay_ms,
        w.closed OR coalesce(r.turn > 1, false) AS waited,
        w.closed
        AND r.request_id % 1000000000 // coalesce(w.session_turns, 1) < greatest(w.concurrency, coalesce(w.concurrency_end, 0))
        AND coalesce(r.turn, 1) = 1 AS slots_first,
        r.scheduled_ns - lag(r.scheduled_ns) OVER neighbours AS after_last_ns,
        lead(r.scheduled_ns) OVER neighbours - r.scheduled_ns AS before_next_ns
    FROM requests AS r
    JOIN step_windows AS w USING (run_id, step_id)
    WINDOW neighbours AS (PARTITION BY r.run_id, r.step_id, r.worker_id ORDER BY r.scheduled_ns, r.request_id)
)

SELECT
    run_id,
    request_id,
    step_id,
    worker_id,
    sent_ns IS NOT NULL OR (issued_ns IS NOT NULL AND outcome IN ('connect_error', 'timeout')) AS attempted,
    issued_ns IS NOT NULL
    AND NOT (
        waited
        AND (
            slots_first
            OR coalesce(after_last_ns <= 1000000, false)
            OR coalesce(before_next_ns <= 1000000, false)
        )
    ) AS judges_lateness,
    sent_ns IS NOT NULL AND connected_ns IS NULL AND NOT coalesce(resent, false) AS judges_send,
    lateness_ms,
    send_delay_ms
FROM placed
