-- name: fluidity_summary
-- question: How fluent were a step's answers?
-- grain: run_id, step_id
-- column: run_id, step_id [-] the step, of a run whose SLO gives deadlines
-- column: answers [requests] of phase main, ended ok, with chunks
-- column: first_ms, next_ms [ms] the deadlines: for the first chunk, and for each further one
-- column: mean_fluidity [-] mean share of an answer's chunks on time
-- column: min_fluidity, p01_fluidity, p05_fluidity, p10_fluidity, p50_fluidity [-] the least of it, and from below: 1 % of the answers have at
--   most p01, which is NULL where too few bound it
-- column: fluent_answers [requests] answers all of whose chunks were on time
-- column: fluent_share, fluent_low, fluent_high [-] their share, and its Wilson interval, 95 %, of as many independent answers as these are
--   worth: the lesser of what those that are not fluent say and what the worst tenth says, by the share of the deadlines that TTFT or TPOT used
--   up. Fewer than 60 answers cannot tell, and n stands

-- As in attainment_evidence: what is slow comes in clumps, and where every answer is fluent only the worst tenth can tell how large.
WITH placed AS (
    SELECT
        f.run_id,
        f.step_id,
        f.fluidity,
        coalesce(r.slo_fluidity_first_ms, r.slo_ttft_ms) AS first_ms,
        coalesce(r.slo_fluidity_next_ms, r.slo_tpot_ms) AS next_ms,
        -- greatest() passes over the TPOT that an answer of one token does not have.
        greatest(m.ttft_ms / first_ms, m.tpot_ms / next_ms) AS used,
        ntile(30) OVER (PARTITION BY f.run_id, f.step_id ORDER BY m.scheduled_ns, f.request_id) AS batch
    FROM slo_fluidity AS f
    JOIN request_metrics AS m ON f.run_id = m.run_id AND f.request_id = m.request_id
    JOIN runs AS r ON f.run_id = r.run_id
),

summed AS (
    SELECT
        run_id,
        step_id,
        count(*) AS answers,
        any_value(first_ms) AS first_ms,
        any_value(next_ms) AS next_ms,
        avg(fluidity) AS mean_fluidity,
        min(fluidity) AS min_fluidity,
        enough(count(*), 0.99, percentile(fluidity, 0.01)) AS p01_fluidity,
        enough(count(*), 0.95, percentile(fluidity, 0.05)) AS p05_fluidity,
        enough(count(*), 0.9, percentile(fluidity, 0.1)) AS p10_fluidity,
        percentile(fluidity, 0.5) AS p50_fluidity,
        count(*) FILTER (WHERE fluidity = 1) AS fluent_answers,
        percentile(used, 0.9) AS worst_from
    FROM placed
    GROUP BY run_id, step_id
),

batches AS (
    SELECT
        p.run_id,
        p.step_id,
        p.batch,
        count(*) FILTER (WHERE p.fluidity = 1) AS hits,
        count(*) FILTER (WHERE p.used <= s.worst_from) AS usual_hits,
        count(*) AS size
    FROM placed AS p
    JOIN summed AS s ON p.run_id = s.run_id AND p.step_id = s.step_id
    GROUP BY p.run_id, p.step_id, p.batch
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
),

worth AS (
    SELECT
        run_id,
        step_id,
        CASE
            WHEN list_sum(sizes) < 60 THEN list_sum(sizes)
            ELSE least(effective_n(hits, sizes), effective_n(usual_hits, sizes))
        END AS n_effective
    FROM stretches
)

SELECT
    s.* EXCLUDE (worst_from),
    s.fluent_answers / s.answers AS fluent_share,
    (wilson(s.fluent_answers * w.n_effective / s.answers, w.n_effective)).low AS fluent_low,
    (wilson(s.fluent_answers * w.n_effective / s.answers, w.n_effective)).high AS fluent_high
FROM summed AS s
JOIN worth AS w ON s.run_id = w.run_id AND s.step_id = w.step_id
