-- name: request_ids_unique
-- question: Is any request recorded twice?
-- grain: run_id, request_id
-- column: run_id, request_id [-] the request
-- column: n [rows] how often

SELECT run_id, request_id, count(*) AS n
FROM requests
GROUP BY run_id, request_id
HAVING count(*) > 1
