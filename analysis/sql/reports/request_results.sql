-- name: request_results
-- question: How did each single request end, how long did it take, what did it cost?
-- grain: run_id, request_id
-- parameter: first INTEGER 0 how many requests to pass over, in the order of their numbers
-- parameter: many INTEGER 1000000000 how many to show
-- column: run_id, request_id, step_id, phase, outcome, http_status, workload [-] as in requests; probes are left out
-- column: ttft_ms [ms] time to first token, from the moment that it was due
-- column: latency_ms [ms] end-to-end time, from the moment that it was due
-- column: tokens_per_second [tokens/s] 1 / TPOT: what its user saw
-- column: input_tokens, output_tokens [tokens] as in requests
-- column: cost_usd [USD] at the price of the run; NULL where price or usage is not known
-- column: error [-] what went wrong; NULL where nothing did
-- column: of [requests] how many there are in all

WITH numbered AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY run_id ORDER BY request_id) AS number,
        count(*) OVER (PARTITION BY run_id) AS of
    FROM requests
    WHERE step_id >= 0
),

page AS (
    SELECT *
    FROM numbered
    WHERE number > getvariable('first') AND number <= getvariable('first') + getvariable('many')
)

SELECT
    p.run_id,
    p.request_id,
    p.step_id,
    p.phase,
    p.outcome,
    p.http_status,
    p.workload,
    m.ttft_ms,
    m.e2e_ms AS latency_ms,
    m.speed_tps AS tokens_per_second,
    p.input_tokens,
    p.output_tokens,
    c.cost_usd,
    coalesce(p.error_message, p.error_type, CASE WHEN p.outcome <> 'ok' THEN p.outcome END) AS error,
    p.of
FROM page AS p
LEFT JOIN request_metrics AS m USING (run_id, request_id)
LEFT JOIN request_costs AS c USING (run_id, request_id)
