-- name: tokens_gapless
-- question: Are any response's chunks missing, doubled, or out of the stored order?
-- grain: run_id, request_id
-- column: run_id, request_id [-] the request
-- column: chunks [chunks] its rows
-- column: gaps [gaps] neighbouring pairs found; one less than chunks when all is well

WITH chunks_of AS (
    SELECT run_id, request_id, sum(chunks)::BIGINT AS chunks, count(first_exact) > 0 AS begun
    FROM token_seconds
    GROUP BY run_id, request_id
)

-- A pair is found only where chunk_index goes up by one within one response: n rows with n - 1 pairs are in order, and the first is 0
-- where token_seconds met a first row.
SELECT c.run_id, c.request_id, c.chunks, coalesce(g.gaps, 0) AS gaps
FROM chunks_of AS c
LEFT JOIN response_order AS g USING (run_id, request_id)
WHERE coalesce(g.gaps, 0) <> c.chunks - 1 OR NOT c.begun
