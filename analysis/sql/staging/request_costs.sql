-- name: request_costs
-- question: What did each request cost?
-- grain: run_id, request_id
-- column: run_id, request_id, step_id, target, phase, outcome [-] as in requests
-- column: counted_phase [-] as phase in request_metrics: main is then who figures per request are of
-- column: billed_input_tokens, billed_cached_tokens, billed_cache_write_tokens, billed_output_tokens [tokens] as the target counted them at the end of
--   its answer; NULL where it did not, for then nobody knows what it bills
-- column: input_usd [USD] input at its price; what was read from the cache or written to it at the price of that, where it has one
-- column: output_usd [USD] output at its price, hidden reasoning included; 0 for embeddings, which have none
-- column: cost_usd [USD] both; NULL where a price or the usage is not known, never zero
-- column: unknown [-] sent, and not refused by a status: it may have cost something, nobody knows what

WITH counted AS (
    SELECT
        run_id,
        request_id,
        step_id,
        target,
        phase,
        counted_phase(phase, cancel_planned) AS counted_phase,
        outcome,
        sent_ns,
        http_status,
        price_input,
        price_output,
        coalesce(price_cached, price_input) AS price_cached,
        coalesce(price_cache_write, price_input) AS price_cache_write,
        -- What an embedding costs is its input; its usage has no output tokens, and so no source of them.
        CASE WHEN api = 'openai-embeddings' THEN 0 WHEN token_source = 'usage' THEN output_tokens END AS output_tokens,
        CASE WHEN api = 'openai-embeddings' OR token_source = 'usage' THEN input_tokens END AS input_tokens,
        coalesce(cached_tokens, 0) AS cached_tokens,
        coalesce(cache_write_tokens, 0) AS cache_write_tokens
    FROM requests
),

costed AS (
    SELECT
        *,
        (
            greatest(input_tokens - cached_tokens - cache_write_tokens, 0) * price_input
            + CASE WHEN cached_tokens > 0 THEN cached_tokens * price_cached ELSE 0 END
            + CASE WHEN cache_write_tokens > 0 THEN cache_write_tokens * price_cache_write ELSE 0 END
        ) / 1e6 AS all_input_usd,
        -- greatest() passes over NULL, so unknown input has to be said to be so.
        CASE WHEN input_tokens IS NOT NULL THEN all_input_usd END AS input_usd,
        CASE WHEN output_tokens = 0 THEN 0 ELSE output_tokens * price_output / 1e6 END AS output_usd
    FROM counted
)

SELECT
    run_id,
    request_id,
    step_id,
    target,
    phase,
    counted_phase,
    outcome,
    input_tokens AS billed_input_tokens,
    CASE WHEN input_tokens IS NOT NULL THEN cached_tokens END AS billed_cached_tokens,
    CASE WHEN input_tokens IS NOT NULL THEN cache_write_tokens END AS billed_cache_write_tokens,
    output_tokens AS billed_output_tokens,
    input_usd,
    output_usd,
    input_usd + output_usd AS cost_usd,
    cost_usd IS NULL AND sent_ns IS NOT NULL AND coalesce(http_status BETWEEN 200 AND 299, true) AS unknown
FROM costed
