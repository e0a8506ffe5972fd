-- name: schedule_fidelity
-- question: Did the generator send what was due, when it was due?
-- grain: run_id, step_id
-- column: run_id, step_id [-] the step
-- column: closed [-] arrivals waited for a slot
-- column: offered [requests] arrivals due before issuing ended
-- column: attempted [requests] of these, sent, or refused by the target before a byte could go
-- column: attempted_share [-] attempted / offered; below 0.99 the run is INVALID
-- column: dropped, lost, resent [requests] never sent because of the in-flight cap; dealt to a worker that died; sent a second time
-- column: judged [requests] those whose lateness is the generator's, see judged_sends
-- column: lateness_p50_ms, lateness_p99_ms, lateness_max_ms [ms] issued − scheduled of these. p99 is not withheld: it is compared
--   with a limit, not reported as the target's
-- column: judged_sends [requests] sent on connections that existed
-- column: send_delay_p50_ms, send_delay_p99_ms, send_delay_max_ms [ms] sent − issued of these
-- column: ttft_p50_ms [ms] the step's median TTFT, which the limits are measured by
-- column: limit_ms [ms] max(1 ms, 1 % of the median TTFT)

WITH sends AS (
    SELECT
        run_id,
        step_id,
        count(*) AS n,
        count(*) FILTER (WHERE attempted) AS attempted,
        count(*) FILTER (WHERE judges_lateness) AS judged,
        percentile(CASE WHEN judges_lateness THEN lateness_ms END, 0.5) AS lateness_p50_ms,
        percentile(CASE WHEN judges_lateness THEN lateness_ms END, 0.99) AS lateness_p99_ms,
        max(lateness_ms) FILTER (WHERE judges_lateness) AS lateness_max_ms,
        count(*) FILTER (WHERE judges_send) AS judged_sends,
        percentile(CASE WHEN judges_send THEN send_delay_ms END, 0.5) AS send_delay_p50_ms,
        percentile(CASE WHEN judges_send THEN send_delay_ms END, 0.99) AS send_delay_p99_ms,
        max(send_delay_ms) FILTER (WHERE judges_send) AS send_delay_max_ms
    FROM judged_sends
    GROUP BY run_id, step_id
),

ends AS (
    SELECT
        run_id,
        step_id,
        count(*) FILTER (WHERE outcome = 'dropped') AS dropped,
        count(*) FILTER (WHERE outcome = 'lost') AS lost,
        count(*) FILTER (WHERE resent) AS resent
    FROM requests
    GROUP BY run_id, step_id
),

medians AS (
    SELECT run_id, step_id, percentile(ttft_ms, 0.5) AS ttft_p50_ms
    FROM request_metrics
    WHERE phase = 'main' AND outcome = 'ok'
    GROUP BY run_id, step_id
)

SELECT
    run_id,
    step_id,
    w.closed,
    greatest(coalesce(w.offered, 0), coalesce(s.n, 0)) AS offered,
    coalesce(s.attempted, 0) AS attempted,
    coalesce(s.attempted, 0) / nullif(greatest(coalesce(w.offered, 0), coalesce(s.n, 0)), 0) AS attempted_share,
    coalesce(e.dropped, 0) AS dropped,
    coalesce(e.lost, 0) AS lost,
    coalesce(e.resent, 0) AS resent,
    coalesce(s.judged, 0) AS judged,
    s.lateness_p50_ms,
    s.lateness_p99_ms,
    s.lateness_max_ms,
    coalesce(s.judged_sends, 0) AS judged_sends,
    s.send_delay_p50_ms,
    s.send_delay_p99_ms,
    s.send_delay_max_ms,
    m.ttft_p50_ms,
    greatest(1, coalesce(m.ttft_p50_ms, 0) / 100) AS limit_ms
FROM step_windows AS w
LEFT JOIN sends AS s USING (run_id, step_id)
LEFT JOIN ends AS e USING (run_id, step_id)
LEFT JOIN medians AS m USING (run_id, step_id)
