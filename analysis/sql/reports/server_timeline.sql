-- name: server_timeline
-- question: What did the target say of itself, interval by interval?
-- grain: run_id, target, name, labels, t_s
-- parameter: interval_s INTEGER 1 length of an interval in whole seconds
-- parameter: series VARCHAR NULL only series of this name; all where NULL
-- column: run_id, target, name, labels, kind [-] the series, as in server_metrics
-- column: t_s, to_s [s] the interval, counted from the start of the run's first step, below 0 before it; one without a reading has no row
-- column: readings [-] how often the series was read in the interval
-- column: mean_value, max_value [the series' own] of the readings; of a counter, what it stood at
-- column: per_s [1/s] growth of a counter between readings that ended in the interval, over the time between them; a counter that fell
--   has begun anew and grew from 0; NULL for others, and for a counter's first reading

WITH zero AS (
    SELECT run_id, min(run_start_ns) AS run_start_ns
    FROM step_windows
    GROUP BY run_id
),

stepped AS (
    SELECT
        *,
        lag(value) OVER earlier AS value_before,
        lag(t_ns) OVER earlier AS t_before_ns
    FROM server_metrics
    WHERE value IS NOT NULL AND (getvariable('series') IS NULL OR name = getvariable('series'))
    WINDOW earlier AS (PARTITION BY run_id, target, name, labels ORDER BY t_ns)
),

placed AS (
    SELECT
        s.*,
        floor((s.t_ns - z.run_start_ns) / 1e9 / greatest(1, getvariable('interval_s')))::INTEGER AS tick,
        CASE WHEN s.value >= s.value_before THEN s.value - s.value_before WHEN s.value_before IS NOT NULL THEN s.value END AS grown,
        (s.t_ns - s.t_before_ns) / 1e9 AS taken_s
    FROM stepped AS s
    JOIN zero AS z USING (run_id)
)

SELECT
    run_id,
    target,
    name,
    labels,
    any_value(kind) AS kind,
    tick * greatest(1, getvariable('interval_s')) AS t_s,
    (tick + 1) * greatest(1, getvariable('interval_s')) AS to_s,
    count(*) AS readings,
    avg(value) AS mean_value,
    max(value) AS max_value,
    CASE WHEN any_value(kind) = 'counter' THEN sum(grown) / nullif(sum(taken_s) FILTER (WHERE grown IS NOT NULL), 0) END AS per_s
FROM placed
GROUP BY run_id, target, name, labels, tick
