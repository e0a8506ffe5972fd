"""The verdict on the generator itself: is the run to be believed? Every rule is told with its figure; broken ones decide.

INVALID rules fail the run, WARN rules are told beside it, WITHHELD ones say which figures are not printed. docs/verdict.md
names them all. An INVALID run keeps and shows its data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import duckdb

from analysis.rules import lengths, process, records, sending, stalls, stamps, steadiness, workers
from analysis.rules.rule import Evidence, Rule

__all__ = ["Rule", "Verdict", "judge"]

_ROOMS = (
    sending.rules,
    workers.rules,
    stamps.rules,
    stalls.rules,
    steadiness.rules,
    records.rules,
    lengths.rules,
    process.rules,
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """``reasons``: the broken INVALID rules in words, none when VALID."""

    verdict: Literal["VALID", "INVALID"]
    reasons: list[str]
    rules: list[Rule]


def judge(con: duckdb.DuckDBPyConnection, manifest: Mapping[str, Any]) -> Verdict:
    """Run every check and rule on the run that the manifest names. Raises RunFolderError where its files are damaged."""
    evidence = Evidence(con, manifest, str(manifest["run_id"]))
    rules = [rule for room in _ROOMS for rule in room(evidence)]
    names = {s["step_id"]: s["name"] for s in evidence.rows("step_windows")}
    reasons = [_reason(r, names) for r in rules if r.broken and r.level == "INVALID"]
    return Verdict("INVALID" if reasons else "VALID", reasons, rules)


def _reason(rule: Rule, names: Mapping[int, str]) -> str:
    where = "" if rule.step_id is None else f"step {rule.step_id} ({names.get(rule.step_id, '?')}): "
    return f"{where}{rule.figure}; limit: {rule.limit}"
