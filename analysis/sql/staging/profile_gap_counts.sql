-- name: profile_gap_counts
-- question: How often does each gap between chunks occur that other tools look at, to the microsecond?
-- grain: run_id, step_id, chunks, gap_us
-- materialise: yes
-- column: run_id, step_id [-] the step; requests of phase main that ended ok
-- column: chunks [-] between which chunks: "any"; "text", which are content and reasoning; "content"; "content tokens", where every token of
--   a chunk of content but its first follows after 0 us
-- column: gap_us [us] to the chunk of that kind before, rounded
-- column: n [gaps] how many

WITH good AS (
    SELECT run_id, request_id, step_id
    FROM requests
    WHERE counted_phase(phase, cancel_planned) = 'main' AND outcome = 'ok'
),

-- Rows as they are stored, in one pass and without a sort, as in chunk_gaps.
text AS (
    SELECT
        run_id,
        request_id,
        t_ns - lag(t_ns) OVER () AS gap_ns,
        request_id = lag(request_id) OVER () AND chunk_index > lag(chunk_index) OVER () AS follows
    FROM tokens
    WHERE kind IN ('content', 'reasoning')
),

content AS (
    SELECT
        run_id,
        request_id,
        n_tokens,
        t_ns - lag(t_ns) OVER () AS gap_ns,
        request_id = lag(request_id) OVER () AND chunk_index > lag(chunk_index) OVER () AS follows
    FROM tokens
    WHERE kind = 'content'
),

content_counts AS (
    SELECT
        g.run_id,
        g.step_id,
        CASE WHEN c.follows THEN ((c.gap_ns + 500) // 1000)::BIGINT END AS gap_us,
        count(*) AS n,
        sum(greatest(coalesce(c.n_tokens, 1) - 1, 0))::BIGINT AS further_tokens
    FROM content AS c
    JOIN good AS g ON c.run_id = g.run_id AND c.request_id = g.request_id
    GROUP BY ALL
),

counts AS (
    SELECT run_id, step_id, 'any' AS chunks, gap_us, n
    FROM icl_counts
    UNION ALL
    SELECT g.run_id, g.step_id, 'text', ((t.gap_ns + 500) // 1000)::BIGINT AS gap_us, count(*)
    FROM text AS t
    JOIN good AS g ON t.run_id = g.run_id AND t.request_id = g.request_id
    WHERE t.follows
    GROUP BY ALL
    UNION ALL
    SELECT run_id, step_id, unnest(['content', 'content tokens']), gap_us, n
    FROM content_counts
    WHERE gap_us IS NOT NULL
    UNION ALL
    SELECT run_id, step_id, 'content tokens', 0, further_tokens
    FROM content_counts
)

SELECT run_id, step_id, chunks, gap_us, sum(n)::BIGINT AS n
FROM counts
GROUP BY run_id, step_id, chunks, gap_us
HAVING sum(n) > 0
