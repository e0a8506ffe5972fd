-- name: concurrency_buckets
-- question: How do latency and speed depend on how many requests were in flight when each was sent?
-- grain: run_id, step_id, in_flight
-- parameter: width INTEGER NULL requests in flight to a bucket; NULL: as many as make 12 buckets or fewer of the run's range
-- column: run_id, step_id [-] the step
-- column: in_flight, in_flight_to [requests] the bucket, both ends included; over all workers and steps, the request itself included
-- column: requests, ok_requests [requests] sent in phase main at that concurrency; of these, ended ok
-- column: success_share [-] ok / sent
-- column: ttft_p50_ms, ttft_p75_ms, ttft_p90_ms, ttft_p95_ms, ttft_p99_ms [ms] TTFT of those that ended ok; p99 NULL where n is too small
-- column: tpot_p50_ms, tpot_p75_ms, tpot_p90_ms, tpot_p95_ms, tpot_p99_ms [ms] time per output token
-- column: e2e_p50_ms, e2e_p75_ms, e2e_p90_ms, e2e_p95_ms, e2e_p99_ms [ms] end to end
-- column: user_speed_p50_tps [tokens/s] 1 / TPOT, median

WITH sent AS (
    SELECT
        m.run_id,
        m.step_id,
        m.outcome,
        CASE WHEN m.outcome = 'ok' THEN m.ttft_ms END AS ttft_ms,
        CASE WHEN m.outcome = 'ok' THEN m.tpot_ms END AS tpot_ms,
        CASE WHEN m.outcome = 'ok' THEN m.e2e_ms END AS e2e_ms,
        CASE WHEN m.outcome = 'ok' THEN m.speed_tps END AS speed_tps,
        c.in_flight AS exactly,
        coalesce(
            getvariable('width')::INTEGER,
            ceil(max(c.in_flight) OVER (PARTITION BY m.run_id) / 12)
        )::INTEGER AS width
    FROM request_metrics AS m
    JOIN concurrency_at_send AS c ON m.run_id = c.run_id AND m.request_id = c.request_id
    WHERE m.phase = 'main'
),

bucketed AS (
    SELECT *, (exactly - 1) // greatest(width, 1) * greatest(width, 1) + 1 AS in_flight
    FROM sent
)

SELECT
    run_id,
    step_id,
    in_flight,
    in_flight + greatest(any_value(width), 1) - 1 AS in_flight_to,
    count(*) AS requests,
    count(*) FILTER (WHERE outcome = 'ok') AS ok_requests,
    count(*) FILTER (WHERE outcome = 'ok') / count(*) AS success_share,
    percentile(ttft_ms, 0.5) AS ttft_p50_ms,
    percentile(ttft_ms, 0.75) AS ttft_p75_ms,
    percentile(ttft_ms, 0.9) AS ttft_p90_ms,
    percentile(ttft_ms, 0.95) AS ttft_p95_ms,
    enough(count(ttft_ms), 0.99, percentile(ttft_ms, 0.99)) AS ttft_p99_ms,
    percentile(tpot_ms, 0.5) AS tpot_p50_ms,
    percentile(tpot_ms, 0.75) AS tpot_p75_ms,
    percentile(tpot_ms, 0.9) AS tpot_p90_ms,
    percentile(tpot_ms, 0.95) AS tpot_p95_ms,
    enough(count(tpot_ms), 0.99, percentile(tpot_ms, 0.99)) AS tpot_p99_ms,
    percentile(e2e_ms, 0.5) AS e2e_p50_ms,
    percentile(e2e_ms, 0.75) AS e2e_p75_ms,
    percentile(e2e_ms, 0.9) AS e2e_p90_ms,
    percentile(e2e_ms, 0.95) AS e2e_p95_ms,
    enough(count(e2e_ms), 0.99, percentile(e2e_ms, 0.99)) AS e2e_p99_ms,
    percentile(speed_tps, 0.5) AS user_speed_p50_tps
FROM bucketed
GROUP BY run_id, step_id, in_flight
