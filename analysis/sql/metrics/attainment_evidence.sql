-- name: attainment_evidence
-- question: How many independent requests is a step's attainment worth?
-- grain: run_id, step_id
-- column: run_id, step_id [-] the step
-- column: due_requests, misses [requests] as in goodput: scheduled in the window; of these, not good
-- column: n_effective [requests] as many independent ones would be as sure: what is slow comes in clumps when a target is busy. The lesser of
--   what the misses say and what the worst tenth says, by the share of the SLO that was used up. Fewer than 60 requests cannot tell, and n stands

-- The misses alone would not do: where there are none they vary not at all, though a queue would have brought them in clumps, and a
-- step between two clumps would look like proof. The worst tenth comes in the same clumps and is there to be counted. The search for
-- the largest load says the same (analysis/searching/sample.py).
WITH tenths AS (
    -- Where more than a tenth missed, these are the worst. An interpolation between infinities is NaN, which is more than 1, too.
    SELECT run_id, step_id, least(1.0, percentile(used, 0.9)) AS worst_from
    FROM slo_used
    WHERE phase = 'main'
    GROUP BY run_id, step_id
),

placed AS (
    SELECT
        u.run_id,
        u.step_id,
        u.used <= 1 AS good,
        u.used <= t.worst_from AS usual,
        ntile(30) OVER (PARTITION BY u.run_id, u.step_id ORDER BY u.scheduled_ns, u.request_id) AS batch
    FROM slo_used AS u
    JOIN tenths AS t ON u.run_id = t.run_id AND u.step_id = t.step_id
    WHERE u.phase = 'main'
),

batches AS (
    SELECT run_id, step_id, batch, count(*) FILTER (WHERE good) AS hits, count(*) FILTER (WHERE usual) AS usual_hits, count(*) AS size
    FROM placed
    GROUP BY run_id, step_id, batch
),

stretches AS (
    SELECT
        run_id,
        step_id,
        list(hits ORDER BY batch) AS hits,
        list(usual_hits ORDER BY batch) AS usual_hits,
        list(size ORDER BY batch) AS sizes
    FROM batches
    GROUP BY run_id, step_id
)

SELECT
    run_id,
    step_id,
    list_sum(sizes)::BIGINT AS due_requests,
    (list_sum(sizes) - list_sum(hits))::BIGINT AS misses,
    CASE
        WHEN list_sum(sizes) < 60 THEN list_sum(sizes)
        ELSE least(effective_n(hits, sizes), effective_n(usual_hits, sizes))
    END AS n_effective
FROM stretches
