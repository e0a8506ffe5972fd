-- name: server_series
-- question: Which figures did the target give of itself, and how far did they move?
-- grain: run_id, target, name, labels
-- column: run_id, target, name, labels, kind [-] the series, as in server_metrics
-- column: readings [-] how often it was read with a number
-- column: first_value, last_value, min_value, mean_value, max_value [the series' own] of these readings
-- column: spread [-] standard deviation over the mean's size; NULL where the mean is 0
-- column: grown [the series' own] what a counter grew by between its first and last reading, starts anew included; NULL for others

WITH stepped AS (
    SELECT *, lag(value) OVER (PARTITION BY run_id, target, name, labels ORDER BY t_ns) AS value_before
    FROM server_metrics
    WHERE value IS NOT NULL
)

SELECT
    run_id,
    target,
    name,
    labels,
    any_value(kind) AS kind,
    count(*) AS readings,
    arg_min(value, t_ns) AS first_value,
    arg_max(value, t_ns) AS last_value,
    min(value) AS min_value,
    avg(value) AS mean_value,
    max(value) AS max_value,
    stddev_pop(value) FILTER (WHERE isfinite(value)) / nullif(abs(avg(value) FILTER (WHERE isfinite(value))), 0) AS spread,
    CASE
        WHEN any_value(kind) = 'counter'
            THEN coalesce(sum(CASE WHEN value >= value_before THEN value - value_before WHEN value_before IS NOT NULL THEN value END), 0)
    END AS grown
FROM stepped
GROUP BY run_id, target, name, labels
