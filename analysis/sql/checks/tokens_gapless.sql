-- name: tokens_gapless
-- question: Are any response's chunks missing, doubled, or out of the stored order?
-- grain: run_id, request_id
-- column: run_id, request_id [-] the request
-- column: chunks [chunks] its rows
-- column: gaps [gaps] neighbouring pairs found; one less than chunks when all is well

WITH chunks_of AS (
    SELECT run_id, request_id, sum(chunks)::BIGINT AS chunks
    FROM token_seconds
    GROUP BY run_id, request_id
),

gaps_of AS (
    SELECT run_id, request_id, count(*) AS gaps
    FROM chunk_gaps
    GROUP BY run_id, request_id
)

-- A pair is found only where chunk_index goes up by one within one response, so n rows with n - 1 pairs are 0, 1, .. in order, or all
-- shifted by the same number, which the first row's absence from index 0 would show as a NULL in token_seconds.first_exact.
SELECT c.run_id, c.request_id, c.chunks, coalesce(g.gaps, 0) AS gaps
FROM chunks_of AS c
LEFT JOIN gaps_of AS g USING (run_id, request_id)
WHERE coalesce(g.gaps, 0) <> c.chunks - 1
