"""The requests of an open run as the search for limiters wants them: one target's, around its first refusal."""

from __future__ import annotations

import numpy as np
from duckdb import DuckDBPyConnection

from analysis import database
from analysis.onset.observed import Observed, observed

MOST_REQUESTS = 20_000
"""Every kind of limiter is tried on every request, hundreds of times. A limit shows in the part around its first refusal."""

_BEFORE = MOST_REQUESTS // 4

_ROWS = """
WITH numbered AS (
    SELECT *, row_number() OVER (ORDER BY sent_ns, request_id) AS number FROM limited_requests WHERE target = $target
),
bounds AS (
    SELECT greatest(0, least(min(number) FILTER (WHERE NOT admitted) - $before, max(number) - $most)) AS first FROM numbered
),
shares AS (
    SELECT sum(output_tokens) FILTER (WHERE max_tokens > 0) / sum(max_tokens) FILTER (WHERE output_tokens IS NOT NULL) AS used
    FROM limited_requests WHERE admitted AND target = $target
)
SELECT
    sent_ns, done_ns, admitted,
    coalesce(input_tokens, 0)::DOUBLE AS input,
    -- greatest() passes over NULL: the larger of one that is not known is not known.
    CASE WHEN input_tokens IS NULL OR max_tokens IS NULL THEN 0 ELSE greatest(input_tokens, max_tokens) END::DOUBLE AS larger,
    coalesce(input_tokens + max_tokens, 0)::DOUBLE AS asked,
    coalesce(input_tokens + coalesce(output_tokens, max_tokens * used), 0)::DOUBLE AS actual
FROM numbered, bounds, shares
WHERE number > first AND number <= first + $most
"""


def load(con: DuckDBPyConnection, target: str) -> Observed:
    """At most MOST_REQUESTS of what this target admitted and refused, probes included. A charge that is not known is 0 here, and
    ``observed`` then leaves its rule out. What a refused request would have used in all is guessed by what admitted ones used of
    their max_tokens.
    """
    database.prepare(con, ["limited_requests"])
    found = con.execute(_ROWS, {"target": target, "before": _BEFORE, "most": MOST_REQUESTS}).fetchnumpy()
    admitted = np.asarray(found["admitted"], dtype=bool)
    charges = {
        "requests": np.ones(len(admitted)),
        "input": np.asarray(found["input"]),
        "max(max_tokens,input)": np.asarray(found["larger"]),
        "input+max_tokens": np.asarray(found["asked"]),
        "actual": np.asarray(found["actual"]),
    }
    # Nanoseconds since boot need more digits than a float of seconds has, so differences are taken first.
    start_ns = found["sent_ns"].min() if len(admitted) else 0
    return observed((found["sent_ns"] - start_ns) / 1e9, (found["done_ns"] - start_ns) / 1e9, admitted, charges)
