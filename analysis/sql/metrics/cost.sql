-- name: cost
-- question: What did each step cost, in all and for what came of it?
-- grain: run_id, step_id
-- column: run_id, step_id [-] the step
-- column: priced_requests [requests] of the step, warm-up included, whose cost is known
-- column: unknown_requests [requests] of the step that were sent, not refused, and whose cost is not known: what is below leaves them out
-- column: cost_usd [USD] of the step, warm-up included; NULL where the cost of no request is known
-- column: main_cost_usd [USD] of its main phase, failed requests included where they have usage
-- column: usd_per_request [USD] mean over requests whose cost is known; this and what follows is of the main phase without what the
--   scenario gives up on purpose, as goodput and every figure of requests is
-- column: usd_per_million_output_tokens [USD] cost, input included, over the output tokens that it bought, times 10^6
-- column: usd_per_ok_request [USD] cost / requests that ended ok; NULL unless the cost of every one of those is known
-- column: usd_per_good_request [USD] cost / requests that met the SLO; NULL without an SLO, or where it is NULL for ok ones
-- column: cached_share [-] of the input tokens that were billed, those read from the cache

WITH summed AS (
    SELECT
        run_id,
        step_id,
        count(cost_usd) AS priced_requests,
        count(*) FILTER (WHERE unknown) AS unknown_requests,
        sum(cost_usd) AS cost_usd,
        sum(cost_usd) FILTER (WHERE phase = 'main') AS main_cost_usd,
        sum(cost_usd) FILTER (WHERE counted_phase = 'main') AS counted_cost_usd,
        avg(cost_usd) FILTER (WHERE counted_phase = 'main') AS usd_per_request,
        sum(billed_output_tokens) FILTER (WHERE counted_phase = 'main' AND cost_usd IS NOT NULL) AS output_tokens,
        sum(billed_input_tokens) FILTER (WHERE counted_phase = 'main' AND cost_usd IS NOT NULL) AS input_tokens,
        sum(billed_cached_tokens) FILTER (WHERE counted_phase = 'main' AND cost_usd IS NOT NULL) AS cached_tokens,
        count(*) FILTER (WHERE counted_phase = 'main' AND outcome = 'ok') AS ok_requests,
        bool_and(cost_usd IS NOT NULL) FILTER (WHERE counted_phase = 'main' AND outcome = 'ok') AS ok_known
    FROM request_costs
    WHERE step_id >= 0
    GROUP BY run_id, step_id
)

SELECT
    w.run_id,
    w.step_id,
    coalesce(s.priced_requests, 0) AS priced_requests,
    coalesce(s.unknown_requests, 0) AS unknown_requests,
    s.cost_usd,
    s.main_cost_usd,
    s.usd_per_request,
    s.counted_cost_usd / nullif(s.output_tokens, 0) * 1e6 AS usd_per_million_output_tokens,
    CASE WHEN s.ok_known THEN s.counted_cost_usd / nullif(s.ok_requests, 0) END AS usd_per_ok_request,
    CASE WHEN s.ok_known AND g.slo IS NOT NULL THEN s.counted_cost_usd / nullif(g.good_requests, 0) END AS usd_per_good_request,
    s.cached_tokens / nullif(CASE WHEN s.counted_cost_usd IS NOT NULL THEN s.input_tokens END, 0) AS cached_share
FROM step_windows AS w
LEFT JOIN summed AS s USING (run_id, step_id)
LEFT JOIN goodput AS g USING (run_id, step_id)
