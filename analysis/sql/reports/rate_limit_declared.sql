-- name: rate_limit_declared
-- question: What does a target say of its rate limits itself?
-- grain: run_id, target, source, dimension
-- column: run_id, target [-] who said it
-- column: source [-] headers: of any answer; message: of a refusal; retry-after: of a refusal
-- column: dimension [-] requests, tokens, or the refusal's own word (TPM); NULL where it is not said
-- column: answers [-] how many said it
-- column: limit_units [requests or tokens] what the target allows, most often; no header says in what time
-- column: refill_per_s [1/s] how fast it gives back: Σ(limit − remaining) / Σ reset of headers, Σ(used + requested − limit) / Σ wait of
--   messages. It is the refill of a token bucket; of a window it has no such meaning
-- column: refill_answers [-] how many said enough for it
-- column: wait_s [s] how long to wait before another attempt, median; NULL in headers

WITH said AS (
    SELECT
        run_id,
        target,
        'headers' AS source,
        'requests' AS dimension,
        limit_requests AS limit_units,
        CASE WHEN reset_requests_s > 0 THEN limit_requests - remaining_requests END AS lacking_units,
        reset_requests_s AS until_s,
        NULL::DOUBLE AS wait_s
    FROM requests
    WHERE limit_requests IS NOT NULL
    UNION ALL
    SELECT
        run_id,
        target,
        'headers',
        'tokens',
        limit_tokens,
        CASE WHEN reset_tokens_s > 0 THEN limit_tokens - remaining_tokens END,
        reset_tokens_s,
        NULL
    FROM requests
    WHERE limit_tokens IS NOT NULL
    UNION ALL
    SELECT
        run_id,
        target,
        'message',
        stated_dimension,
        stated_limit,
        CASE WHEN stated_wait_s > 0 THEN stated_used + stated_requested - stated_limit END,
        stated_wait_s,
        stated_wait_s
    FROM requests
    WHERE outcome = 'rate_limited' AND (stated_limit IS NOT NULL OR stated_wait_s IS NOT NULL)
    UNION ALL
    SELECT
        run_id,
        target,
        'retry-after',
        NULL,
        NULL,
        NULL,
        NULL,
        retry_after_s
    FROM requests
    WHERE outcome = 'rate_limited' AND retry_after_s IS NOT NULL
)

SELECT
    run_id,
    target,
    source,
    dimension,
    count(*) AS answers,
    mode(limit_units) AS limit_units,
    sum(lacking_units) FILTER (WHERE lacking_units > 0) / sum(until_s) FILTER (WHERE lacking_units > 0) AS refill_per_s,
    count(*) FILTER (WHERE lacking_units > 0) AS refill_answers,
    percentile(wait_s, 0.5) AS wait_s
FROM said
GROUP BY run_id, target, source, dimension
