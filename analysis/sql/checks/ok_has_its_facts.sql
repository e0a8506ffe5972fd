-- name: ok_has_its_facts
-- question: Is any request called ok without an answer that was sent for, begun, ended, and accepted?
-- grain: run_id, request_id
-- column: run_id, request_id [-] the request
-- column: http_status [-] its status
-- column: missing [-] what an ok request cannot be without

WITH judged AS (
    SELECT
        run_id,
        request_id,
        http_status,
        CASE
            WHEN sent_ns IS NULL THEN 'sent_ns'
            WHEN headers_ns IS NULL THEN 'headers_ns'
            WHEN done_ns IS NULL THEN 'done_ns'
            WHEN http_status IS NULL OR http_status NOT BETWEEN 200 AND 299 THEN 'a status of 2xx'
            WHEN error_type IS NOT NULL THEN 'no error_type'
        END AS missing
    FROM requests
    WHERE outcome = 'ok'
)

SELECT run_id, request_id, http_status, missing
FROM judged
WHERE missing IS NOT NULL
