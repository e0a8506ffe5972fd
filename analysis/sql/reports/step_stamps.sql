-- name: step_stamps
-- question: Where do a step's stamps come from, and how many are exact?
-- grain: run_id, step_id
-- column: run_id, step_id [-] the step
-- column: answers [requests] requests of phase main with at least one chunk
-- column: process_share [-] of these, stamped in the process
-- column: chunks, inexact_chunks [chunks] all chunks of these, and those that are not exact
-- column: kernel_chunks_judged [chunks] chunks of kernel-stamped answers, one a response left out: the last as a rule shares its read
--   with the end of the body
-- column: exact_share [-] of these; NULL without any

SELECT
    run_id,
    step_id,
    count(*) AS answers,
    avg((stamp_source = 'process')::INTEGER) AS process_share,
    sum(chunks)::BIGINT AS chunks,
    sum(inexact_chunks)::BIGINT AS inexact_chunks,
    coalesce(sum(chunks - 1) FILTER (WHERE stamp_source <> 'process'), 0)::BIGINT AS kernel_chunks_judged,
    1 - sum(greatest(inexact_chunks - 1, 0)) FILTER (WHERE stamp_source <> 'process') / nullif(kernel_chunks_judged, 0) AS exact_share
FROM request_metrics
WHERE phase = 'main' AND chunks > 0
GROUP BY run_id, step_id
