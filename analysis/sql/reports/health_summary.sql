-- name: health_summary
-- question: How did each worker fare?
-- grain: run_id, worker_id
-- column: run_id, worker_id [-] the worker; -1 is the coordinator
-- column: beats [-] intervals between health rows
-- column: first_ns, last_ns [ns] first and last health row
-- column: cpu_mean_share, cpu_max_share [-] CPU of one core, over all and in the busiest interval of half a second or more
-- column: rss_max_bytes [bytes] resident memory at most
-- column: in_flight_max [requests] in flight at most, when looked at
-- column: sent [requests] sent by this worker
-- column: awake_mean_share [-] CPU spent looking out for arrivals that were near, over all; in no other column here
-- column: cpu_us_per_request [us] CPU over requests sent; NULL when none were
-- column: late_1ms, late_10ms, late_100ms [requests] issued that much late
-- column: dropped [requests] never sent because of the in-flight cap
-- column: gc_share [-] time in garbage collection
-- column: loop_lag_p99_median_ms, loop_lag_p99_max_ms [ms] of the interval's 99th percentiles: the median and the worst
-- column: offset_step_max_us [us] largest change of the clock offset between two rows
-- column: process_stamp_share [-] reads without a kernel stamp
-- column: gap_max_s [s] longest silence between two rows

WITH ends AS (
    SELECT
        run_id,
        worker_id,
        min(t_ns) AS first_ns,
        max(t_ns) AS last_ns,
        max(rss_bytes) AS rss_max_bytes,
        max(in_flight) AS in_flight_max,
        max(cpu_s) - min(cpu_s) - coalesce(max(awake_ns) - min(awake_ns), 0) / 1e9 AS cpu_used_s,
        max(late_1ms) AS late_1ms,
        max(late_10ms) AS late_10ms,
        max(late_100ms) AS late_100ms,
        max(dropped) AS dropped,
        max(process_stamps) / nullif(max(reads), 0) AS process_stamp_share
    FROM health
    GROUP BY run_id, worker_id
),

sent AS (
    SELECT run_id, worker_id, count(*) AS sent
    FROM requests
    WHERE sent_ns IS NOT NULL
    GROUP BY run_id, worker_id
),

seconds AS (
    SELECT
        run_id,
        worker_id,
        count(*) AS beats,
        sum(cpu_share * gap_s) / nullif(sum(gap_s), 0) AS cpu_mean_share,
        max(cpu_share) FILTER (WHERE gap_s >= 0.5) AS cpu_max_share,
        sum(awake_share * gap_s) / nullif(sum(gap_s), 0) AS awake_mean_share,
        sum(gc_ms) / 1000 / nullif(sum(gap_s), 0) AS gc_share,
        percentile(loop_lag_p99_ms, 0.5) AS loop_lag_p99_median_ms,
        max(loop_lag_p99_ms) AS loop_lag_p99_max_ms,
        max(abs(offset_step_ns)) / 1000 AS offset_step_max_us,
        max(gap_s) AS gap_max_s
    FROM health_seconds
    GROUP BY run_id, worker_id
)

SELECT
    run_id,
    worker_id,
    coalesce(s.beats, 0) AS beats,
    e.first_ns,
    e.last_ns,
    s.cpu_mean_share,
    s.cpu_max_share,
    s.awake_mean_share,
    e.rss_max_bytes,
    e.in_flight_max,
    coalesce(sent.sent, 0) AS sent,
    e.cpu_used_s * 1e6 / sent.sent AS cpu_us_per_request,
    e.late_1ms,
    e.late_10ms,
    e.late_100ms,
    e.dropped,
    s.gc_share,
    s.loop_lag_p99_median_ms,
    s.loop_lag_p99_max_ms,
    s.offset_step_max_us,
    e.process_stamp_share,
    s.gap_max_s
FROM ends AS e
LEFT JOIN seconds AS s USING (run_id, worker_id)
LEFT JOIN sent USING (run_id, worker_id)
