"""Where the target began to refuse, which limiter did, and what the target says of it: the part of a report of any run with 429s."""

from __future__ import annotations

from typing import Any

import numpy as np
from duckdb import DuckDBPyConnection

from analysis import catalog
from analysis.onset import declared
from analysis.onset.identify import Found, explained, identify
from analysis.onset.limiter import CONCURRENCY, Limiter
from analysis.onset.loaded import load
from analysis.onset.observed import Observed

Row = dict[str, Any]

ASSUMPTIONS = (
    "The limiter sees a request when it is sent; what the network adds is noise. A request is in flight until its answer has ended here.",
    "A limiter is full when the run starts, and a refused request takes nothing from it. Probes and warm-up count against it.",
    "Nobody else used the same limit meanwhile.",
    "Only outcome rate_limited is a refusal: quota and overload stand beside, and are left out.",
)


_BEHIND_S = 1.0
"""Refusals cost a target next to nothing. Where they take longer than this, they waited, and the limiter with them."""


def judge(con: DuckDBPyConnection) -> Row | None:
    """``steps``, ``onset``, ``targets`` and ``assumptions`` as docs/report.md lists them, of the one run that ``con`` has open; None
    where no request was rate limited.
    """
    refused = catalog.query(
        con,
        "SELECT DISTINCT target FROM requests WHERE outcome = 'rate_limited' AND sent_ns IS NOT NULL ORDER BY target",
    ).rows
    names = [name for (name,) in refused]
    if not names:
        return None
    said = catalog.run(con, "rate_limit_declared").dicts()
    seen = {name: load(con, name) for name in names}
    return {
        "steps": _rows(con, "rate_limit_steps", names),
        "onset": _rows(con, "rate_limit_onset", names),
        "targets": [_target(name, seen[name], [row for row in said if row["target"] == name]) for name in names],
        "assumptions": [
            *(_behind(name, seen[name]) for name in names if seen[name].round_trip_s > _BEHIND_S),
            *ASSUMPTIONS,
        ],
    }


def _rows(con: DuckDBPyConnection, name: str, targets: list[str]) -> list[Row]:
    rows = catalog.run(con, name).dicts()
    return [{k: v for k, v in row.items() if k != "run_id"} for row in rows if row["target"] in targets]


def _behind(name: str, seen: Observed) -> str:
    return (
        f"Not so of {name}: a refusal took {seen.round_trip_s:.1f} s at the median, so that its limiter may have counted requests that much later "
        "than they were sent; send less than it can answer at once before what is found here is believed."
    )


def _target(name: str, seen: Observed, said: list[Row]) -> Row:
    found = identify(seen)
    return {
        "target": name,
        "limiters": [_limiter(limiter, seen) for limiter in found.limiters],
        "certain": found.certain,
        "blurred": found.blurred,
        "why": found.why or None,
        "misclassified": found.errors,
        "looked_at": found.looked_at,
        "rate_limited": found.refused,
        "runner_up": _runner_up(found),
        "declared": [declared.compared(row, found.limiters, seen) for row in said],
    }


def _limiter(limiter: Limiter, seen: Observed) -> Row:
    """Intervals are of 95 %. ``onset_rps``: of a limit on concurrency by Little's law, from the mean time of an admitted request."""
    candidate, refill = limiter.candidate, limiter.refill
    unit = float(seen.charges[candidate.charge].mean())
    onset_rps = refill.value / unit if refill else None
    if candidate.law == CONCURRENCY:
        onset_rps = limiter.size.value / float(np.mean((seen.done_s - seen.sent_s)[seen.admitted]))
    return {
        "law": candidate.law,
        "charge": None if candidate.law == CONCURRENCY else candidate.charge,
        "window_s": candidate.window_s,
        "size": limiter.size.value,
        "size_low": limiter.size.low,
        "size_high": _finite(limiter.size.high),
        "refill_per_s": refill.value if refill else None,
        "refill_per_s_low": refill.low if refill else None,
        "refill_per_s_high": _finite(refill.high) if refill else None,
        "onset_rps": onset_rps,
        "refused": int(explained(limiter, seen).sum()),
        "also": [
            {
                "charge": rule,
                "size": limiter.size.value * factor,
                "refill_per_s": refill.value * factor if refill else None,
            }
            for rule, factor in seen.alike.get(candidate.charge, {}).items()
            if candidate.law != CONCURRENCY
        ],
    }


def _runner_up(found: Found) -> Row | None:
    if found.runner_up is None:
        return None
    law, charge, window_s = found.runner_up.kind
    return {"law": law, "charge": charge, "window_s": window_s, "misclassified": found.runner_up.errors}


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
