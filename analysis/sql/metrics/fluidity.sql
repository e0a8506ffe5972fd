-- name: fluidity
-- question: What share of each response's chunks came by the deadline of a reader who reads at a steady pace?
-- grain: run_id, request_id
-- parameter: first_ms DOUBLE NULL time allowed for the first chunk; NULL: the run's TTFT limit, else 500
-- parameter: next_ms DOUBLE NULL time allowed for each further chunk; NULL: the run's TPOT limit, else 50
-- column: run_id, request_id, step_id [-] the request, of phase main and ended ok
-- column: chunks [chunks] its chunks
-- column: fluidity [-] share on time. Early chunks bank slack; a late one starts the reader's clock anew (Etalon, arXiv 2407.07000)

WITH limits AS (
    SELECT
        run_id,
        coalesce(getvariable('first_ms')::DOUBLE, slo_ttft_ms, 500) * 1e6 AS first_ns,
        coalesce(getvariable('next_ms')::DOUBLE, slo_tpot_ms, 50) * 1e6 AS next_ns
    FROM runs
),

judged AS (
    SELECT r.run_id, r.request_id, r.step_id, r.scheduled_ns, l.first_ns, l.next_ns
    FROM requests AS r
    JOIN limits AS l ON r.run_id = l.run_id
    WHERE counted_phase(r.phase, r.cancel_planned) = 'main' AND r.outcome = 'ok'
),

-- Deadlines only ever move back. A response whose chunks all kept the first ones is wholly fluent, and most are: the running maximum,
-- which costs ten times as much, is taken of the others alone.
kept AS (
    SELECT
        t.run_id,
        t.request_id,
        any_value(j.step_id) AS step_id,
        count(*) AS chunks,
        bool_and(t.t_ns - j.scheduled_ns <= j.first_ns + t.chunk_index * j.next_ns) AS fluent
    FROM tokens AS t
    JOIN judged AS j ON t.run_id = j.run_id AND t.request_id = j.request_id
    GROUP BY t.run_id, t.request_id
),

arrived AS (
    SELECT t.run_id, t.request_id, t.chunk_index AS i, t.t_ns - j.scheduled_ns AS x_ns, j.first_ns, j.next_ns
    FROM tokens AS t
    JOIN judged AS j ON t.run_id = j.run_id AND t.request_id = j.request_id
    JOIN kept AS k ON t.run_id = k.run_id AND t.request_id = k.request_id
    WHERE NOT k.fluent
),

-- deadline_i = i * next + max(first, max over j < i of (x_j - j * next)): equal to the recursion that resets at every miss.
deadlines AS (
    SELECT
        *,
        i * next_ns + greatest(
            first_ns,
            coalesce(
                max(x_ns - i * next_ns) OVER (
                    PARTITION BY run_id, request_id ORDER BY i ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                ),
                first_ns
            )
        ) AS deadline_ns
    FROM arrived
),

late AS (
    SELECT run_id, request_id, avg((x_ns <= deadline_ns)::INTEGER) AS fluidity
    FROM deadlines
    GROUP BY run_id, request_id
)

SELECT k.run_id, k.request_id, k.step_id, k.chunks, coalesce(l.fluidity, 1.0) AS fluidity
FROM kept AS k
LEFT JOIN late AS l ON k.run_id = l.run_id AND k.request_id = l.request_id
