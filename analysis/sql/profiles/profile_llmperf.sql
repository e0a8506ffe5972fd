-- name: profile_llmperf
-- question: What would LLMPerf print of these responses?
-- grain: run_id, step_id, metric
-- column: run_id, step_id [-] the step; its requests of phase main that ended ok with at least one chunk
-- column: metric [-] as the tool calls it
-- column: n [requests] how many
-- column: mean_ms, p50_ms, p90_ms, p95_ms, p99_ms, max_ms [ms] the figure over all its values; nothing is withheld
-- column: bound_p50_ms [ms] the median if what our facts cannot tell went the other way; NULL where they tell all
-- column: definition [-] the formula over the columns of requests and tokens
-- column: note [-] what the tool sees and our facts do not, or another reason that its own figure may differ; NULL without any

-- Source: llmperf/ray_clients/openai_chat_completions_client.py. The first "gap" is the time to the first content, so that the gaps of a response add up to
-- the time to its last content.
WITH figures AS (
    SELECT run_id, step_id, 'ttft' AS metric, (first_content_ns - issued_ns) / 1e6 AS value_ms, NULL::DOUBLE AS bound_ms
    FROM profile_requests
    UNION ALL
    SELECT run_id, step_id, 'inter_token_latency', (last_content_ns - issued_ns) / 1e6 / content_chunks, NULL
    FROM profile_requests
    WHERE content_chunks > 0
    UNION ALL
    SELECT run_id, step_id, 'end_to_end_latency', (done_ns - issued_ns) / 1e6, (last_ns - issued_ns) / 1e6
    FROM profile_requests
),

told AS (
    SELECT *
    FROM (
        VALUES
        ('ttft', 'first content − issued', NULL),
        ('inter_token_latency', '(last content − issued) / chunks of content', 'the tool divides by its own count of the answer, lines or tokens by a Llama tokenizer; chunks of content stand for it here'),
        ('end_to_end_latency', 'done − issued', 'the tool ends after the last line: no later than this (body''s end), no earlier than the bound (last chunk)')
    ) AS words (metric, definition, note)
)

SELECT f.run_id, f.step_id, f.metric, unnest(profile_summary(f.value_ms, f.bound_ms)), any_value(t.definition) AS definition, any_value(t.note) AS note
FROM figures AS f
JOIN told AS t USING (metric)
GROUP BY f.run_id, f.step_id, f.metric
