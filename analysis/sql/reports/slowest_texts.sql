-- name: slowest_texts
-- question: What did the slowest requests ask, and what were they told?
-- grain: run_id, rank
-- parameter: rank_by VARCHAR 'e2e' ttft or e2e: what they are ranked by
-- parameter: most INTEGER 20 requests of a run to show
-- parameter: chars INTEGER 200 characters of each text to show
-- column: run_id, request_id [-] the request; only those whose texts were kept (record.texts) and that have the
--   time they are ranked by; probes are left out
-- column: step_id [-] its step
-- column: rank [-] 1 is the slowest
-- column: outcome [-] how it ended
-- column: ttft_ms, e2e_ms [ms] its times, from the moment that it was due
-- column: output_tokens [tokens] length of the answer
-- column: prompt, response [-] the texts' first characters, … where there are more

-- Texts are joined last: there may be more of them than memory.
WITH ranked AS (
    SELECT
        m.run_id,
        m.request_id,
        m.step_id,
        row_number() OVER (
            PARTITION BY m.run_id
            ORDER BY CASE WHEN getvariable('rank_by') = 'ttft' THEN m.ttft_ms ELSE m.e2e_ms END DESC, m.request_id
        ) AS rank,
        m.outcome,
        m.ttft_ms,
        m.e2e_ms,
        m.output_tokens
    FROM request_metrics AS m
    SEMI JOIN texts AS t USING (run_id, request_id)
    WHERE m.step_id >= 0 AND CASE WHEN getvariable('rank_by') = 'ttft' THEN m.ttft_ms ELSE m.e2e_ms END IS NOT NULL
),

slowest AS (
    SELECT *
    FROM ranked
    WHERE rank <= getvariable('most')
)

SELECT
    s.*,
    left(t.prompt, getvariable('chars')) || CASE WHEN length(t.prompt) > getvariable('chars') THEN '…' ELSE '' END AS prompt,
    left(t.response, getvariable('chars')) || CASE WHEN length(t.response) > getvariable('chars') THEN '…' ELSE '' END AS response
FROM slowest AS s
JOIN texts AS t USING (run_id, request_id)
