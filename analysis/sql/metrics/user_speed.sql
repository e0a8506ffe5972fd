-- name: user_speed
-- question: How many tokens a second does one user see?
-- grain: run_id, step_id
-- column: run_id, step_id [-] the step
-- column: n [requests] requests of phase main that ended ok and have a TPOT
-- column: mean_tps, min_tps, p05_tps, p10_tps, p50_tps, p90_tps, max_tps [tokens/s] 1 / TPOT; the low percentiles are the slow users

SELECT
    run_id,
    step_id,
    count(speed_tps) AS n,
    avg(speed_tps) AS mean_tps,
    min(speed_tps) AS min_tps,
    percentile(speed_tps, 0.05) AS p05_tps,
    percentile(speed_tps, 0.1) AS p10_tps,
    percentile(speed_tps, 0.5) AS p50_tps,
    percentile(speed_tps, 0.9) AS p90_tps,
    max(speed_tps) AS max_tps
FROM request_metrics
WHERE phase = 'main' AND outcome = 'ok'
GROUP BY run_id, step_id
