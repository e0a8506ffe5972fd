-- name: attainment_evidence
-- question: How many independent requests is a step's attainment worth?
-- grain: run_id, step_id
-- column: run_id, step_id [-] the step
-- column: due_requests, misses [requests] as in goodput: scheduled in the window; of these, not good
-- column: n_effective [requests] as many independent ones would be as sure: misses come in clumps when a target is busy. Fewer than 60
--   requests cannot tell, and n stands

WITH placed AS (
    SELECT run_id, step_id, good, ntile(30) OVER (PARTITION BY run_id, step_id ORDER BY scheduled_ns, request_id) AS batch
    FROM slo_requests
),

batches AS (
    SELECT run_id, step_id, batch, count(*) FILTER (WHERE good) AS hits, count(*) AS size
    FROM placed
    GROUP BY run_id, step_id, batch
),

stretches AS (
    SELECT run_id, step_id, list(hits ORDER BY batch) AS hits, list(size ORDER BY batch) AS sizes
    FROM batches
    GROUP BY run_id, step_id
)

SELECT
    run_id,
    step_id,
    list_sum(sizes)::BIGINT AS due_requests,
    (list_sum(sizes) - list_sum(hits))::BIGINT AS misses,
    CASE WHEN list_sum(sizes) < 60 THEN list_sum(sizes) ELSE effective_n(hits, sizes) END AS n_effective
FROM stretches
