-- name: request_metrics
-- question: What did each request experience?
-- grain: run_id, request_id
-- materialise: yes
-- column: run_id, request_id, step_id, worker_id, target, outcome, streamed, stamp_source [-] as in requests
-- column: phase [-] as in requests; planned: of phase main, but the scenario gives such requests up on purpose, whether or not it came to that,
--   so that they stand in no figure of phase main
-- column: reused [-] sent on a connection that existed; false where it was never sent
-- column: scheduled_ns, issued_ns, sent_ns, done_ns [ns] as in requests
-- column: first_ns, last_ns [ns] first and last chunk; last is the body's end where the answer was not streamed
-- column: lateness_ms [ms] issued − scheduled: the generator's own delay
-- column: send_delay_ms [ms] sent − issued; on a new connection it holds DNS, TCP and TLS, which are the target's
-- column: ttft_ms [ms] first chunk − scheduled
-- column: ttft_low_ms [ms] the least that TTFT can be, given an inexact first stamp; equals ttft_ms where that is exact
-- column: ttft_wire_ms [ms] first chunk − sent
-- column: ttfo_ms [ms] first chunk that is not reasoning − scheduled
-- column: ttst_ms [ms] second chunk − first chunk; NULL with one
-- column: tpot_ms [ms] (last − first) / (visible output tokens − tokens of the first chunk); NULL where that is not positive
-- column: ntpot_ms [ms] (last − scheduled) / output tokens
-- column: e2e_ms [ms] last chunk − scheduled; body complete − scheduled where the answer was not streamed
-- column: closed_ms [ms] stream closed − scheduled
-- column: speed_tps [tokens/s] 1 / TPOT: what one user sees
-- column: chunks, inexact_chunks [chunks] rows of the response, and those that are not exact
-- column: first_exact [-] whether the first chunk's stamp is exact
-- column: visible_tokens [tokens] output tokens, less reasoning that was never shown; NULL where the target counted none
-- column: output_tokens, input_tokens, input_tokens_wanted, token_source [-] as in requests
-- column: chunk_weight_tokens [tokens] what a chunk without n_tokens stands for: its share of the visible tokens, 1 where the target counted none

WITH answers AS (
    SELECT
        run_id,
        request_id,
        sum(chunks)::BIGINT AS chunks,
        sum(inexact_chunks)::BIGINT AS inexact_chunks,
        sum(reasoning_chunks)::BIGINT AS reasoning_chunks,
        sum(counted_chunks)::BIGINT AS counted_chunks,
        sum(counted_tokens)::BIGINT AS counted_tokens,
        min(first_ns) AS first_ns,
        max(last_ns) AS last_ns,
        min(second_chunk_ns) AS second_chunk_ns,
        min(first_output_ns) AS first_output_ns,
        bool_and(first_exact) AS first_exact,
        coalesce(min(first_tokens), 1) AS first_tokens
    FROM token_seconds
    GROUP BY run_id, request_id
),

counted AS (
    SELECT
        r.* REPLACE (counted_phase(r.phase, r.cancel_planned) AS phase),
        a.* EXCLUDE (run_id, request_id, last_ns),
        coalesce(a.last_ns, CASE WHEN r.outcome = 'ok' AND r.streamed IS NOT DISTINCT FROM false THEN r.done_ns END) AS last_ns,
        -- DuckDB's greatest() and least() pass over NULL, so what is unknown has to be said to be so.
        CASE
            WHEN r.output_tokens IS NULL THEN NULL
            WHEN a.reasoning_chunks > 0 THEN r.output_tokens
            ELSE greatest(r.output_tokens - coalesce(r.reasoning_tokens, 0), 0)
        END AS visible_tokens
    FROM requests AS r
    LEFT JOIN answers AS a USING (run_id, request_id)
),

timed AS (
    SELECT
        *,
        sent_ns IS NOT NULL AND connected_ns IS NULL AS reused,
        (issued_ns - scheduled_ns) / 1e6 AS lateness_ms,
        (sent_ns - issued_ns) / 1e6 AS send_delay_ms,
        (first_ns - scheduled_ns) / 1e6 AS ttft_ms,
        -- Without a read before the first chunk's, the request's own first send is all that bounds it from below.
        (CASE WHEN first_exact THEN first_ns ELSE least(coalesce(last_read_before_ns, sent_ns), first_ns) END - scheduled_ns)
            / 1e6 AS ttft_low_ms,
        (first_ns - sent_ns) / 1e6 AS ttft_wire_ms,
        (first_output_ns - scheduled_ns) / 1e6 AS ttfo_ms,
        (second_chunk_ns - first_ns) / 1e6 AS ttst_ms,
        (last_ns - first_ns) / 1e6 / nullif(greatest(visible_tokens - first_tokens, 0), 0) AS tpot_ms,
        (last_ns - scheduled_ns) / 1e6 / nullif(output_tokens, 0) AS ntpot_ms,
        (last_ns - scheduled_ns) / 1e6 AS e2e_ms,
        (done_ns - scheduled_ns) / 1e6 AS closed_ms,
        CASE
            WHEN visible_tokens IS NULL OR chunks = counted_chunks THEN 1.0
            ELSE coalesce(greatest(visible_tokens - counted_tokens, 0) / (chunks - counted_chunks), 1.0)
        END AS chunk_weight_tokens
    FROM counted
)

SELECT
    run_id,
    request_id,
    step_id,
    worker_id,
    target,
    phase,
    outcome,
    streamed,
    stamp_source,
    reused,
    scheduled_ns,
    issued_ns,
    sent_ns,
    done_ns,
    first_ns,
    last_ns,
    lateness_ms,
    send_delay_ms,
    ttft_ms,
    ttft_low_ms,
    ttft_wire_ms,
    ttfo_ms,
    ttst_ms,
    tpot_ms,
    ntpot_ms,
    e2e_ms,
    closed_ms,
    1000 / nullif(tpot_ms, 0) AS speed_tps,
    coalesce(chunks, 0) AS chunks,
    coalesce(inexact_chunks, 0) AS inexact_chunks,
    first_exact,
    visible_tokens,
    output_tokens,
    input_tokens,
    input_tokens_wanted,
    token_source,
    chunk_weight_tokens
FROM timed
