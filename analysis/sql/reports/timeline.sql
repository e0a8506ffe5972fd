-- name: timeline
-- question: What happened, interval by interval?
-- grain: run_id, t_s
-- parameter: interval_s INTEGER 1 length of an interval in whole seconds
-- column: run_id [-] the run
-- column: t_s, to_s [s] the interval, counted from the start of the run's first step; every one to the last event has a row
-- column: step_id [-] the last step that had begun when the interval began
-- column: due, sent, ok, failed [requests] scheduled; sent; ended ok; ended otherwise, but for those given up on purpose, in the interval.
--   What was dropped or lost has no end, and is due alone. Probes are left out
-- column: sent_rps, failed_rps [requests/s] the same per second
-- column: in_flight [requests] sent and not ended at the interval's end
-- column: output_tokens [tokens] output tokens that arrived in the interval, counted as throughput counts them
-- column: output_tokens_per_s [tokens/s] the same per second
-- column: ttft_p50_ms, ttft_p99_ms [ms] TTFT of the requests that were due in the interval and ended ok; p99 is shown for what it
--   is, the top of however few they were
-- column: lateness_max_ms [ms] the latest of the requests that were due in the interval

WITH zero AS (
    SELECT run_id, min(run_start_ns) AS run_start_ns
    FROM step_windows
    GROUP BY run_id
),

wide AS (
    SELECT greatest(1, getvariable('interval_s')::INTEGER) AS interval_s
),

placed AS (
    SELECT
        m.*,
        floor((m.scheduled_ns - z.run_start_ns) / 1e9 / interval_s)::INTEGER AS due_at,
        floor((m.sent_ns - z.run_start_ns) / 1e9 / interval_s)::INTEGER AS sent_at,
        floor((greatest(m.done_ns, coalesce(m.sent_ns, m.done_ns)) - z.run_start_ns) / 1e9 / interval_s)::INTEGER AS done_at,
        CASE
            WHEN m.streamed IS NOT DISTINCT FROM false AND m.outcome = 'ok' THEN coalesce(m.visible_tokens, 0) ELSE 0
        END AS whole_tokens
    FROM request_metrics AS m
    CROSS JOIN wide
    JOIN zero AS z USING (run_id)
    WHERE m.step_id >= 0
),

due AS (
    SELECT
        run_id,
        due_at AS tick,
        count(*) AS due,
        max(lateness_ms) AS lateness_max_ms,
        percentile(CASE WHEN outcome = 'ok' THEN ttft_ms END, 0.5) AS ttft_p50_ms,
        percentile(CASE WHEN outcome = 'ok' THEN ttft_ms END, 0.99) AS ttft_p99_ms
    FROM placed
    GROUP BY ALL
),

sent AS (
    SELECT run_id, sent_at AS tick, count(*) AS sent
    FROM placed
    WHERE sent_ns IS NOT NULL
    GROUP BY ALL
),

done AS (
    SELECT
        run_id,
        done_at AS tick,
        count(*) FILTER (WHERE outcome = 'ok') AS ok,
        count(*) FILTER (WHERE outcome <> 'ok' AND phase <> 'planned') AS failed,
        count(*) FILTER (WHERE sent_ns IS NOT NULL) AS left_flight,
        sum(whole_tokens) AS tokens
    FROM placed
    WHERE done_ns IS NOT NULL
    GROUP BY ALL
),

streamed AS (
    SELECT
        s.run_id,
        floor(s.second / interval_s)::INTEGER AS tick,
        sum(s.counted_tokens + (s.chunks - s.counted_chunks) * m.chunk_weight_tokens) AS tokens
    FROM token_seconds AS s
    CROSS JOIN wide
    JOIN request_metrics AS m ON s.run_id = m.run_id AND s.request_id = m.request_id
    WHERE s.step_id >= 0
    GROUP BY ALL
),

bounds AS (
    SELECT run_id, least(0, min(due_at)) AS first_at, greatest(max(due_at), max(sent_at), max(done_at)) AS last_at
    FROM placed
    GROUP BY run_id
),

intervals AS (
    SELECT run_id, unnest(generate_series(first_at, last_at))::INTEGER AS tick
    FROM bounds
),

begun AS (
    SELECT run_id, step_id, (start_ns - run_start_ns) / 1e9 AS begun_s
    FROM step_windows
)

SELECT
    run_id,
    tick * interval_s AS t_s,
    (tick + 1) * interval_s AS to_s,
    (SELECT max(b.step_id) FROM begun AS b WHERE b.run_id = i.run_id AND b.begun_s <= i.tick * interval_s) AS step_id,
    coalesce(due.due, 0) AS due,
    coalesce(sent.sent, 0) AS sent,
    coalesce(done.ok, 0) AS ok,
    coalesce(done.failed, 0) AS failed,
    coalesce(sent.sent, 0) / interval_s AS sent_rps,
    coalesce(done.failed, 0) / interval_s AS failed_rps,
    sum(coalesce(sent.sent, 0) - coalesce(done.left_flight, 0)) OVER (PARTITION BY run_id ORDER BY tick)::BIGINT AS in_flight,
    (coalesce(streamed.tokens, 0) + coalesce(done.tokens, 0))::DOUBLE AS output_tokens,
    output_tokens / interval_s AS output_tokens_per_s,
    due.ttft_p50_ms,
    due.ttft_p99_ms,
    due.lateness_max_ms
FROM intervals AS i
CROSS JOIN wide
LEFT JOIN due USING (run_id, tick)
LEFT JOIN sent USING (run_id, tick)
LEFT JOIN done USING (run_id, tick)
LEFT JOIN streamed USING (run_id, tick)
