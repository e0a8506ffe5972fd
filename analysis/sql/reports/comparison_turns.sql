-- name: comparison_turns
-- question: How did each target do in each of its turns?
-- grain: run_id, load, turn, arm
-- column: run_id, load, turn, arm [-] as in compared_steps; steps of a run that compares nothing have no row
-- column: place [-] from 1: the order of the arms within the turn
-- column: requests, ok_requests, good_requests [requests] due in the window; of these ended ok; of these within the SLO, NULL without one
-- column: ttft_p50_ms, ttft_p90_ms, tpot_p50_ms, e2e_p50_ms [ms] over requests that ended ok
-- column: usd_per_request [USD] mean over requests whose cost is known

SELECT
    run_id,
    load,
    turn,
    arm,
    any_value(place) AS place,
    count(*) AS requests,
    count(*) FILTER (WHERE ok) AS ok_requests,
    CASE WHEN count(good) > 0 THEN count(*) FILTER (WHERE good) END AS good_requests,
    percentile(ttft_ms, 0.5) AS ttft_p50_ms,
    percentile(ttft_ms, 0.9) AS ttft_p90_ms,
    percentile(tpot_ms, 0.5) AS tpot_p50_ms,
    percentile(e2e_ms, 0.5) AS e2e_p50_ms,
    avg(cost_usd) AS usd_per_request
FROM compared_requests
WHERE arm IS NOT NULL
GROUP BY run_id, load, turn, arm
