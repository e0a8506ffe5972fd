-- name: rate_limit_onset
-- question: From which load on does a target refuse, in each cell of lengths?
-- grain: run_id, target, input_tokens_wanted, output_tokens_wanted, axis
-- column: run_id, target [-] who was asked
-- column: input_tokens_wanted, output_tokens_wanted [tokens] the cell: the steps that asked for these lengths, means where they vary
-- column: axis [-] rps: open steps; concurrency: closed ones
-- column: steps [-] how many there were
-- column: requests, rate_limited, quota, overloaded [requests] of all of them, as in rate_limit_steps
-- column: clean_up_to [1/s or requests] the largest load with every step up to it clean; NULL where the smallest was not
-- column: limited_from [1/s or requests] the smallest load of a step that was limited; NULL where none was. The onset lies between the two
-- column: windows [-] stretches in which it throttled all along, as in rate_limit_admitted, with its two next columns
-- column: admitted_rps, admitted_rps_low, admitted_rps_high [1/s] requests admitted in them and the 95 % interval

WITH placed AS (
    SELECT
        s.*,
        w.input_tokens_wanted,
        w.output_tokens_wanted,
        min(CASE WHEN s.verdict <> 'clean' THEN s.load END)
            OVER (PARTITION BY s.run_id, s.target, w.input_tokens_wanted, w.output_tokens_wanted, s.axis) AS first_not_clean
    FROM rate_limit_steps AS s
    JOIN step_windows AS w USING (run_id, step_id)
),

bracketed AS (
    SELECT
        run_id,
        target,
        input_tokens_wanted,
        output_tokens_wanted,
        axis,
        count(*) AS steps,
        sum(requests)::BIGINT AS requests,
        sum(rate_limited)::BIGINT AS rate_limited,
        sum(quota)::BIGINT AS quota,
        sum(overloaded)::BIGINT AS overloaded,
        max(load) FILTER (WHERE load < coalesce(first_not_clean, 'infinity'::DOUBLE)) AS clean_up_to,
        min(load) FILTER (WHERE verdict = 'limited') AS limited_from
    FROM placed
    GROUP BY ALL
)

SELECT
    b.*,
    coalesce(a.windows, 0) AS windows,
    a.admitted_rps,
    a.admitted_rps_low,
    a.admitted_rps_high
FROM bracketed AS b
LEFT JOIN rate_limit_admitted AS a
    ON
        b.run_id = a.run_id
        AND b.target = a.target
        AND b.input_tokens_wanted IS NOT DISTINCT FROM a.input_tokens_wanted
        AND b.output_tokens_wanted IS NOT DISTINCT FROM a.output_tokens_wanted
