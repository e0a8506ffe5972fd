"""Was what was sent the process that the scenario names?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from analysis.arrivals import LEAST_N, Floats, Test, exponential_gaps, ramp_clock, tests
from analysis.rules.rule import Evidence, Row, Rule

ALPHA = 0.001
"""Over all tests of the run together (Bonferroni): one run in a thousand is warned for nothing."""


def rules(evidence: Evidence) -> Iterator[Rule]:
    found = [(step, test) for step in evidence.rows("step_windows") for test in _tests(evidence, step)]
    for step, test in found:
        limit = ALPHA / len(found)
        figure = f"{test.name} {test.statistic:.3g} of what was sent against {_law(step)}: {_p(test.p)}"
        yield Rule(
            f"arrivals_{test.name.replace('-', '_')}",
            "WARN",
            step["step_id"],
            figure,
            f"p at least {limit:.2g}",
            "the load was bunched or smoothed on its way out: see lateness and dropped requests",
            test.p < limit,
        )


def _p(p: float) -> str:
    """Below 10⁻¹⁵ a p-value says more about rounding than about the process."""
    return f"p = {p:.2g}" if p >= 1e-15 else "p < 1e-15"


def _law(step: Row) -> str:
    gamma = f"gamma of shape {step['burstiness']:g}" if step["arrivals"] == "gamma" else "Poisson"
    end = f" to {step['rate_end_rps']:g}" if step["rate_end_rps"] else ""
    return f"{gamma} at {step['rate_rps']:g}{end}/s"


def _tests(evidence: Evidence, step: Row) -> list[Test]:
    """Constant arrivals and traces have no law of their own: lateness judges those."""
    if step["arrivals"] not in ("poisson", "gamma") or not step["rate_rps"] or not step["recorded"]:
        return []
    ramp = step["rate_end_rps"] not in (None, step["rate_rps"])
    if ramp and _cut(evidence.manifest):
        return []  # the slope belongs to the planned length, and this one was cut
    offsets_s = sends_s(evidence, step)
    if len(offsets_s) < LEAST_N:
        return []
    duration_s = (step["end_ns"] - step["start_ns"]) / 1e9
    clock = ramp_clock(offsets_s, step["rate_rps"], step["rate_end_rps"] if ramp else step["rate_rps"], duration_s)
    shape = (step["burstiness"] or 1.0) if step["arrivals"] == "gamma" else 1.0
    return tests(exponential_gaps(np.diff(clock, prepend=0.0), shape))


def _cut(manifest: Mapping[str, Any]) -> bool:
    """Whether the run ended before its load did: by a person, a threshold, its budget or an error."""
    budget = manifest.get("budget") or {}
    return any(
        (manifest.get("interrupted"), manifest.get("aborted"), budget.get("stopped"), manifest.get("ended_early"))
    )


def sends_s(evidence: Evidence, step: Row) -> Floats:
    """When the step's arrivals left, sorted seconds from its start: sent on a connection that existed, else issued, because what a
    new connection takes is the target's. Of a conversation the first turn: the others wait for answers.
    """
    rows = evidence.con.execute(
        """
        SELECT CASE WHEN connected_ns IS NULL THEN coalesce(sent_ns, issued_ns) ELSE issued_ns END - ? AS offset_ns
        FROM requests
        WHERE run_id = ? AND step_id = ? AND issued_ns IS NOT NULL AND outcome NOT IN ('dropped', 'lost')
            AND coalesce(turn, 1) = 1
        ORDER BY offset_ns
        """,
        [step["start_ns"], evidence.run_id, step["step_id"]],
    ).fetchnumpy()
    return np.asarray(rows["offset_ns"], dtype=np.float64) / 1e9
