-- name: chunk_gaps
-- question: How long between a response's chunks, and between which bounds where their stamps are not exact?
-- grain: run_id, request_id, chunk_index
-- column: run_id, request_id, chunk_index [-] the later chunk of the two
-- column: t_ns [ns] its stamp
-- column: read_index [-] its read
-- column: gap_ns [ns] to the chunk before
-- column: low_ns [ns] the least that the gap can be
-- column: high_ns [ns] the most; NULL where the chunk before came in the response's first read with chunks and is not exact: request
--   columns bound it then
-- column: read_fault [-] the chunk's read is numbered below the one before, or shares its number but not its instant

-- OVER () without a partition or an order takes rows as they come, in one pass and without a sort. That is right because tokens are
-- stored sorted by (request_id, chunk_index) and the view "tokens" sorts what is not sealed; where an order was broken after all,
-- chunk_index tells: the gap is missed, and the check tokens_gapless speaks.
WITH followed AS (
    SELECT
        run_id,
        request_id,
        chunk_index,
        t_ns,
        exact,
        read_index,
        lag(request_id) OVER () AS previous_request_id,
        lag(chunk_index) OVER () AS previous_chunk_index,
        lag(t_ns) OVER () AS previous_ns,
        lag(exact) OVER () AS previous_exact,
        lag(read_index) OVER () AS previous_read_index
    FROM tokens
),

-- before_ns: arrival of the last earlier read of the response that completed a chunk; -1 within the first such read.
bounded AS (
    SELECT
        *,
        last_value(
            CASE WHEN chunk_index = 0 THEN -1 WHEN read_index <> previous_read_index THEN previous_ns END IGNORE NULLS
        ) OVER (ROWS UNBOUNDED PRECEDING) AS before_ns
    FROM followed
),

pairs AS (
    SELECT *, lag(before_ns) OVER () AS previous_before_ns
    FROM bounded
)

SELECT
    run_id,
    request_id,
    chunk_index,
    t_ns,
    read_index,
    t_ns - previous_ns AS gap_ns,
    CASE WHEN exact THEN t_ns - previous_ns ELSE 0 END AS low_ns,
    CASE
        WHEN previous_exact THEN t_ns - previous_ns
        WHEN previous_before_ns >= 0 THEN t_ns - previous_before_ns
    END AS high_ns,
    read_index < previous_read_index OR (read_index = previous_read_index AND t_ns <> previous_ns) AS read_fault
FROM pairs
WHERE request_id = previous_request_id AND chunk_index = previous_chunk_index + 1
