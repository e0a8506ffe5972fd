"""What the service asks of its boxes, a method for each job of ``jobs.py``, with the limits that hold for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from console.web import admission, capacity, redaction, submission
from console.web.admission import Rules
from console.web.box import Answer, Boxes
from console.web.settings import Settings

_PLAN_BYTES = 1_500_000_000
_RESOLVED = 4
"""Times the bytes that a scenario may have: presets and defaults are written out in it."""


class Asking:
    """Every method raises BusyError where no box is free, ExceededError for a limit."""

    def __init__(self, settings: Settings) -> None:
        self._limits = settings.limits
        self._queries = Boxes(settings.limits.queries_at_once)
        self._reports = Boxes(settings.limits.reports_at_once)

    def plan(self, asked: Mapping[str, Any], rules: Rules, own: Sequence[Path]) -> dict[str, Any]:
        """``asked``: what ``submission.asked`` made. Raises ScenarioError with a line for each fault, MachineError where this machine cannot
        carry it.
        """
        # Only names that the service gives away are in the box's environment, so that nothing can be read by another name.
        env = submission.given(rules.env)
        env[redaction.GIVEN] = ",".join(env)
        most_bytes = _RESOLVED * self._limits.scenario_bytes
        job = {"op": "plan", "rules": admission.told(rules, *own), "most_bytes": most_bytes, **asked}
        return self._ask(job, env=env).head

    def report(self, path: Path, form: str) -> Answer:
        """Raises QueryError for a form that does not exist."""
        return self._ask({"op": "report", "path": str(path), "form": form})

    def judgement(self, path: Path) -> Answer:
        return self._ask({"op": "judge", "path": str(path)})

    def results(self, path: Path, first: int, most: int) -> Answer:
        return self._ask_rows({"op": "results", "path": str(path), "first": first, "most": most})

    def query(self, path: Path, name: str | None, sql: str | None, params: Mapping[str, str], form: str) -> Answer:
        """Raises QueryError for what is refused."""
        asked = {
            "op": "query",
            "path": str(path),
            "name": name,
            "sql": sql,
            "params": dict(params),
            "form": form,
            "rows": self._limits.rows,
        }
        return self._ask_rows(asked)

    def comparison(self, paths: Sequence[Path]) -> dict[str, Any]:
        """Of all against the first. Raises RunFolderError, QueryError."""
        found: dict[str, Any] = orjson.loads(self._ask({"op": "compare", "paths": [str(path) for path in paths]}).body)
        return found

    def _ask(self, job: Mapping[str, Any], env: Mapping[str, str] | None = None) -> Answer:
        """Where our own code works; DuckDB gets half of the memory, the rest is for what its answers become. The engine that draws a report's charts reserves addresses by the gigabyte, so these are not counted,
        except for a plan: what it reads, a visitor wrote.
        """
        limits = self._limits
        return self._reports.ask(
            {**job, "memory": f"{limits.report_bytes // 2_000_000}MB"},
            limit_s=limits.analysis_s,
            memory_bytes=limits.report_bytes,
            maps_bytes=min(limits.report_bytes, _PLAN_BYTES) if job["op"] == "plan" else None,
            answer_bytes=limits.answer_bytes,
            env=env,
        )

    def _ask_rows(self, job: Mapping[str, Any]) -> Answer:
        limits = self._limits
        memory_bytes = capacity.resident_bytes(limits.memory_bytes)
        return self._queries.ask(
            {**job, "memory": f"{limits.memory_bytes // 1_000_000}MB", "writes_nothing": True},
            limit_s=limits.query_s,
            memory_bytes=memory_bytes,
            maps_bytes=memory_bytes,
            answer_bytes=limits.answer_bytes,
        )
