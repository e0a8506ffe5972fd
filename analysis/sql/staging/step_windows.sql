-- name: step_windows
-- question: What was each step, and when does its measurement window begin and end?
-- grain: run_id, step_id
-- column: run_id, step_id [-] the step; steps of a run that died before it could write them are rebuilt from their requests
-- column: recorded [-] false where the step was rebuilt so
-- column: name, cell, arrivals, arm, block [-] as the steps table says
-- column: rate_rps, rate_end_rps [1/s] offered rate at the start and at the end of a ramp; NULL when closed
-- column: burstiness [-] shape of gamma gaps
-- column: concurrency, concurrency_end [requests] slots at the start and at the end of a ramp; NULL when open
-- column: input_tokens_wanted, output_tokens_wanted [tokens] the scenario's lengths, means where they vary
-- column: closed [-] arrivals wait for a slot
-- column: start_ns, warmup_ns, end_ns, drained_ns [ns] offsets count from start; issuing ended at end
-- column: window_start_ns, window_end_ns [ns] the measurement window [start + warmup, end)
-- column: window_s [s] its length; NULL where it is empty
-- column: planned_arrivals, offered [requests] arrivals in the schedule, and those due before issuing ended
-- column: session_turns [turns] the most that a session of the step may have; NULL outside conversations
-- column: run_start_ns [ns] start of the run's first step: the zero of the timeline

WITH seen AS (
    SELECT run_id, step_id, min(scheduled_ns) AS first_ns, max(scheduled_ns) + 1 AS last_ns, max(done_ns) AS done_ns
    FROM requests
    WHERE step_id >= 0
    GROUP BY run_id, step_id
),

known AS (
    SELECT
        run_id,
        step_id,
        s.run_id IS NOT NULL AS recorded,
        s.* EXCLUDE (run_id, step_id, start_ns, end_ns, warmup_ns, drained_ns, input_tokens, output_tokens),
        s.input_tokens AS input_tokens_wanted,
        s.output_tokens AS output_tokens_wanted,
        coalesce(s.start_ns, seen.first_ns) AS start_ns,
        coalesce(s.end_ns, seen.last_ns) AS end_ns,
        coalesce(s.warmup_ns, 0) AS warmup_ns,
        coalesce(s.drained_ns, seen.done_ns) AS drained_ns
    FROM steps AS s
    FULL JOIN seen USING (run_id, step_id)
)

SELECT
    run_id,
    step_id,
    recorded,
    coalesce(name, 'step ' || step_id) AS name,
    cell,
    arrivals,
    coalesce(arrivals = 'closed', false) AS closed,
    rate_rps,
    rate_end_rps,
    burstiness,
    concurrency,
    concurrency_end,
    input_tokens_wanted,
    output_tokens_wanted,
    arm,
    block,
    start_ns,
    warmup_ns,
    end_ns,
    drained_ns,
    start_ns + warmup_ns AS window_start_ns,
    end_ns AS window_end_ns,
    nullif(greatest(end_ns - start_ns - warmup_ns, 0), 0) / 1e9 AS window_s,
    planned_arrivals,
    offered,
    session_turns,
    min(start_ns) OVER (PARTITION BY run_id) AS run_start_ns
FROM known
