-- name: repeated_requests
-- question: What did each request come to, and at which point of its run's load was it due? (For runs that repeat one another.)
-- grain: run_id, request_id
-- column: run_id, request_id [-] the request, of phase main
-- column: load, arm [-] as in compared_steps: steps of one load and arm are the same in every repetition
-- column: at_share [-] when it was due: 0 at the beginning of the load's window, 1 at its end; of a load in several steps, all of them in a row
-- column: done_share [-] when its answer was complete, on the same axis; beyond 1 after the end
-- column: ok, good [-] as in compared_requests
-- column: ttft_ms, ttft_wire_ms, ttfo_ms, ttst_ms, tpot_ms, ntpot_ms, e2e_ms [ms] of those that ended ok; NULL else
-- column: lateness_ms [ms] of all that were issued

SELECT
    m.run_id,
    m.request_id,
    p.load,
    p.arm,
    (p.turn + least(greatest((m.scheduled_ns - p.window_start_ns) / p.window_ns, 0), 1)) / p.turns AS at_share,
    (p.turn + (m.done_ns - p.window_start_ns) / p.window_ns) / p.turns AS done_share,
    c.ok,
    c.good,
    CASE WHEN c.ok THEN m.ttft_ms END AS ttft_ms,
    CASE WHEN c.ok THEN m.ttft_wire_ms END AS ttft_wire_ms,
    CASE WHEN c.ok THEN m.ttfo_ms END AS ttfo_ms,
    CASE WHEN c.ok THEN m.ttst_ms END AS ttst_ms,
    CASE WHEN c.ok THEN m.tpot_ms END AS tpot_ms,
    CASE WHEN c.ok THEN m.ntpot_ms END AS ntpot_ms,
    CASE WHEN c.ok THEN m.e2e_ms END AS e2e_ms,
    m.lateness_ms
FROM compared_requests AS c
JOIN request_metrics AS m ON c.run_id = m.run_id AND c.request_id = m.request_id
JOIN repeated_steps AS p ON c.run_id = p.run_id AND c.step_id = p.step_id
