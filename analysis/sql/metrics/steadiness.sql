-- name: steadiness
-- question: Was each step in a steady state, and from when on?
-- grain: run_id, step_id, series
-- materialise: yes
-- column: run_id, step_id, series [-] as in steady_series
-- column: n [values] values of the series; fewer than 100 are not judged, and have NULL from here on
-- column: warmup_s [s] what MSER-5 would cut off from the start of the window; 0 for nothing
-- column: before, after [ms or requests] mean of what it would cut off, NULL for nothing, and of the rest
-- column: at_bound [-] it would cut off half of the step or more: there is no end of a warm-up in sight
-- column: level [ms or requests] mean of what the slope is taken of: the rest, everything where at_bound
-- column: rise [ms or requests] the slope over that stretch: how much higher its end lies than its beginning
-- column: t [-] the slope in units of its own noise, in which dependence is contained; stationary noise exceeds 8.7 once in 200 times
-- column: rising [-] t is above 8.7, and rise above 5 % of the level and 1 ms or 1 request: what is less matters to nobody
-- column: unsettled [-] at_bound, with a slope of either sign that noise has once in 10 times and that is above 20 %
--   of the level: chance alone leads MSER-5 there, too
-- column: steady [-] neither

-- MSER-5 (White, Cobb & Spratt 2000): of means of five, cut off as many as make the standard error of the rest's mean smallest.
WITH sized AS (
    SELECT *, count(*) OVER (PARTITION BY run_id, step_id, series) AS n
    FROM steady_series
),

fives AS (
    SELECT
        run_id,
        step_id,
        series,
        place // 5 AS five,
        any_value(n) AS n,
        min(since_s) AS since_s,
        -- Sums of squares lose digits to a large mean.
        avg(value - centre) AS z
    FROM (SELECT *, avg(value) OVER (PARTITION BY run_id, step_id, series) AS centre FROM sized WHERE n >= 100)
    WHERE place // 5 < n // 5
    GROUP BY run_id, step_id, series, place // 5
),

rests AS (
    SELECT
        *,
        n // 5 AS fives,
        (sum(z * z) OVER rest - (sum(z) OVER rest) ^ 2 / (n // 5 - five)) / (n // 5 - five) ^ 2 AS mser
    FROM fives
    WINDOW rest AS (PARTITION BY run_id, step_id, series ORDER BY five ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)
),

cuts AS (
    SELECT
        run_id,
        step_id,
        series,
        -- Rounded, so that of cuts which differ by rounding errors alone the first is taken.
        arg_min(five, round(mser, 12)) AS cut,
        any_value(fives) // 2 AS bound,
        arg_min(greatest(since_s, 0), round(mser, 12)) AS since_s
    FROM (FROM rests ORDER BY run_id, step_id, series, five)
    WHERE five <= fives // 2
    GROUP BY run_id, step_id, series
),

kept AS (
    SELECT
        s.*,
        c.cut,
        c.cut >= c.bound AS at_bound,
        CASE WHEN c.cut > 0 THEN c.since_s ELSE 0 END AS warmup_s,
        s.place < 5 * c.cut AS cut_off
    FROM sized AS s
    JOIN cuts AS c USING (run_id, step_id, series)
),

sides AS (
    SELECT
        run_id,
        step_id,
        series,
        any_value(at_bound) AS at_bound,
        any_value(warmup_s) AS warmup_s,
        avg(value) FILTER (WHERE cut_off) AS before,
        avg(value) FILTER (WHERE NOT cut_off) AS after
    FROM kept
    GROUP BY run_id, step_id, series
),

-- The slope of 30 means. Its noise is what partial sums of its own residuals reach (Kiefer, Vogelsang & Bunzel 2000): a statistic that
-- needs no guess of how far dependence reaches, and keeps its level where t-tests with estimated autocorrelation do not.
batched AS (
    SELECT
        run_id,
        step_id,
        series,
        value,
        ntile(30) OVER (PARTITION BY run_id, step_id, series ORDER BY place) - 15.5 AS x
    FROM kept
    WHERE at_bound OR NOT cut_off
),

means AS (
    SELECT run_id, step_id, series, x, avg(value) AS y
    FROM batched
    GROUP BY run_id, step_id, series, x
),

lines AS (
    SELECT run_id, step_id, series, avg(y) AS level, regr_slope(y, x) AS slope
    FROM means
    GROUP BY run_id, step_id, series
),

sums AS (
    SELECT
        m.*,
        sum(m.x * (m.y - l.level - l.slope * m.x)) OVER (PARTITION BY m.run_id, m.step_id, m.series ORDER BY m.x) AS partial
    FROM means AS m
    JOIN lines AS l USING (run_id, step_id, series)
),

slopes AS (
    SELECT
        s.run_id,
        s.step_id,
        s.series,
        any_value(l.level) AS level,
        29 * any_value(l.slope) AS rise,
        -- A straight line has no noise: any slope of it is certain.
        CASE
            WHEN abs(any_value(l.slope)) * 29 <= 1e-9 * abs(any_value(l.level)) THEN 0
            ELSE
                coalesce(
                    any_value(l.slope) * sum(s.x * s.x) / nullif(sqrt(2 * sum(s.partial * s.partial) / 30), 0),
                    sign(any_value(l.slope)) * 'infinity'::DOUBLE
                )
        END AS t
    FROM sums AS s
    JOIN lines AS l USING (run_id, step_id, series)
    GROUP BY s.run_id, s.step_id, s.series
),

counts AS (
    SELECT run_id, step_id, series, any_value(n) AS n
    FROM sized
    GROUP BY run_id, step_id, series
)

SELECT
    run_id,
    step_id,
    series,
    n,
    warmup_s,
    before,
    after,
    at_bound,
    level,
    rise,
    t,
    t > 8.7 AND rise > greatest(0.05 * level, 1) AS rising,
    at_bound AND abs(t) > 4.6 AND abs(rise) > greatest(0.2 * level, 1) AS unsettled,
    NOT rising AND NOT unsettled AS steady
FROM counts
LEFT JOIN sides USING (run_id, step_id, series)
LEFT JOIN slopes USING (run_id, step_id, series)
