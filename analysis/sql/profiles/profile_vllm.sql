-- name: profile_vllm
-- question: What would `vllm bench serve` print of these responses?
-- grain: run_id, step_id, metric
-- column: run_id, step_id [-] the step; its requests of phase main that ended ok with at least one chunk
-- column: metric [-] as the tool calls it
-- column: n [requests or gaps] how many
-- column: mean_ms, p50_ms, p90_ms, p95_ms, p99_ms, max_ms [ms] the figure over all its values; nothing is withheld
-- column: bound_p50_ms [ms] the median if what our facts cannot tell went the other way; NULL where they tell all
-- column: definition [-] the formula over the columns of requests and tokens
-- column: note [-] what the tool sees and our facts do not, or another reason that its own figure may differ; NULL without any

-- Source: vllm/benchmarks/lib/endpoint_request_func.py and serve.py. Every event with a non-empty "choices" counts as a chunk there, with text or
-- without; its clock starts before the HTTP library is called, which issued_ns is nearest to. Answers of one token have no TPOT.
WITH figures AS (
    SELECT run_id, step_id, 'ttft' AS metric, (first_ns - issued_ns) / 1e6 AS value_ms, (headers_ns - issued_ns) / 1e6 AS bound_ms
    FROM profile_requests
    UNION ALL
    SELECT run_id, step_id, 'tpot', (last_ns - first_ns) / 1e6 / (output_tokens - 1), (done_ns - headers_ns) / 1e6 / (output_tokens - 1)
    FROM profile_requests
    WHERE output_tokens > 1
    UNION ALL
    SELECT run_id, step_id, 'e2el', (last_ns - issued_ns) / 1e6, (done_ns - issued_ns) / 1e6
    FROM profile_requests
),

summed AS (
    SELECT run_id, step_id, metric, unnest(profile_summary(value_ms, bound_ms))
    FROM figures
    GROUP BY run_id, step_id, metric
    UNION ALL BY NAME
    SELECT * EXCLUDE (chunks), 'itl' AS metric
    FROM profile_gaps
    WHERE chunks = 'any'
),

told AS (
    SELECT *
    FROM (
        VALUES
        ('ttft', 'first chunk − issued', 'a chunk with a role and no text counts in the tool and is no row here: its figure lies between the bound (headers complete) and this'),
        ('tpot', '(last − first chunk) / (N − 1)', 'first and last are the tool''s role-only and closing chunks where the target sends them: its figure lies between this and the bound (headers to body''s end); N: the target''s count, else openloop''s own (token_source says which) where the tool asks its tokenizer'),
        ('itl', 'gaps between chunks, pooled', 'each role-only and each closing chunk adds a gap in the tool and is no row here; chunks that share a read have a gap of 0 here, and one of their parsing in the tool'),
        ('e2el', 'last chunk − issued', 'a closing chunk without text counts in the tool and is no row here: its figure lies between this and the bound (body''s end)')
    ) AS words (metric, definition, note)
)

SELECT s.*, t.definition, t.note
FROM summed AS s
JOIN told AS t USING (metric)
