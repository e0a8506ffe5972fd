-- name: instants_in_order
-- question: Does any request have instants in an impossible order?
-- grain: run_id, request_id
-- column: run_id, request_id [-] the request
-- column: outcome [-] how it ended
-- column: broken [-] the first pair that is out of order

-- scheduled, issued and sent are clock reads of one process and must be in order to the nanosecond. first_byte and what follows may be
-- kernel stamps, mapped from CLOCK_REALTIME by an offset that is known to about 2 us and re-measured each second, while the kernel slews
-- the clock by up to 500 us a second: 50 us keep a loopback answer from looking as if it came before its request.
WITH judged AS (
    SELECT
        r.run_id,
        r.request_id,
        r.outcome,
        CASE
            WHEN r.issued_ns < r.scheduled_ns THEN 'issued before scheduled'
            WHEN r.sent_ns < r.issued_ns THEN 'sent before issued'
            WHEN r.connected_ns < r.issued_ns THEN 'connected before issued'
            -- A resent request may keep the moment at which its first connection stood.
            WHEN r.sent_ns < r.connected_ns AND NOT coalesce(r.resent, false) THEN 'sent before connected'
            WHEN r.first_byte_ns < r.sent_ns - 50000 THEN 'first byte before sent'
            WHEN r.headers_ns < r.first_byte_ns - 50000 THEN 'headers before first byte'
            WHEN a.first_ns < r.headers_ns - 50000 THEN 'first chunk before headers'
            WHEN r.done_ns < a.last_ns - 50000 AND r.outcome = 'ok' THEN 'done before last chunk'
            WHEN r.done_ns < r.headers_ns - 50000 AND r.outcome = 'ok' THEN 'done before headers'
        END AS broken
    FROM requests AS r
    LEFT JOIN request_metrics AS a USING (run_id, request_id)
)

SELECT run_id, request_id, outcome, broken
FROM judged
WHERE broken IS NOT NULL
