-- name: connections
-- question: How were connections used, and what did making them cost?
-- grain: run_id, step_id, target
-- column: run_id, step_id, target [-] the step and the target; step -1 holds the probes
-- column: requests [requests] sent
-- column: connections [connections] that carried them, over all workers
-- column: new_connections [requests] sent on a connection that was made for them
-- column: reused_share [-] sent on one that existed
-- column: resent [requests] sent a second time, because a reused connection died before any byte of an answer
-- column: connect_p50_ms, connect_max_ms [ms] issued to connected, DNS, TCP and TLS together
-- column: addresses [-] distinct remote addresses
-- column: connect_errors [requests] connections that failed

SELECT
    run_id,
    step_id,
    target,
    count(sent_ns) AS requests,
    count(DISTINCT (worker_id, connection_id)) FILTER (WHERE connection_id IS NOT NULL) AS connections,
    count(*) FILTER (WHERE sent_ns IS NOT NULL AND connected_ns IS NOT NULL) AS new_connections,
    count(*) FILTER (WHERE sent_ns IS NOT NULL AND connected_ns IS NULL) / nullif(count(sent_ns), 0) AS reused_share,
    count(*) FILTER (WHERE resent) AS resent,
    percentile((connected_ns - issued_ns) / 1e6, 0.5) AS connect_p50_ms,
    max((connected_ns - issued_ns) / 1e6) AS connect_max_ms,
    count(DISTINCT remote_addr) AS addresses,
    count(*) FILTER (WHERE outcome = 'connect_error') AS connect_errors
FROM requests
GROUP BY run_id, step_id, target
