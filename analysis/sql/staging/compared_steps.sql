-- name: compared_steps
-- question: Which steps stand beside one another in a comparison, and whose turn was first?
-- grain: run_id, step_id
-- column: run_id, step_id [-] the step
-- column: load [-] what was asked of every side alike: the step's name, and of cell, rate and slots what the name does not say. Steps of one
--   load are compared
-- column: arm [-] the target that the step was run against; NULL in a run that compares none
-- column: turn [-] from 0: how many steps of its load and arm came before it; those of one turn stand side by side
-- column: place [-] from 1: the order of the arms within the turn

WITH named AS (
    -- Whole words alone are what a name says of the load: digits inside another word, such as a model's name, are not.
    SELECT *, ' ' || coalesce(replace(name, ',', ' '), '') || ' ' AS words
    FROM step_windows
),

said AS (
    SELECT
        run_id,
        step_id,
        arm,
        concat_ws(
            ' · ',
            name,
            nullif(
                array_to_string(
                    list_filter(string_split(cell, ','), lambda part: NOT contains(words, ' ' || split_part(part, '=', 2) || ' ')),
                    ','
                ),
                ''
            ),
            CASE WHEN NOT contains(words, format(' {:g}/s ', rate_rps)) THEN format('{:g}/s', rate_rps) END,
            CASE WHEN NOT contains(words, format(' {:g}/s ', rate_end_rps)) THEN format('to {:g}/s', rate_end_rps) END,
            CASE WHEN NOT contains(words, format(' {} ', concurrency)) THEN concurrency || ' slots' END,
            CASE WHEN NOT contains(words, format(' {} ', concurrency_end)) THEN 'to ' || concurrency_end || ' slots' END
        ) AS load
    FROM named
),

taken AS (
    SELECT *, row_number() OVER (PARTITION BY run_id, load, arm ORDER BY step_id) - 1 AS turn
    FROM said
)

SELECT run_id, step_id, load, arm, turn, row_number() OVER (PARTITION BY run_id, load, turn ORDER BY step_id) AS place
FROM taken
