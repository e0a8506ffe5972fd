"""What benchmarks measured: their single requests, reports, queries, comparisons, histories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from console.web.asking import Asking
from console.web.benchmarks import Benchmarks, instant
from console.web.box import Answer
from console.web.catalogue.store import Store
from console.web.refusals import ConflictError
from console.web.shapes import History, Point, Results
from console.web.states import OVER
from generator.run_dir import RunDir


class Measured:
    """Every method that takes a benchmark raises MissingError where there is none."""

    def __init__(self, runs_dir: Path, store: Store, benchmarks: Benchmarks, asking: Asking) -> None:
        self._runs_dir = runs_dir
        self._store = store
        self._benchmarks = benchmarks
        self._asking = asking

    def results(self, benchmark_id: str, page: int, size: int) -> Results | None:
        """Requests in the order of their numbers; None where nothing was recorded, or not yet."""
        run = self._run(benchmark_id)
        if run is None:
            return None
        answer = self._asking.results(run.path, (page - 1) * size, size)
        return Results(total=answer.head["total"], page=page, size=size, items=orjson.loads(answer.body))

    def report(self, benchmark_id: str, form: str) -> Answer:
        """Raises QueryError for a form that does not exist, ConflictError where nothing was recorded yet."""
        run = self._recorded(benchmark_id)
        if form == "html" and run.report_path.is_file():
            # Drawn when the run was judged. Drawing takes a JavaScript engine, whose reserve of addresses is beyond a box's.
            return Answer({}, run.report_path.read_bytes())
        return self._asking.report(run.path, form)

    def query(
        self, benchmark_id: str, name: str | None, sql: str | None, params: Mapping[str, str], form: str
    ) -> Answer:
        """A named query or one SELECT, where nothing can be written and nothing but the run's own tables read.

        Raises QueryError for what is refused, ExceededError for a limit.
        """
        return self._asking.query(self._recorded(benchmark_id).path, name, sql, params, form)

    def compare(self, ids: Sequence[str]) -> dict[str, Any]:
        """Two or more against the first of them, as ``comparison.Comparison`` has it. Raises RunFolderError, QueryError."""
        return self._asking.comparison([self._recorded(one).path for one in ids])

    def history(self, name: str, metrics: Sequence[str], most: int) -> History:
        """The trend of a scenario: its newest ``most`` runs, oldest first."""
        found = self._store.history(name, metrics, most)
        points = [
            Point(
                benchmark_id=row.id,
                created=instant(row.created_ms),
                verdict=row.verdict,
                scenario_digest=row.scenario_digest,
                step_id=figure.step_id,
                step=figure.label,
                metric=figure.metric,
                value=figure.value,
                low=figure.low,
                high=figure.high,
            )
            for row, figure in found
            if figure.value is not None
        ]
        return History(scenario=name, points=points)

    def _run(self, benchmark_id: str) -> RunDir | None:
        row, _ = self._benchmarks.found(benchmark_id)
        run = RunDir(self._runs_dir / row.id)
        return run if run.manifest_path.exists() and row.state in OVER else None

    def _recorded(self, benchmark_id: str) -> RunDir:
        run = self._run(benchmark_id)
        if run is None:
            state = self._benchmarks.found(benchmark_id)[0].state
            told = "it recorded nothing" if state in OVER else f"it is {state}; ask again when it is over"
            raise ConflictError(f"{benchmark_id} has no results: {told}")
        return run
