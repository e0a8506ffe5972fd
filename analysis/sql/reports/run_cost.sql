-- name: run_cost
-- question: What did the run cost, probes and warm-up included?
-- grain: run_id
-- column: run_id [-] the run
-- column: priced_requests [requests] whose cost is known
-- column: unknown_requests [requests] sent, not refused, and of unknown cost: the sums leave them out
-- column: cost_usd [USD] of everything whose cost is known; NULL where that is nothing
-- column: probe_usd, warmup_usd, main_usd [USD] of each phase; NULL where nothing of it is known
-- column: input_tokens, cached_tokens, cache_write_tokens, output_tokens [tokens] of the requests whose cost is known

WITH known AS (
    SELECT *
    FROM request_costs
    WHERE cost_usd IS NOT NULL OR unknown
)

SELECT
    runs.run_id,
    count(k.cost_usd) AS priced_requests,
    count(*) FILTER (WHERE k.unknown) AS unknown_requests,
    sum(k.cost_usd) AS cost_usd,
    sum(k.cost_usd) FILTER (WHERE k.phase = 'probe') AS probe_usd,
    sum(k.cost_usd) FILTER (WHERE k.phase = 'warmup') AS warmup_usd,
    sum(k.cost_usd) FILTER (WHERE k.phase = 'main') AS main_usd,
    sum(k.billed_input_tokens) FILTER (WHERE k.cost_usd IS NOT NULL)::BIGINT AS input_tokens,
    sum(k.billed_cached_tokens) FILTER (WHERE k.cost_usd IS NOT NULL)::BIGINT AS cached_tokens,
    sum(k.billed_cache_write_tokens) FILTER (WHERE k.cost_usd IS NOT NULL)::BIGINT AS cache_write_tokens,
    sum(k.billed_output_tokens) FILTER (WHERE k.cost_usd IS NOT NULL)::BIGINT AS output_tokens
FROM (SELECT DISTINCT run_id FROM requests) AS runs
LEFT JOIN known AS k USING (run_id)
GROUP BY runs.run_id
