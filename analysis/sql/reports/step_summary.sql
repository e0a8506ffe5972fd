-- name: step_summary
-- question: What happened in each step, on one line?
-- grain: run_id, step_id
-- column: run_id, step_id, name, cell, arrivals [-] the step
-- column: rate_rps [requests/s] offered rate at its start; NULL when closed
-- column: rate_end_rps [requests/s] offered rate at a ramp's end
-- column: concurrency, concurrency_end [requests] slots at the start and at a ramp's end; NULL when open
-- column: input_tokens_wanted, output_tokens_wanted [tokens] wanted lengths, means where they vary
-- column: window_s [s] length of the measurement window
-- column: requests, ok_requests [requests] due in phase main; of these, ended ok
-- column: success_share [-] ok / due
-- column: errors [-] outcomes other than ok with their counts, most frequent first; NULL without any
-- column: sent_rps, ok_rps [requests/s] sent, and ended ok, inside the window
-- column: output_tps [tokens/s] output tokens that arrived inside the window
-- column: mean_output_tokens, mean_input_tokens [tokens] as counted in answers that ended ok
-- column: user_speed_p50_tps [tokens/s] 1 / TPOT, median
-- column: goodput_rps [requests/s] requests that met the run's SLO; every ok one without an SLO
-- column: attainment [-] good / due
-- column: ttft_mean_ms, ttft_min_ms, ttft_p50_ms, ttft_p75_ms, ttft_p90_ms, ttft_p95_ms, ttft_p99_ms, ttft_p999_ms, ttft_max_ms [ms] TTFT
-- column: ttft_wire_p50_ms, ttft_wire_p99_ms [ms] TTFT from the send
-- column: ttfo_p50_ms, ttfo_p99_ms [ms] first chunk that is not reasoning
-- column: tpot_p50_ms, tpot_p90_ms, tpot_p99_ms [ms] time per output token
-- column: icl_p50_ms, icl_p90_ms, icl_p99_ms [ms] inter-chunk latency
-- column: e2e_p50_ms, e2e_p90_ms, e2e_p99_ms [ms] end to end
-- column: lateness_p50_ms, lateness_p99_ms, lateness_max_ms [ms] issued − scheduled
-- column: tokens_per_chunk [tokens] mean over answers that ended ok
-- column: icl_is_itl [-] true where tokens_per_chunk <= 1.05, so that inter-chunk latency may be called ITL
-- column: exact_share [-] chunks with an exact stamp
-- column: hidden_reasoning [-] some answer counted reasoning tokens that it did not show

WITH counts AS (
    SELECT
        run_id,
        step_id,
        count(*) AS requests,
        count(*) FILTER (WHERE outcome = 'ok') AS ok_requests,
        avg(output_tokens) FILTER (WHERE outcome = 'ok') AS mean_output_tokens,
        avg(input_tokens) FILTER (WHERE outcome = 'ok') AS mean_input_tokens,
        sum(visible_tokens) FILTER (WHERE outcome = 'ok' AND chunks > 0)
        / sum(chunks) FILTER (WHERE outcome = 'ok' AND visible_tokens IS NOT NULL) AS tokens_per_chunk,
        1 - sum(inexact_chunks) / nullif(sum(chunks), 0) AS exact_share,
        bool_or(coalesce(visible_tokens < output_tokens, false)) AS hidden_reasoning
    FROM request_metrics
    WHERE phase = 'main'
    GROUP BY run_id, step_id
),

kinds AS (
    SELECT run_id, step_id, outcome, count(*) AS n
    FROM request_metrics
    WHERE phase = 'main' AND outcome <> 'ok'
    GROUP BY run_id, step_id, outcome
),

errors AS (
    SELECT run_id, step_id, string_agg(outcome || ' ' || n, ', ' ORDER BY n DESC, outcome) AS errors
    FROM kinds
    GROUP BY run_id, step_id
)

SELECT
    run_id,
    step_id,
    w.name,
    w.cell,
    w.arrivals,
    w.rate_rps,
    w.rate_end_rps,
    w.concurrency,
    w.concurrency_end,
    w.input_tokens_wanted,
    w.output_tokens_wanted,
    w.window_s,
    coalesce(c.requests, 0) AS requests,
    coalesce(c.ok_requests, 0) AS ok_requests,
    c.ok_requests / c.requests AS success_share,
    errors.errors,
    t.sent_rps,
    t.ok_rps,
    t.output_tps,
    c.mean_output_tokens,
    c.mean_input_tokens,
    u.p50_tps AS user_speed_p50_tps,
    g.goodput_rps,
    g.attainment,
    ttft.mean_ms AS ttft_mean_ms,
    ttft.min_ms AS ttft_min_ms,
    ttft.p50_ms AS ttft_p50_ms,
    ttft.p75_ms AS ttft_p75_ms,
    ttft.p90_ms AS ttft_p90_ms,
    ttft.p95_ms AS ttft_p95_ms,
    ttft.p99_ms AS ttft_p99_ms,
    ttft.p999_ms AS ttft_p999_ms,
    ttft.max_ms AS ttft_max_ms,
    wire.p50_ms AS ttft_wire_p50_ms,
    wire.p99_ms AS ttft_wire_p99_ms,
    ttfo.p50_ms AS ttfo_p50_ms,
    ttfo.p99_ms AS ttfo_p99_ms,
    tpot.p50_ms AS tpot_p50_ms,
    tpot.p90_ms AS tpot_p90_ms,
    tpot.p99_ms AS tpot_p99_ms,
    icl.p50_ms AS icl_p50_ms,
    icl.p90_ms AS icl_p90_ms,
    icl.p99_ms AS icl_p99_ms,
    e2e.p50_ms AS e2e_p50_ms,
    e2e.p90_ms AS e2e_p90_ms,
    e2e.p99_ms AS e2e_p99_ms,
    late.p50_ms AS lateness_p50_ms,
    late.p99_ms AS lateness_p99_ms,
    late.max_ms AS lateness_max_ms,
    c.tokens_per_chunk,
    c.tokens_per_chunk <= 1.05 AS icl_is_itl,
    c.exact_share,
    coalesce(c.hidden_reasoning, false) AS hidden_reasoning
FROM step_windows AS w
LEFT JOIN counts AS c USING (run_id, step_id)
LEFT JOIN errors USING (run_id, step_id)
LEFT JOIN throughput AS t USING (run_id, step_id)
LEFT JOIN user_speed AS u USING (run_id, step_id)
LEFT JOIN goodput AS g USING (run_id, step_id)
LEFT JOIN ttft_percentiles AS ttft USING (run_id, step_id)
LEFT JOIN ttft_wire_percentiles AS wire USING (run_id, step_id)
LEFT JOIN ttfo_percentiles AS ttfo USING (run_id, step_id)
LEFT JOIN tpot_percentiles AS tpot USING (run_id, step_id)
LEFT JOIN icl_percentiles AS icl USING (run_id, step_id)
LEFT JOIN e2e_percentiles AS e2e USING (run_id, step_id)
LEFT JOIN lateness_percentiles AS late USING (run_id, step_id)
