-- name: concurrency_at_send
-- question: How many requests were in flight, over all workers, when each was sent?
-- grain: run_id, request_id
-- column: run_id, request_id, step_id [-] the request
-- column: in_flight [requests] sent and not yet done at this request's sent_ns, itself included

-- At one instant an end comes before a send: a closed slot that sends as its answer ends is one request, not two.
WITH events AS (
    SELECT run_id, request_id, step_id, sent_ns AS t_ns, 1 AS change
    FROM requests
    WHERE sent_ns IS NOT NULL
    UNION ALL
    SELECT run_id, request_id, step_id, greatest(done_ns, sent_ns) AS t_ns, -1 AS change
    FROM requests
    WHERE sent_ns IS NOT NULL AND done_ns IS NOT NULL
),

counted AS (
    SELECT
        *,
        sum(change) OVER (
            PARTITION BY run_id ORDER BY t_ns, change, request_id ROWS UNBOUNDED PRECEDING
        )::BIGINT AS in_flight
    FROM events
)

SELECT run_id, request_id, step_id, in_flight
FROM counted
WHERE change = 1
