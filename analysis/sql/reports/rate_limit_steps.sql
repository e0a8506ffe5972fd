-- name: rate_limit_steps
-- question: In which steps did a target limit the rate, and in which surely not?
-- grain: run_id, step_id, target
-- column: run_id, step_id, target [-] the step, and who was asked in it
-- column: axis [-] rps in an open step, concurrency in a closed one
-- column: load [1/s or requests] the rate that was sent to this target, or the slots; the larger end of a ramp of slots
-- column: requests [requests] of the main phase that were admitted or refused by a rate limit
-- column: rate_limited [requests] refused by one; nothing else counts as such
-- column: quota, overloaded [requests] refused because money or capacity was short: they stand beside
-- column: share, share_low, share_high [-] rate_limited / requests and its Wilson interval, 95 %
-- column: verdict [-] limited: the lower end is above 1 %; else clean: the upper end is below 5 %; else undecided

WITH counted AS (
    SELECT
        run_id,
        step_id,
        target,
        count(*) FILTER (WHERE outcome = 'quota') AS quota,
        count(*) FILTER (WHERE outcome = 'overloaded') AS overloaded,
        count(*) FILTER (WHERE sent_ns IS NOT NULL) AS sent
    FROM requests
    WHERE phase = 'main'
    GROUP BY ALL
),

judged AS (
    SELECT
        run_id,
        step_id,
        target,
        count(*) AS requests,
        count(*) FILTER (WHERE NOT admitted) AS rate_limited,
        wilson(count(*) FILTER (WHERE NOT admitted), count(*)) AS bounds
    FROM limited_requests
    WHERE phase = 'main'
    GROUP BY ALL
)

SELECT
    c.run_id,
    c.step_id,
    c.target,
    CASE WHEN w.closed THEN 'concurrency' ELSE 'rps' END AS axis,
    CASE WHEN w.closed THEN greatest(w.concurrency, coalesce(w.concurrency_end, 0)) ELSE c.sent / w.window_s END AS load,
    coalesce(j.requests, 0) AS requests,
    coalesce(j.rate_limited, 0) AS rate_limited,
    c.quota,
    c.overloaded,
    j.rate_limited / j.requests AS share,
    j.bounds.low AS share_low,
    j.bounds.high AS share_high,
    CASE
        WHEN j.bounds.low > 0.01 THEN 'limited'
        WHEN j.bounds.high < 0.05 THEN 'clean'
        ELSE 'undecided'
    END AS verdict
FROM counted AS c
JOIN step_windows AS w USING (run_id, step_id)
LEFT JOIN judged AS j USING (run_id, step_id, target)
