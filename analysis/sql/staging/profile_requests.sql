-- name: profile_requests
-- question: What do other tools' figures need of each request?
-- grain: run_id, request_id
-- materialise: yes
-- column: run_id, request_id, step_id [-] requests of phase main that ended ok with at least one chunk
-- column: issued_ns, sent_ns, headers_ns, done_ns [ns] as in requests
-- column: first_ns, last_ns [ns] first and last chunk of any kind
-- column: first_text_ns, last_text_ns [ns] first and last chunk of content or reasoning; NULL without one
-- column: first_content_ns, last_content_ns [ns] first and last chunk of content; NULL without one
-- column: chunks, content_chunks [chunks] rows of any kind, and of content
-- column: content_tokens [tokens] in chunks of content; a chunk counts 1 where it does not say
-- column: first_tokens [tokens] in the first chunk; 1 where unknown
-- column: output_tokens [tokens] as in requests, whoever counted
-- column: reported_tokens [tokens] the same, NULL where the target did not count them
-- column: output_tokens_wanted [tokens] the limit that was sent

SELECT
    r.run_id,
    r.request_id,
    any_value(r.step_id) AS step_id,
    any_value(r.issued_ns) AS issued_ns,
    any_value(r.sent_ns) AS sent_ns,
    any_value(r.headers_ns) AS headers_ns,
    any_value(r.done_ns) AS done_ns,
    min(t.t_ns) AS first_ns,
    max(t.t_ns) AS last_ns,
    min(t.t_ns) FILTER (WHERE t.kind IN ('content', 'reasoning')) AS first_text_ns,
    max(t.t_ns) FILTER (WHERE t.kind IN ('content', 'reasoning')) AS last_text_ns,
    min(t.t_ns) FILTER (WHERE t.kind = 'content') AS first_content_ns,
    max(t.t_ns) FILTER (WHERE t.kind = 'content') AS last_content_ns,
    count(*) AS chunks,
    count(*) FILTER (WHERE t.kind = 'content') AS content_chunks,
    sum(coalesce(t.n_tokens, 1)) FILTER (WHERE t.kind = 'content')::BIGINT AS content_tokens,
    coalesce(min(t.n_tokens) FILTER (WHERE t.chunk_index = 0), 1) AS first_tokens,
    any_value(r.output_tokens) AS output_tokens,
    any_value(CASE WHEN r.token_source IN ('usage', 'chunk_usage') THEN r.output_tokens END) AS reported_tokens,
    any_value(r.output_tokens_wanted) AS output_tokens_wanted
FROM requests AS r
JOIN tokens AS t ON r.run_id = t.run_id AND r.request_id = t.request_id
WHERE counted_phase(r.phase, r.cancel_planned) = 'main' AND r.outcome = 'ok'
GROUP BY r.run_id, r.request_id
