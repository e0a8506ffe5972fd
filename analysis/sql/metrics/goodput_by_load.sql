-- name: goodput_by_load
-- question: How do goodput and attainment change with the load?
-- grain: run_id, series, axis, load
-- parameter: wanted DOUBLE NULL the share of requests that must be good; NULL: the SLO's attainment, else 0.99
-- column: run_id [-] the run; its steps of one constant load: no ramps, no traces
-- column: series [-] what stands in one curve: target of a comparison, law of arrivals, lengths
-- column: axis [-] what the load is: requests/s, sessions/s or slots
-- column: load [1/s, or slots] offered rate, or concurrency
-- column: steps [-] how many steps had it; their requests are taken together
-- column: due_requests, good_requests [requests] as in goodput
-- column: goodput_rps [requests/s] good requests over the steps' windows
-- column: good_tps [tokens/s] output tokens of good requests over the windows
-- column: attainment, attainment_low, attainment_high [-] good / due and its Wilson interval, 95 %, of as many independent requests as
--   these are worth (attainment_evidence)
-- column: late_share, failed_share, unfinished_share [-] of the due requests, by why they missed
-- column: wanted [-] the share that must be good
-- column: state [-] met: the interval's lower end is at least wanted; missed: its upper end is below; else undecided, for want of requests

WITH counted AS (
    SELECT
        s.run_id,
        s.step_id,
        count(*) AS due_requests,
        any_value(e.n_effective) AS n_effective,
        count(*) FILTER (WHERE s.good) AS good_requests,
        coalesce(sum(s.output_tokens) FILTER (WHERE s.good), 0)::BIGINT AS good_tokens,
        count(*) FILTER (WHERE s.kind = 'late') AS late_requests,
        count(*) FILTER (WHERE s.kind = 'failed') AS failed_requests,
        count(*) FILTER (WHERE s.kind = 'unfinished') AS unfinished_requests
    FROM slo_requests AS s
    JOIN attainment_evidence AS e ON s.run_id = e.run_id AND s.step_id = e.step_id
    GROUP BY s.run_id, s.step_id
),

placed AS (
    SELECT
        run_id,
        step_id,
        window_s,
        concat_ws(
            ' · ', arm, arrivals, CASE WHEN burstiness IS NOT NULL THEN format('shape {:g}', burstiness) END,
            CASE WHEN input_tokens_wanted IS NOT NULL THEN format('{:g} in', input_tokens_wanted) END,
            CASE WHEN output_tokens_wanted IS NOT NULL THEN format('{:g} out', output_tokens_wanted) END
        ) AS series,
        CASE WHEN closed THEN 'slots' WHEN session_turns IS NOT NULL THEN 'sessions/s' ELSE 'requests/s' END AS axis,
        CASE WHEN closed THEN concurrency ELSE rate_rps END::DOUBLE AS load
    FROM step_windows
    WHERE
        load IS NOT NULL
        AND coalesce(rate_end_rps, rate_rps) IS NOT DISTINCT FROM rate_rps
        AND coalesce(concurrency_end, concurrency) IS NOT DISTINCT FROM concurrency
),

summed AS (
    SELECT
        run_id,
        series,
        axis,
        load,
        count(*) AS steps,
        sum(window_s) AS window_s,
        sum(due_requests)::BIGINT AS due_requests,
        -- Steps are independent: the variance of the pooled share is the sum of theirs, weighted by their squares.
        sum(due_requests) ^ 2 / sum(due_requests ^ 2 / n_effective) AS n_effective,
        sum(good_requests)::BIGINT AS good_requests,
        sum(good_tokens)::BIGINT AS good_tokens,
        sum(late_requests)::BIGINT AS late_requests,
        sum(failed_requests)::BIGINT AS failed_requests,
        sum(unfinished_requests)::BIGINT AS unfinished_requests
    FROM placed
    JOIN counted USING (run_id, step_id)
    GROUP BY run_id, series, axis, load
),

shared AS (
    SELECT
        s.run_id,
        series,
        axis,
        load,
        steps,
        due_requests,
        good_requests,
        good_requests / window_s AS goodput_rps,
        good_tokens / window_s AS good_tps,
        good_requests / due_requests AS attainment,
        (wilson(good_requests * n_effective / due_requests, n_effective)).low AS attainment_low,
        (wilson(good_requests * n_effective / due_requests, n_effective)).high AS attainment_high,
        late_requests / due_requests AS late_share,
        failed_requests / due_requests AS failed_share,
        unfinished_requests / due_requests AS unfinished_share,
        coalesce(getvariable('wanted')::DOUBLE, r.slo_attainment, usual_attainment()) AS wanted
    FROM summed AS s
    LEFT JOIN runs AS r ON s.run_id = r.run_id
)

SELECT
    *,
    CASE WHEN attainment_low >= wanted THEN 'met' WHEN attainment_high < wanted THEN 'missed' ELSE 'undecided' END AS state
FROM shared
