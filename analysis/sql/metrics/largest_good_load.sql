-- name: largest_good_load
-- question: What is the largest load that was measured at which enough requests met the SLO? (DistServe's goodput, arXiv 2401.09670)
-- grain: run_id, series, axis
-- column: run_id, series, axis [-] as in goodput_by_load
-- column: wanted [-] the share of requests that must be good
-- column: loads [-] how many loads were measured
-- column: smallest_load, largest_load [1/s, or slots] the range of them
-- column: met_load [1/s, or slots] the largest whose attainment's lower Wilson bound is at least wanted; NULL where none is
-- column: met_goodput_rps [requests/s] the goodput there
-- column: met_attainment, met_attainment_low [-] the attainment there
-- column: next_load [1/s, or slots] the smallest load measured above that (of all where none is met); NULL where all were met
-- column: next_attainment, next_attainment_high [-] the attainment there
-- column: next_state [-] missed, or undecided: too few requests to say
-- column: unmet_below [-] how many smaller loads were not met: not zero is a curve that does not simply fall, or too few requests
-- column: state [-] all met: the largest load measured was met, so the limit lies above it; not reached: none was; else between

WITH met AS (
    SELECT
        run_id,
        series,
        axis,
        max(load) FILTER (WHERE state = 'met') AS met_load,
        max(load) AS largest_load,
        min(load) AS smallest_load,
        any_value(wanted) AS wanted,
        count(*) AS loads
    FROM goodput_by_load
    GROUP BY run_id, series, axis
)

SELECT
    m.run_id,
    m.series,
    m.axis,
    m.wanted,
    m.loads,
    m.smallest_load,
    m.largest_load,
    m.met_load,
    max(g.goodput_rps) FILTER (WHERE g.load = m.met_load) AS met_goodput_rps,
    max(g.attainment) FILTER (WHERE g.load = m.met_load) AS met_attainment,
    max(g.attainment_low) FILTER (WHERE g.load = m.met_load) AS met_attainment_low,
    min(g.load) FILTER (WHERE g.load > coalesce(m.met_load, -1)) AS next_load,
    arg_min(g.attainment, g.load) FILTER (WHERE g.load > coalesce(m.met_load, -1)) AS next_attainment,
    arg_min(g.attainment_high, g.load) FILTER (WHERE g.load > coalesce(m.met_load, -1)) AS next_attainment_high,
    arg_min(g.state, g.load) FILTER (WHERE g.load > coalesce(m.met_load, -1)) AS next_state,
    count(*) FILTER (WHERE g.load < m.met_load AND g.state <> 'met') AS unmet_below,
    CASE WHEN m.met_load IS NULL THEN 'not reached' WHEN m.met_load = m.largest_load THEN 'all met' ELSE 'between' END AS state
FROM met AS m
JOIN goodput_by_load AS g ON m.run_id = g.run_id AND m.series = g.series AND m.axis = g.axis
GROUP BY m.run_id, m.series, m.axis, m.wanted, m.loads, m.smallest_load, m.largest_load, m.met_load
