-- name: profile_sglang
-- question: What would SGLang's `bench_serving` print of these responses?
-- grain: run_id, step_id, metric
-- column: run_id, step_id [-] the step; its requests of phase main that ended ok with at least one chunk
-- column: metric [-] as the tool calls it
-- column: n [requests or gaps] how many
-- column: mean_ms, p50_ms, p90_ms, p95_ms, p99_ms, max_ms [ms] the figure over all its values; nothing is withheld
-- column: bound_p50_ms [ms] the median if what our facts cannot tell went the other way; NULL where they tell all
-- column: definition [-] the formula over the columns of requests and tokens
-- column: note [-] what the tool sees and our facts do not, or another reason that its own figure may differ; NULL without any

-- Source: sglang/bench_serving.py. Content and reasoning are chunks there, tool calls are not; the end is any line, "[DONE]" too; where the target
-- gives no usage, N is the length that was asked for.
WITH figures AS (
    SELECT run_id, step_id, 'ttft' AS metric, (first_text_ns - issued_ns) / 1e6 AS value_ms, NULL::DOUBLE AS bound_ms
    FROM profile_requests
    UNION ALL
    SELECT run_id, step_id, 'tpot', (done_ns - first_text_ns) / 1e6 / (coalesce(reported_tokens, output_tokens_wanted) - 1), (last_ns - first_text_ns) / 1e6 / (coalesce(reported_tokens, output_tokens_wanted) - 1)
    FROM profile_requests
    WHERE coalesce(reported_tokens, output_tokens_wanted) > 1
    UNION ALL
    SELECT run_id, step_id, 'e2e_latency', (done_ns - issued_ns) / 1e6, (last_ns - issued_ns) / 1e6
    FROM profile_requests
),

summed AS (
    SELECT run_id, step_id, metric, unnest(profile_summary(value_ms, bound_ms))
    FROM figures
    GROUP BY run_id, step_id, metric
    UNION ALL BY NAME
    SELECT * EXCLUDE (chunks), 'itl' AS metric
    FROM profile_gaps
    WHERE chunks = 'text'
),

told AS (
    SELECT *
    FROM (
        VALUES
        ('ttft', 'first content or reasoning − issued', NULL),
        ('tpot', '(done − first content or reasoning) / (N − 1)', 'N: the target''s count, else the length asked for. The tool ends at the last line: no later than this (body''s end), no earlier than the bound (last chunk)'),
        ('itl', 'gaps between chunks of content or reasoning, pooled', 'chunks that share a read have a gap of 0 here, and one of their parsing in the tool'),
        ('e2e_latency', 'done − issued', 'the tool ends at the last line, [DONE] where there is one: no later than this (body''s end), no earlier than the bound (last chunk)')
    ) AS words (metric, definition, note)
)

SELECT s.*, t.definition, t.note
FROM summed AS s
JOIN told AS t USING (metric)
