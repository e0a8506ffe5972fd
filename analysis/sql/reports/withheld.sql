-- name: withheld
-- question: Which figures are not printed, and why?
-- grain: run_id, step_id, metric, figure
-- column: run_id, step_id, metric, figure [-] what is withheld
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
    n,
    least_n(p) AS least_n,
    'n too small: ' || n || ' of ' || least_n(p) AS reason
FROM asked
WHERE n < least_n(p)
UNION ALL
SELECT
    run_id,
    step_id,
    'icl' AS metric,
    'p99.9' AS figure,
    n,
    least_n(q) AS least_n,
    'inexact stamps could move it by ' || round(moved_ms, 3) || ' ms' AS reason
FROM icl_bounds
WHERE q = 0.999 AND n >= least_n(q) AND moved_ms > limit_ms
