-- name: compared_requests
-- question: What did each request come to, for a comparison?
-- grain: run_id, request_id
-- column: run_id, request_id, step_id [-] the request, of phase main
-- column: load, arm, turn, place [-] as in compared_steps
-- column: scheduled_ns [ns] when it was due
-- column: ok [-] it ended ok
-- column: good [-] it ended ok and met every limit of the run's SLO; NULL without one
-- column: ttft_ms, tpot_ms, e2e_ms [ms] of those that ended ok; NULL else
-- column: cost_usd [USD] what it cost; NULL where nobody knows

SELECT
    m.run_id,
    m.request_id,
    m.step_id,
    s.load,
    s.arm,
    s.turn,
    s.place,
    m.scheduled_ns,
    m.outcome = 'ok' AS ok,
    CASE WHEN g.slo IS NOT NULL THEN g.good END AS good,
    CASE WHEN m.outcome = 'ok' THEN m.ttft_ms END AS ttft_ms,
    CASE WHEN m.outcome = 'ok' THEN m.tpot_ms END AS tpot_ms,
    CASE WHEN m.outcome = 'ok' THEN m.e2e_ms END AS e2e_ms,
    c.cost_usd
FROM request_metrics AS m
JOIN compared_steps AS s ON m.run_id = s.run_id AND m.step_id = s.step_id
JOIN slo_requests AS g ON m.run_id = g.run_id AND m.request_id = g.request_id
LEFT JOIN request_costs AS c ON m.run_id = c.run_id AND m.request_id = c.request_id
WHERE m.phase = 'main'
