-- name: stalled_gaps
-- question: Do gaps between chunks cluster at 40 ms, where Nagle's algorithm waits for a delayed acknowledgement?
-- grain: run_id, step_id
-- column: run_id, step_id [-] the step
-- column: n [gaps] all of them
-- column: at_40ms [gaps] from 39 to 45 ms: Linux delays an acknowledgement by 40 ms at least (TCP_DELACK_MIN), and a sender with Nagle's
--   algorithm holds a small segment until the one before is acknowledged
-- column: beside [gaps] the greater of the numbers from 33 to 39 and from 45 to 51 ms: what a smooth law has nearby
-- column: share [-] at_40ms / n
-- column: mean_ms [ms] mean gap. A stall only moves chunks about, so the mean stays the target's own pace
-- column: clustered [-] at least 1 % of all gaps, thrice as many as beside and ten more, while the mean lies elsewhere: a target whose own
--   pace is 40 ms has no stalls

WITH counted AS (
    SELECT
        run_id,
        step_id,
        sum(n)::BIGINT AS n,
        coalesce(sum(n) FILTER (WHERE gap_us >= 39000 AND gap_us < 45000), 0)::BIGINT AS at_40ms,
        greatest(
            coalesce(sum(n) FILTER (WHERE gap_us >= 33000 AND gap_us < 39000), 0),
            coalesce(sum(n) FILTER (WHERE gap_us >= 45000 AND gap_us < 51000), 0)
        )::BIGINT AS beside,
        sum(gap_us * n) / sum(n) / 1000 AS mean_ms
    FROM icl_counts
    GROUP BY run_id, step_id
)

SELECT
    *,
    at_40ms / n AS share,
    at_40ms >= 0.01 * n AND at_40ms >= 3 * beside + 10 AND NOT (mean_ms >= 39 AND mean_ms < 45) AS clustered
FROM counted
