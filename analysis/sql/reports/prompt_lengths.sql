-- name: prompt_lengths
-- question: Did prompts and answers have the lengths that were wanted?
-- grain: run_id, step_id
-- column: run_id, step_id [-] the step
-- column: n [requests] requests of phase main that ended ok and whose prompt the target counted
-- column: wanted_mean_tokens, reported_mean_tokens [tokens] prompt tokens asked for, and as the target counted them
-- column: error_mean_tokens [tokens] mean of reported − wanted
-- column: error_share [-] the same over the wanted mean
-- column: abs_error_p50_tokens, abs_error_max_tokens [tokens] size of reported − wanted
-- column: cached_mean_tokens [tokens] prompt tokens that the target took from a cache
-- column: output_wanted_mean_tokens, output_mean_tokens [tokens] output length asked for, and as counted
-- column: output_error_share [-] mean of counted − asked for over what was asked for, of requests that have both
-- column: output_sources [-] where output counts come from; more than one kind is never mixed in silence

SELECT
    run_id,
    step_id,
    count(input_tokens) AS n,
    avg(input_tokens_wanted) FILTER (WHERE input_tokens IS NOT NULL) AS wanted_mean_tokens,
    avg(input_tokens) FILTER (WHERE input_tokens_wanted IS NOT NULL) AS reported_mean_tokens,
    avg(input_tokens - input_tokens_wanted) AS error_mean_tokens,
    avg(input_tokens - input_tokens_wanted)
    / nullif(avg(input_tokens_wanted) FILTER (WHERE input_tokens IS NOT NULL), 0) AS error_share,
    percentile(abs(input_tokens - input_tokens_wanted), 0.5) AS abs_error_p50_tokens,
    max(abs(input_tokens - input_tokens_wanted)) AS abs_error_max_tokens,
    avg(cached_tokens) AS cached_mean_tokens,
    avg(output_tokens_wanted) AS output_wanted_mean_tokens,
    avg(output_tokens) AS output_mean_tokens,
    avg(output_tokens - output_tokens_wanted)
    / nullif(avg(output_tokens_wanted) FILTER (WHERE output_tokens IS NOT NULL), 0) AS output_error_share,
    string_agg(DISTINCT token_source, ', ' ORDER BY token_source) AS output_sources
FROM requests
WHERE counted_phase(phase, cancel_planned) = 'main' AND outcome = 'ok'
GROUP BY run_id, step_id
