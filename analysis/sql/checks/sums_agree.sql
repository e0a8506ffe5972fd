-- name: sums_agree
-- question: Do all ways of counting one run come to the same numbers?
-- grain: run_id, what
-- column: run_id [-] the run
-- column: what [-] what is counted
-- column: one_way, other_way [-] the two counts, which must be equal

WITH sums AS (
    SELECT run_id, 'chunks of all responses' AS what, sum(chunks)::BIGINT AS one_way
    FROM token_seconds
    GROUP BY run_id
),

counted AS (
    SELECT run_id, count(*) AS other_way
    FROM tokens
    GROUP BY run_id
),

outcomes_of AS (
    SELECT run_id, sum(n)::BIGINT AS one_way
    FROM outcomes
    GROUP BY run_id
),

requests_of AS (
    SELECT run_id, count(*) AS other_way
    FROM requests
    GROUP BY run_id
),

in_flight_of AS (
    SELECT run_id, count(*) AS one_way
    FROM concurrency_at_send
    GROUP BY run_id
),

sent_of AS (
    SELECT run_id, count(*) AS other_way
    FROM requests
    WHERE sent_ns IS NOT NULL
    GROUP BY run_id
),

pairs AS (
    SELECT run_id, what, one_way, other_way
    FROM sums
    FULL JOIN counted USING (run_id)
    UNION ALL
    SELECT run_id, 'requests by outcome' AS what, one_way, other_way
    FROM outcomes_of
    FULL JOIN requests_of USING (run_id)
    UNION ALL
    SELECT run_id, 'requests with a concurrency' AS what, one_way, other_way
    FROM in_flight_of
    FULL JOIN sent_of USING (run_id)
)

SELECT run_id, what, one_way, other_way
FROM pairs
WHERE one_way IS DISTINCT FROM other_way
