-- name: timeline
-- question: What happened second by second?
-- grain: run_id, second
-- column: run_id [-] the run
-- column: second [s] whole seconds since the run's first step began; every second to the last event has a row
-- column: step_id [-] the last step that had begun when the second began
-- column: due, sent, ok, failed [requests] scheduled; sent; ended ok; ended otherwise, in that second. Probes are left out
-- column: tokens [tokens] output tokens that arrived in that second, counted as throughput counts them
-- column: in_flight [requests] sent and not ended at the second's end
-- column: ttft_p50_ms [ms] median TTFT of the requests whose first chunk came in that second, whatever their outcome
-- column: lateness_max_ms [ms] the latest of the requests that were due in that second

WITH zero AS (
    SELECT run_id, min(run_start_ns) AS run_start_ns
    FROM step_windows
    GROUP BY run_id
),

placed AS (
    SELECT
        m.*,
        floor((m.scheduled_ns - z.run_start_ns) / 1e9)::INTEGER AS due_second,
        floor((m.sent_ns - z.run_start_ns) / 1e9)::INTEGER AS sent_second,
        floor((greatest(m.done_ns, coalesce(m.sent_ns, m.done_ns)) - z.run_start_ns) / 1e9)::INTEGER AS done_second,
        floor((m.first_ns - z.run_start_ns) / 1e9)::INTEGER AS first_second,
        CASE WHEN m.streamed IS NOT DISTINCT FROM false AND m.outcome = 'ok' THEN coalesce(m.visible_tokens, 0) ELSE 0 END AS whole_tokens
    FROM request_metrics AS m
    JOIN zero AS z USING (run_id)
    WHERE m.step_id >= 0
),

due AS (
    SELECT run_id, due_second AS second, count(*) AS due, max(lateness_ms) AS lateness_max_ms
    FROM placed
    GROUP BY ALL
),

sent AS (
    SELECT run_id, sent_second AS second, count(*) AS sent
    FROM placed
    WHERE sent_ns IS NOT NULL
    GROUP BY ALL
),

done AS (
    SELECT
        run_id,
        done_second AS second,
        count(*) FILTER (WHERE outcome = 'ok') AS ok,
        count(*) FILTER (WHERE outcome <> 'ok') AS failed,
        count(*) FILTER (WHERE sent_ns IS NOT NULL) AS left_flight,
        sum(whole_tokens) AS tokens
    FROM placed
    WHERE done_ns IS NOT NULL
    GROUP BY ALL
),

firsts AS (
    SELECT run_id, first_second AS second, percentile(ttft_ms, 0.5) AS ttft_p50_ms
    FROM placed
    WHERE first_ns IS NOT NULL
    GROUP BY ALL
),

streamed AS (
    SELECT
        s.run_id,
        s.second,
        sum(s.counted_tokens + (s.chunks - s.counted_chunks) * m.chunk_weight_tokens) AS tokens
    FROM token_seconds AS s
    JOIN request_metrics AS m ON s.run_id = m.run_id AND s.request_id = m.request_id
    WHERE s.step_id >= 0
    GROUP BY s.run_id, s.second
),

bounds AS (
    SELECT
        run_id,
        least(0, min(due_second)) AS first_second,
        greatest(max(due_second), max(sent_second), max(done_second), max(first_second)) AS last_second
    FROM placed
    GROUP BY run_id
),

seconds AS (
    SELECT run_id, unnest(generate_series(first_second, last_second))::INTEGER AS second
    FROM bounds
),

begun AS (
    SELECT run_id, step_id, floor((start_ns - run_start_ns) / 1e9)::INTEGER AS second
    FROM step_windows
)

SELECT
    run_id,
    second,
    (SELECT max(b.step_id) FROM begun AS b WHERE b.run_id = seconds.run_id AND b.second <= seconds.second) AS step_id,
    coalesce(due.due, 0) AS due,
    coalesce(sent.sent, 0) AS sent,
    coalesce(done.ok, 0) AS ok,
    coalesce(done.failed, 0) AS failed,
    coalesce(streamed.tokens, 0) + coalesce(done.tokens, 0) AS tokens,
    sum(coalesce(sent.sent, 0) - coalesce(done.left_flight, 0)) OVER (PARTITION BY run_id ORDER BY second)::BIGINT AS in_flight,
    firsts.ttft_p50_ms,
    due.lateness_max_ms
FROM seconds
LEFT JOIN due USING (run_id, second)
LEFT JOIN sent USING (run_id, second)
LEFT JOIN done USING (run_id, second)
LEFT JOIN firsts USING (run_id, second)
LEFT JOIN streamed USING (run_id, second)
