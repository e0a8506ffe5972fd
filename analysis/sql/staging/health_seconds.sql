-- name: health_seconds
-- question: What did each worker do between one health row and the next?
-- grain: run_id, worker_id, t_ns
-- column: run_id, worker_id [-] the worker; -1 is the coordinator
-- column: from_ns, t_ns [ns] the two rows; a worker's first row has no interval and no row here
-- column: gap_s [s] time between them, 1 s when all is well
-- column: cpu_share [-] CPU seconds that the worker's process worked, over gap_s; 1 is one core
-- column: awake_share [-] CPU seconds that it spent looking out for an arrival that was near, over gap_s; not in cpu_share
-- column: sent, reads, process_stamps, late_1ms, dropped, tokens [-] counted in the interval
-- column: gc_ms [ms] spent in garbage collection
-- column: loop_lag_p99_ms [ms] how long turns of the loop kept readiness waiting
-- column: offset_step_ns [ns] change of CLOCK_REALTIME − CLOCK_MONOTONIC over the interval
-- column: rss_bytes, in_flight, undecoded_bytes [-] at its end

WITH steps_of AS (
    SELECT
        *,
        lag(t_ns) OVER beats AS from_ns,
        (t_ns - lag(t_ns) OVER beats) / 1e9 AS gap_s,
        cpu_s - lag(cpu_s) OVER beats AS cpu_used_s,
        coalesce(awake_ns - lag(awake_ns) OVER beats, 0) / 1e9 AS awake_s,
        sent - lag(sent) OVER beats AS sent_now,
        reads - lag(reads) OVER beats AS reads_now,
        process_stamps - lag(process_stamps) OVER beats AS process_stamps_now,
        late_1ms - lag(late_1ms) OVER beats AS late_1ms_now,
        dropped - lag(dropped) OVER beats AS dropped_now,
        tokens - lag(tokens) OVER beats AS tokens_now,
        gc_ns - lag(gc_ns) OVER beats AS gc_now_ns,
        clock_offset_ns - lag(clock_offset_ns) OVER beats AS offset_step_ns
    FROM health
    WINDOW beats AS (PARTITION BY run_id, worker_id ORDER BY t_ns)
)

SELECT
    run_id,
    worker_id,
    from_ns,
    t_ns,
    gap_s,
    greatest(cpu_used_s - awake_s, 0) / nullif(gap_s, 0) AS cpu_share,
    awake_s / nullif(gap_s, 0) AS awake_share,
    sent_now AS sent,
    reads_now AS reads,
    process_stamps_now AS process_stamps,
    late_1ms_now AS late_1ms,
    dropped_now AS dropped,
    tokens_now AS tokens,
    gc_now_ns / 1e6 AS gc_ms,
    loop_lag_ns_p99 / 1e6 AS loop_lag_p99_ms,
    offset_step_ns,
    rss_bytes,
    in_flight,
    undecoded_bytes
FROM steps_of
WHERE from_ns IS NOT NULL
