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
-- column: fluent_share, fluent_low, fluent_high [-] their share, and its Wilson interval, 95 %

SELECT
    f.run_id,
    f.step_id,
    count(*) AS answers,
    any_value(coalesce(r.slo_fluidity_first_ms, r.slo_ttft_ms)) AS first_ms,
    any_value(coalesce(r.slo_fluidity_next_ms, r.slo_tpot_ms)) AS next_ms,
    avg(f.fluidity) AS mean_fluidity,
    min(f.fluidity) AS min_fluidity,
    enough(count(*), 0.99, percentile(f.fluidity, 0.01)) AS p01_fluidity,
    enough(count(*), 0.95, percentile(f.fluidity, 0.05)) AS p05_fluidity,
    enough(count(*), 0.9, percentile(f.fluidity, 0.1)) AS p10_fluidity,
    percentile(f.fluidity, 0.5) AS p50_fluidity,
    count(*) FILTER (WHERE f.fluidity = 1) AS fluent_answers,
    fluent_answers / answers AS fluent_share,
    (wilson(fluent_answers, answers)).low AS fluent_low,
    (wilson(fluent_answers, answers)).high AS fluent_high
FROM slo_fluidity AS f
JOIN runs AS r ON f.run_id = r.run_id
GROUP BY f.run_id, f.step_id
