-- name: withheld
-- question: Which figures are not printed, and why?
-- grain: run_id, step_id, metric, figure
-- column: run_id, step_id, metric, figure [-] what is withheld
-- column: rule [-] the rule of the verdict that withholds it: enough_data or steady
-- column: n, least_n [values] how many there are, and how many it takes to bound the figure from above with 95 % confidence
-- column: reason [-] in words

WITH asked AS (
    SELECT run_id, step_id, metric, n, unnest([{figure: 'p99', p: 0.99}, {figure: 'p99.9', p: 0.999}], recursive := true)
    FROM latency_summary
)

SELECT
    run_id,
    step_id,
    metric,
    figure,
    'enough_data' AS rule,
    n,
    least_n(p) AS least_n,
    'n too small: ' || n || ' of ' || least_n(p) AS reason
FROM asked
WHERE n < least_n(p)
UNION ALL
SELECT
    a.run_id,
    a.step_id,
    a.metric,
    a.figure,
    'steady' AS rule,
    a.n,
    least_n(a.p) AS least_n,
    'not steady: it depends on how long the step was' AS reason
FROM asked AS a
JOIN unsteady_steps USING (run_id, step_id)
-- The generator's own lateness is held against a limit, whatever the target does.
WHERE a.n >= least_n(a.p) AND a.metric <> 'lateness'
UNION ALL
SELECT
    b.run_id,
    b.step_id,
    'icl' AS metric,
    'p99.9' AS figure,
    'enough_data' AS rule,
    b.n,
    least_n(b.q) AS least_n,
    'inexact stamps could move it by ' || round(b.moved_ms, 3) || ' ms' AS reason
FROM icl_bounds AS b
ANTI JOIN unsteady_steps USING (run_id, step_id)
WHERE b.q = 0.999 AND b.n >= least_n(b.q) AND b.moved_ms > b.limit_ms
UNION ALL
-- TTFT on the wire and TTFO end at the same stamp, but for answers that begin with reasoning.
SELECT
    a.run_id,
    a.step_id,
    a.metric,
    a.figure,
    'enough_data' AS rule,
    a.n,
    least_n(a.p) AS least_n,
    'inexact stamps could move it by ' || round(b.moved_ms, 3) || ' ms' AS reason
FROM asked AS a
JOIN ttft_bounds AS b ON a.run_id = b.run_id AND a.step_id = b.step_id AND a.p = b.q
ANTI JOIN unsteady_steps AS u ON a.run_id = u.run_id AND a.step_id = u.step_id
WHERE
    a.metric IN ('ttft', 'ttft_wire', 'ttfo')
    AND a.figure = 'p99.9'
    AND a.n >= least_n(a.p)
    AND b.moved_ms > b.limit_ms
    -- The process's own stamps have no bounds that could be judged.
    AND b.process_share < 1
