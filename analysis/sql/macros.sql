-- What every query shares: one definition of a percentile, of a step's number, of enough data.

-- Percentiles are linear interpolations between order statistics (numpy's default), everywhere; quantile_disc differs.
CREATE OR REPLACE MACRO percentile(x, p) AS quantile_cont(x, p);

-- request_id = step_id * 10^9 + arrival number; probes are negative. A plain // would round them into step 0.
CREATE OR REPLACE MACRO step_of(request_id) AS
    CASE WHEN request_id < 0 THEN -1 ELSE (request_id // 1000000000)::INTEGER END;

-- The smallest n whose largest value lies above the p-quantile with 95 % confidence: 1 - p^n >= 0.95. p99: 299, p99.9: 2,995.
CREATE OR REPLACE MACRO least_n(p) AS ceil(ln(0.05) / ln(p))::BIGINT;

-- A percentile that so few values cannot bound from above is withheld: NULL here, the reason in the relation "withheld".
CREATE OR REPLACE MACRO enough(n, p, x) AS CASE WHEN n >= least_n(p) THEN x END;

-- The percentile with every failure as infinity. NULL where some ended ok and none of them has the value (whole bodies have no TTFT): then
-- what failed would have had none either. Where nothing ended ok nobody can know, and all of it is late.
CREATE OR REPLACE MACRO adjusted_percentile(x, adjusted, p) AS
    CASE WHEN count(x) > 0 OR count(adjusted) = count(*) THEN percentile(adjusted, p) END;

-- Mean, extremes and percentiles of x in ms; adjusted: the same requests with every failure as +infinity.
CREATE OR REPLACE MACRO distribution(x, adjusted) AS {
    n: count(x),
    mean_ms: avg(x),
    min_ms: min(x),
    p50_ms: percentile(x, 0.5),
    p75_ms: percentile(x, 0.75),
    p90_ms: percentile(x, 0.9),
    p95_ms: percentile(x, 0.95),
    p99_ms: enough(count(x), 0.99, percentile(x, 0.99)),
    p999_ms: enough(count(x), 0.999, percentile(x, 0.999)),
    max_ms: max(x),
    adjusted_p50_ms: adjusted_percentile(x, adjusted, 0.5),
    adjusted_p90_ms: adjusted_percentile(x, adjusted, 0.9),
    adjusted_p95_ms: adjusted_percentile(x, adjusted, 0.95),
    adjusted_p99_ms: enough(count(adjusted), 0.99, adjusted_percentile(x, adjusted, 0.99))
};

-- A value of a request that ended ok; of one that did not, infinity: it never came.
CREATE OR REPLACE MACRO or_never(outcome, x) AS CASE WHEN outcome = 'ok' THEN x ELSE 'infinity'::DOUBLE END;

-- The phase of a request in every figure. What the scenario gives up on purpose has one of its own, whether or not it ended first: which
-- requests these are was drawn before anything was sent, so leaving out all of them biases nothing, while leaving out those that were cut
-- and keeping those that were quicker than the cut would.
CREATE OR REPLACE MACRO counted_phase(phase, cancel_planned) AS
    CASE WHEN phase = 'main' AND coalesce(cancel_planned, false) THEN 'planned' ELSE phase END;

-- The 95 % interval of a share of x in n (Wilson 1927); 1.96 is the normal law's 97.5 % quantile. Rounded, so that none in n has 0
-- and all of n has 1 as an end, and not what floating point leaves of it.
CREATE OR REPLACE MACRO wilson(x, n) AS {
    low: CASE
        -- greatest() and least() pass over NULL: of unknown counts they would say 0 to 1.
        WHEN x IS NOT NULL AND n > 0
            THEN greatest(0, round((x + 1.96 ^ 2 / 2 - 1.96 * sqrt(x * (n - x)::DOUBLE / n + 1.96 ^ 2 / 4)) / (n + 1.96 ^ 2), 12))
    END,
    high: CASE
        WHEN x IS NOT NULL AND n > 0
            THEN least(1, round((x + 1.96 ^ 2 / 2 + 1.96 * sqrt(x * (n - x)::DOUBLE / n + 1.96 ^ 2 / 4)) / (n + 1.96 ^ 2), 12))
    END
};

-- Where percentile curves are drawn: denser towards the tail.
CREATE OR REPLACE MACRO curve_points() AS [
    0, 0.01, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9,
    0.925, 0.95, 0.975, 0.99, 0.995, 0.999, 0.9995, 0.9999
]::DOUBLE[];

-- What a metric profile says of one figure. Nothing is withheld: the tools print what they have, however little that is.
CREATE OR REPLACE MACRO profile_summary(x, bound) AS {
    n: count(x),
    mean_ms: avg(x),
    p50_ms: percentile(x, 0.5),
    p90_ms: percentile(x, 0.9),
    p95_ms: percentile(x, 0.95),
    p99_ms: percentile(x, 0.99),
    max_ms: max(x),
    bound_p50_ms: percentile(bound, 0.5)
};

-- How much more the share of hits varies between stretches of time than independence allows. hits, sizes: counts of each stretch, in
-- the order of time. Neighbouring stretches resemble one another while dependence reaches further than a stretch is long, so their
-- lag-1 autocorrelation widens what they vary, as for an autoregressive process (Steiger et al. 2005, ASAP3), after the bias of
-- -(1 + 4r)/m that m values have (Marriott & Pope 1954), and half of its standard error of 1/sqrt(m) to be on the safe side: too narrow
-- misleads, too wide does not. 0.8 at most: thirty stretches cannot tell more than a ninefold widening.
CREATE OR REPLACE MACRO deviations(hits, sizes) AS
    list_transform(range(1, len(hits) + 1), lambda i: hits[i] / sizes[i] - list_sum(hits) / list_sum(sizes));

CREATE OR REPLACE MACRO sum_of_squares(x, weights) AS list_sum(list_transform(range(1, len(x) + 1), lambda i: weights[i] * x[i] * x[i]));

CREATE OR REPLACE MACRO lag_one(x) AS
    list_sum(list_transform(range(1, len(x)), lambda i: x[i] * x[i + 1]))
    / nullif(list_sum(list_transform(x, lambda value: value * value)), 0);

CREATE OR REPLACE MACRO persistence(x) AS
    least(0.8, greatest(0, coalesce(lag_one(x) + (1 + 4 * lag_one(x)) / len(x) + 0.5 / sqrt(len(x)), 0)));

CREATE OR REPLACE MACRO widening(r) AS (1 + r) / (1 - r);

CREATE OR REPLACE MACRO dispersion(hits, sizes) AS
    sum_of_squares(deviations(hits, sizes), sizes) / (len(hits) - 1)
    / nullif(list_sum(hits) / list_sum(sizes) * (1 - list_sum(hits) / list_sum(sizes)), 0);

-- As many independent values would be as sure.
CREATE OR REPLACE MACRO effective_n(hits, sizes) AS
    list_sum(sizes) / greatest(1, coalesce(dispersion(hits, sizes), 0) * widening(persistence(deviations(hits, sizes))));

-- Student's 97.5 % quantile by its expansion in 1/dof (Abramowitz & Stegun 26.7.5): 0.75 % too small at two degrees of freedom, 0.12 % at
-- three, and to 0.03 % from four on. 2.045 of 29.
CREATE OR REPLACE MACRO student_975(dof) AS 1.96 + 2.3723 / dof + 2.8225 / dof ^ 2 + 2.5558 / dof ^ 3 + 1.5895 / dof ^ 4;

-- The smallest n whose two-sided 95 % interval of the p-quantile has both ends. p99: 368.
CREATE OR REPLACE MACRO least_n_two_sided(p) AS ceil(ln(0.025) / ln(greatest(p, 1 - p)))::BIGINT;

-- What share of each response's chunks came by the deadline of a reader who reads at a steady pace, as the metric "fluidity" tells it:
-- first_ms for the first chunk and next_ms for each further one, expressions over a row of runs; where one is NULL there is no deadline.
CREATE OR REPLACE MACRO fluidity_within(first_ms, next_ms) AS TABLE
WITH limits AS (
    SELECT run_id, first_ms * 1e6 AS first_ns, next_ms * 1e6 AS next_ns
    FROM runs
    WHERE first_ms IS NOT NULL AND next_ms IS NOT NULL
),

judged AS (
    SELECT r.run_id, r.request_id, r.step_id, r.scheduled_ns, l.first_ns, l.next_ns
    FROM requests AS r
    JOIN limits AS l ON r.run_id = l.run_id
    WHERE counted_phase(r.phase, r.cancel_planned) = 'main' AND r.outcome = 'ok'
),

-- Deadlines only ever move back. A response whose chunks all kept the first ones is wholly fluent, and most are: the running maximum,
-- which costs ten times as much, is taken of the others alone.
kept AS (
    SELECT
        t.run_id,
        t.request_id,
        any_value(j.step_id) AS step_id,
        count(*) AS chunks,
        bool_and(t.t_ns - j.scheduled_ns <= j.first_ns + t.chunk_index * j.next_ns) AS fluent
    FROM tokens AS t
    JOIN judged AS j ON t.run_id = j.run_id AND t.request_id = j.request_id
    GROUP BY t.run_id, t.request_id
),

arrived AS (
    SELECT t.run_id, t.request_id, t.chunk_index AS i, t.t_ns - j.scheduled_ns AS x_ns, j.first_ns, j.next_ns
    FROM tokens AS t
    JOIN judged AS j ON t.run_id = j.run_id AND t.request_id = j.request_id
    JOIN kept AS k ON t.run_id = k.run_id AND t.request_id = k.request_id
    WHERE NOT k.fluent
),

-- deadline_i = i * next + max(first, max over j < i of (x_j - j * next)): equal to the recursion that resets at every miss.
deadlines AS (
    SELECT
        *,
        i * next_ns + greatest(
            first_ns,
            coalesce(
                max(x_ns - i * next_ns) OVER (
                    PARTITION BY run_id, request_id ORDER BY i ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                ),
                first_ns
            )
        ) AS deadline_ns
    FROM arrived
),

late AS (
    SELECT run_id, request_id, avg((x_ns <= deadline_ns)::INTEGER) AS fluidity
    FROM deadlines
    GROUP BY run_id, request_id
)

SELECT k.run_id, k.request_id, k.step_id, k.chunks, coalesce(l.fluidity, 1.0) AS fluidity
FROM kept AS k
LEFT JOIN late AS l ON k.run_id = l.run_id AND k.request_id = l.request_id;
