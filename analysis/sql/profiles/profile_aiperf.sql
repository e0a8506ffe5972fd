-- name: profile_aiperf
-- question: What would AIPerf print of these responses?
-- grain: run_id, step_id, metric
-- column: run_id, step_id [-] the step; its requests of phase main that ended ok with at least one chunk
-- column: metric [-] as the tool calls it
-- column: n [requests or gaps] how many
-- column: mean_ms, p50_ms, p90_ms, p95_ms, p99_ms, max_ms [ms] the figure over all its values; nothing is withheld
-- column: bound_p50_ms [ms] the median if what our facts cannot tell went the other way; NULL where they tell all
-- column: definition [-] the formula over the columns of requests and tokens
-- column: note [-] what the tool sees and our facts do not, or another reason that its own figure may differ; NULL without any

-- Source: AIPerf 0.13, metrics/types. "Inter token latency" is an average over the answer, one value a request; real gaps are "inter chunk latency".
WITH figures AS (
    SELECT run_id, step_id, 'time_to_first_token' AS metric, (first_ns - issued_ns) / 1e6 AS value_ms, NULL::DOUBLE AS bound_ms
    FROM profile_requests
    UNION ALL
    SELECT run_id, step_id, 'inter_token_latency', (last_ns - first_ns) / 1e6 / (output_tokens - CASE WHEN first_tokens BETWEEN 1 AND output_tokens - 1 THEN first_tokens ELSE 1 END), NULL
    FROM profile_requests
    WHERE output_tokens > 1
    UNION ALL
    SELECT run_id, step_id, 'request_latency', (last_ns - issued_ns) / 1e6, NULL
    FROM profile_requests
),

summed AS (
    SELECT run_id, step_id, metric, unnest(profile_summary(value_ms, bound_ms))
    FROM figures
    GROUP BY run_id, step_id, metric
    UNION ALL BY NAME
    SELECT * EXCLUDE (chunks), 'inter_chunk_latency' AS metric
    FROM profile_gaps
    WHERE chunks = 'any'
),

told AS (
    SELECT *
    FROM (
        VALUES
        ('time_to_first_token', 'first chunk − issued', NULL),
        ('inter_token_latency', '(last − first chunk) / (N − tokens of the first chunk)', 'the first chunk counts 1 token where the stream does not say how many it has; the tool takes 1 always but under --per-chunk-usage; N: the target''s count, else openloop''s own (token_source says which) where the tool asks its tokenizer'),
        ('inter_chunk_latency', 'gaps between chunks, pooled', NULL),
        ('request_latency', 'last chunk − issued', NULL)
    ) AS words (metric, definition, note)
)

SELECT s.*, t.definition, t.note
FROM summed AS s
JOIN told AS t USING (metric)
