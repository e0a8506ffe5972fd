-- name: profile_inference_perf
-- question: What would inference-perf print of these responses?
-- grain: run_id, step_id, metric
-- column: run_id, step_id [-] the step; its requests of phase main that ended ok with at least one chunk
-- column: metric [-] as the tool calls it
-- column: n [requests or gaps] how many
-- column: mean_ms, p50_ms, p90_ms, p95_ms, p99_ms, max_ms [ms] the figure over all its values; nothing is withheld
-- column: bound_p50_ms [ms] the median if what our facts cannot tell went the other way; NULL where they tell all
-- column: definition [-] the formula over the columns of requests and tokens
-- column: note [-] what the tool sees and our facts do not, or another reason that its own figure may differ; NULL without any

-- Source: inference-perf 0.7, reportgen/base.py. Reasoning and tool calls are no tokens there. Each token of a chunk has the chunk's time, so that all tokens of
-- a chunk but the first follow one another after 0 ms. An answer of one token has no TTFT.
WITH figures AS (
    SELECT run_id, step_id, 'time_to_first_token' AS metric, (first_content_ns - issued_ns) / 1e6 AS value_ms, NULL::DOUBLE AS bound_ms
    FROM profile_requests
    WHERE content_tokens > 1
    UNION ALL
    SELECT run_id, step_id, 'time_per_output_token', (last_content_ns - first_content_ns) / 1e6 / (output_tokens - 1), NULL
    FROM profile_requests
    WHERE content_tokens > 1 AND output_tokens > 1
    UNION ALL
    SELECT run_id, step_id, 'normalized_time_per_output_token', (done_ns - issued_ns) / 1e6 / output_tokens, (last_ns - issued_ns) / 1e6 / output_tokens
    FROM profile_requests
    WHERE output_tokens > 0
    UNION ALL
    SELECT run_id, step_id, 'request_latency', (done_ns - issued_ns) / 1e6, (last_ns - issued_ns) / 1e6
    FROM profile_requests
),

summed AS (
    SELECT run_id, step_id, metric, unnest(profile_summary(value_ms, bound_ms))
    FROM figures
    GROUP BY run_id, step_id, metric
    UNION ALL BY NAME
    SELECT * EXCLUDE (chunks), 'inter_token_latency' AS metric
    FROM profile_gaps
    WHERE chunks = 'content tokens'
),

told AS (
    SELECT *
    FROM (
        VALUES
        ('time_to_first_token', 'first content − issued', 'answers of one token are left out; a chunk counts 1 where the stream does not say how many it has'),
        ('inter_token_latency', 'gaps between chunks of content, and 0 for every further token of a chunk, pooled', 'a chunk counts 1 token where the stream does not say how many it has; the tool asks its tokenizer, and has more gaps of 0'),
        ('time_per_output_token', '(last − first content) / (N − 1)', 'N: the target''s count, reasoning included; the tool counts the content with its tokenizer unless told to take the target''s'),
        ('normalized_time_per_output_token', '(done − issued) / N', 'completion is the body''s end; the bound is the last chunk; N: the target''s count, reasoning included; the tool counts the content with its tokenizer unless told to take the target''s'),
        ('request_latency', 'done − issued', 'completion is the body''s end; the bound is the last chunk')
    ) AS words (metric, definition, note)
)

SELECT s.*, t.definition, t.note
FROM summed AS s
JOIN told AS t USING (metric)
