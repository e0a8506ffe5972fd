-- name: profile_genai_bench
-- question: What would genai-bench print of these responses?
-- grain: run_id, step_id, metric
-- column: run_id, step_id [-] the step; its requests of phase main that ended ok with at least one chunk
-- column: metric [-] as the tool calls it
-- column: n [requests] how many
-- column: mean_ms, p50_ms, p90_ms, p95_ms, p99_ms, max_ms [ms] the figure over all its values; nothing is withheld
-- column: bound_p50_ms [ms] the median if what our facts cannot tell went the other way; NULL where they tell all
-- column: definition [-] the formula over the columns of requests and tokens
-- column: note [-] what the tool sees and our facts do not, or another reason that its own figure may differ; NULL without any

-- Source: genai-bench 0.0.5, user/openai_user.py. The clock starts before the HTTP library is called, which issued_ns is nearest to.
WITH figures AS (
    SELECT run_id, step_id, 'ttft' AS metric, (first_text_ns - issued_ns) / 1e6 AS value_ms, NULL::DOUBLE AS bound_ms
    FROM profile_requests
    UNION ALL
    SELECT run_id, step_id, 'tpot', (done_ns - first_text_ns) / 1e6 / (output_tokens - 1), (last_ns - first_text_ns) / 1e6 / (output_tokens - 1)
    FROM profile_requests
    WHERE output_tokens > 1
    UNION ALL
    SELECT run_id, step_id, 'e2e_latency', (done_ns - issued_ns) / 1e6, (last_ns - issued_ns) / 1e6
    FROM profile_requests
),

told AS (
    SELECT *
    FROM (
        VALUES
        ('ttft', 'first content or reasoning − issued', NULL),
        ('tpot', '(done − first content or reasoning) / (N − 1)', 'the tool ends where its loop over lines does: no later than this (body''s end), no earlier than the bound (last chunk); N: the target''s count, else openloop''s own (token_source says which) where the tool asks its tokenizer'),
        ('e2e_latency', 'done − issued', 'the tool ends where its loop over lines does: no later than this (body''s end), no earlier than the bound (last chunk)')
    ) AS words (metric, definition, note)
)

SELECT f.run_id, f.step_id, f.metric, unnest(profile_summary(f.value_ms, f.bound_ms)), any_value(t.definition) AS definition, any_value(t.note) AS note
FROM figures AS f
JOIN told AS t USING (metric)
GROUP BY f.run_id, f.step_id, f.metric
