"""Benchmarks as the catalogue has them → as they are shown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from console.web.catalogue.store import Filter, Store
from console.web.catalogue.tables import FIGURES, BenchmarkRow
from console.web.refusals import MissingError
from console.web.shapes import RUN_ID, Benchmark, Detail, Figures, Page
from console.web.states import State

_ID = re.compile(RUN_ID)


class Benchmarks:
    def __init__(self, store: Store) -> None:
        self._store = store

    def found(self, benchmark_id: str) -> tuple[BenchmarkRow, Sequence[str]]:
        """Its row and tags. Raises MissingError."""
        found = self._store.get(benchmark_id) if _ID.fullmatch(benchmark_id) else None
        if found is None:
            raise MissingError(f"no benchmark {benchmark_id!r}")
        return found

    def page(self, wanted: Filter) -> Page:
        found = self._store.page(wanted)
        items = [self._shown(row, found.tags.get(row.id, [])) for row in found.rows]
        return Page(total=found.total, page=wanted.page, size=wanted.size, items=items)

    def detail(self, benchmark_id: str) -> Detail:
        """Without results. Raises MissingError."""
        row, tags = self.found(benchmark_id)
        known = self._shown(row, tags).model_dump()
        return Detail(**known, scenario=row.scenario, submission=row.submission, webhook=row.webhook)

    def line(self, benchmark_id: str) -> Benchmark | None:
        """As the list has it; None where it is gone."""
        found = self._store.get(benchmark_id, short=True)
        return None if found is None else self._shown(*found)

    def _shown(self, row: BenchmarkRow, tags: Sequence[str]) -> Benchmark:
        return Benchmark(
            id=row.id,
            name=row.name,
            state=State(row.state),
            origin="api" if row.origin == "api" else "cli",
            model=row.model,
            provider=row.provider,
            target=row.target,
            tags=list(tags),
            created=instant(row.created_ms),
            started=instant(row.started_ms),
            ended=instant(row.ended_ms),
            position=self._store.before(row) if row.state == State.QUEUED else None,
            verdict=row.verdict,  # type: ignore[arg-type]  # the column holds VALID, INVALID or NULL
            reasons=row.reasons,
            error=row.error,
            exit_code=row.exit_code,
            summary=Figures(**{name: getattr(row, name) for name in FIGURES}),
        )


def instant(ms: int | None) -> Any:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)
