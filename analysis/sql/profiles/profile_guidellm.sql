-- name: profile_guidellm
-- question: What would GuideLLM print of these responses?
-- grain: run_id, step_id, metric
-- column: run_id, step_id [-] the step; its requests of phase main that ended ok with at least one chunk
-- column: metric [-] as the tool calls it
-- column: n [requests] how many
-- column: mean_ms, p50_ms, p90_ms, p95_ms, p99_ms, max_ms [ms] weighted as the tool does; nothing is withheld
-- column: bound_p50_ms [ms] the median if what our facts cannot tell went the other way; NULL where they tell all
-- column: definition [-] the formula over the columns of requests and tokens
-- column: note [-] what the tool sees and our facts do not, or another reason that its own figure may differ; NULL without any

-- Source: guidellm, request_stats.py, metrics.py, statistics.py. Each request has one value of "inter token latency", which weighs N − 1, and one of "time per
-- output token", which weighs N and holds the time to the first token. Percentiles are the least value that enough weight does not exceed.
WITH counted AS (
    SELECT *, coalesce(reported_tokens, chunks) AS n_tokens
    FROM profile_requests
),

figures AS (
    SELECT run_id, step_id, 'time_to_first_token' AS metric, (first_ns - sent_ns) / 1e6 AS value_ms, 1 AS weight
    FROM counted
    UNION ALL
    SELECT run_id, step_id, 'inter_token_latency', (last_ns - first_ns) / 1e6 / (n_tokens - 1), n_tokens - 1
    FROM counted
    WHERE n_tokens > 1
    UNION ALL
    SELECT run_id, step_id, 'time_per_output_token', (last_ns - sent_ns) / 1e6 / n_tokens, n_tokens
    FROM counted
    WHERE n_tokens > 0
    UNION ALL
    SELECT run_id, step_id, 'request_latency', (done_ns - sent_ns) / 1e6, 1
    FROM counted
),

ranked AS (
    SELECT
        *,
        sum(weight) OVER (PARTITION BY run_id, step_id, metric ORDER BY value_ms) AS up_to,
        sum(weight) OVER (PARTITION BY run_id, step_id, metric) AS total
    FROM figures
),

told AS (
    SELECT *
    FROM (
        VALUES
        ('time_to_first_token', 'first chunk − sent', NULL),
        ('inter_token_latency', '(last − first chunk) / (N − 1), one value a request, of weight N − 1', 'N: the target''s count, else chunks'),
        ('time_per_output_token', '(last chunk − sent) / N, one value a request, of weight N', 'holds the time to the first token; N: the target''s count, else chunks'),
        ('request_latency', 'done − sent', NULL)
    ) AS words (metric, definition, note)
)

SELECT
    r.run_id,
    r.step_id,
    r.metric,
    count(r.value_ms) AS n,
    sum(r.value_ms * r.weight) / any_value(r.total) AS mean_ms,
    min(r.value_ms) FILTER (WHERE r.up_to >= 0.5 * r.total) AS p50_ms,
    min(r.value_ms) FILTER (WHERE r.up_to >= 0.9 * r.total) AS p90_ms,
    min(r.value_ms) FILTER (WHERE r.up_to >= 0.95 * r.total) AS p95_ms,
    min(r.value_ms) FILTER (WHERE r.up_to >= 0.99 * r.total) AS p99_ms,
    max(r.value_ms) AS max_ms,
    NULL::DOUBLE AS bound_p50_ms,
    any_value(t.definition) AS definition,
    any_value(t.note) AS note
FROM ranked AS r
JOIN told AS t USING (metric)
GROUP BY r.run_id, r.step_id, r.metric
