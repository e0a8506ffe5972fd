-- name: outcomes
-- question: How did requests end, and with which errors?
-- grain: run_id, step_id, phase, outcome, http_status, error_type
-- column: run_id, step_id [-] the step; -1 holds the probes
-- column: phase [-] probe, warmup or main; planned: of phase main, but to be given up on purpose, whether or not it came to that
-- column: outcome [-] one of the contract's outcomes
-- column: http_status [-] NULL where no answer came
-- column: error_type [-] the API's word, or ours for errors that no API names
-- column: n [requests] how many
-- column: share [-] of the step's requests of that phase
-- column: example [-] one error message

WITH placed AS (
    SELECT * REPLACE (counted_phase(phase, cancel_planned) AS phase)
    FROM requests
)

SELECT
    run_id,
    step_id,
    phase,
    outcome,
    http_status,
    error_type,
    count(*) AS n,
    count(*) / sum(count(*)) OVER (PARTITION BY run_id, step_id, phase) AS share,
    min(error_message) AS example
FROM placed
GROUP BY run_id, step_id, phase, outcome, http_status, error_type
