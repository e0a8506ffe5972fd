-- name: request_ids_in_step
-- question: Does any request's number disagree with its step, or lie beyond the step's arrivals?
-- grain: run_id, request_id
-- column: run_id, request_id [-] the request
-- column: step_id [-] the step that it says
-- column: planned_arrivals [requests] arrivals in that step's schedule, sessions in one of conversations; NULL where it has no end

SELECT r.run_id, r.request_id, r.step_id, w.planned_arrivals
FROM requests AS r
LEFT JOIN step_windows AS w USING (run_id, step_id)
WHERE
    step_of(r.request_id) IS DISTINCT FROM r.step_id
    OR (r.step_id >= 0 AND r.request_id % 1000000000 >= coalesce(w.planned_arrivals * coalesce(w.session_turns, 1), 1000000000))
