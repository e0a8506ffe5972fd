-- name: step_parts
-- question: How did the requests of each workload, and of each value of a tag, fare?
-- grain: run_id, step_id, tag, value
-- column: run_id, step_id [-] the step
-- column: tag, value [-] a tag's key and value; the workload is the value of the tag ''
-- column: target, api, tags [-] of one of its requests
-- column: requests, ok_requests [requests] of phase main; of these, ended ok
-- column: success_share [-] ok / requests
-- column: request_share [-] of the requests of its step that have the tag
-- column: mean_input_tokens, mean_output_tokens [tokens] as counted in answers that ended ok
-- column: ttft_p50_ms, ttft_p99_ms [ms] TTFT of those that ended ok; p99 is NULL where n is too small to bound it or
--   the step was not steady, here and below
-- column: tpot_p50_ms, tpot_p99_ms [ms] time per output token
-- column: e2e_p50_ms, e2e_p99_ms [ms] end to end
-- column: output_tps [tokens/s] output tokens that arrived inside the step's window, over it
-- column: cost_usd [USD] of requests of phase main whose cost is known; NULL where none is

WITH tagged AS (
    SELECT run_id, request_id, target, api, tags, unnest(string_split(tags, ',')) AS pair
    FROM requests
),

parts AS (
    SELECT run_id, request_id, target, api, tags, '' AS tag, workload AS value
    FROM requests
    UNION ALL
    SELECT run_id, request_id, target, api, tags, split_part(pair, '=', 1) AS tag, split_part(pair, '=', 2) AS value
    FROM tagged
),

grouped AS (
    SELECT
        m.run_id,
        m.step_id,
        s.tag,
        s.value,
        any_value(s.target) AS target,
        any_value(s.api) AS api,
        any_value(s.tags) AS tags,
        count(*) FILTER (WHERE m.phase = 'main') AS requests,
        count(*) FILTER (WHERE m.phase = 'main' AND m.outcome = 'ok') AS ok_requests,
        avg(m.input_tokens) FILTER (WHERE m.phase = 'main' AND m.outcome = 'ok') AS mean_input_tokens,
        avg(m.output_tokens) FILTER (WHERE m.phase = 'main' AND m.outcome = 'ok') AS mean_output_tokens,
        distribution(CASE WHEN m.phase = 'main' AND m.outcome = 'ok' THEN m.ttft_ms END, NULL::DOUBLE) AS ttft,
        distribution(CASE WHEN m.phase = 'main' AND m.outcome = 'ok' THEN m.tpot_ms END, NULL::DOUBLE) AS tpot,
        distribution(CASE WHEN m.phase = 'main' AND m.outcome = 'ok' THEN m.e2e_ms END, NULL::DOUBLE) AS e2e,
        sum(t.output_tokens) AS window_tokens,
        sum(c.cost_usd) FILTER (WHERE m.phase = 'main') AS cost_usd
    FROM parts AS s
    JOIN request_metrics AS m USING (run_id, request_id)
    JOIN window_tokens AS t USING (run_id, request_id)
    JOIN request_costs AS c USING (run_id, request_id)
    WHERE m.step_id >= 0
    GROUP BY m.run_id, m.step_id, s.tag, s.value
)

SELECT
    g.run_id,
    g.step_id,
    g.tag,
    g.value,
    g.target,
    g.api,
    g.tags,
    g.requests,
    g.ok_requests,
    g.ok_requests / nullif(g.requests, 0) AS success_share,
    g.requests / nullif(sum(g.requests) OVER (PARTITION BY g.run_id, g.step_id, g.tag), 0) AS request_share,
    g.mean_input_tokens,
    g.mean_output_tokens,
    g.ttft.p50_ms AS ttft_p50_ms,
    CASE WHEN u.step_id IS NULL THEN g.ttft.p99_ms END AS ttft_p99_ms,
    g.tpot.p50_ms AS tpot_p50_ms,
    CASE WHEN u.step_id IS NULL THEN g.tpot.p99_ms END AS tpot_p99_ms,
    g.e2e.p50_ms AS e2e_p50_ms,
    CASE WHEN u.step_id IS NULL THEN g.e2e.p99_ms END AS e2e_p99_ms,
    g.window_tokens / w.window_s AS output_tps,
    g.cost_usd
FROM grouped AS g
JOIN step_windows AS w USING (run_id, step_id)
LEFT JOIN unsteady_steps AS u USING (run_id, step_id)
