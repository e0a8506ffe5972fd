"""One rule of the verdict, and what rules look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import duckdb

from analysis import catalog

Level = Literal["INVALID", "WARN", "WITHHELD"]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """``figure`` and ``limit`` are words with units; ``step_id`` None: the run as a whole. ``broken`` False: told all the same,
    so that a reader sees what was looked at.
    """

    name: str
    level: Level
    step_id: int | None
    figure: str
    limit: str
    advice: str
    broken: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """One run's facts. ``rows`` runs a named query and keeps the rows of this run alone."""

    con: duckdb.DuckDBPyConnection
    manifest: Mapping[str, Any]
    run_id: str
    _seen: dict[str, list[Row]] = field(default_factory=dict)

    def rows(self, query: str) -> list[Row]:
        if query not in self._seen:
            self._seen[query] = [r for r in catalog.run(self.con, query).dicts() if r["run_id"] == self.run_id]
        return self._seen[query]

    def count(self, query: str) -> int:
        """Rows of a named query for this run, counted without fetching them."""
        catalog.prepare(self.con, [query])
        (row,) = self.con.execute(f"SELECT count(*) FROM {query} WHERE run_id = ?", [self.run_id]).fetchall()
        return int(row[0])


def ms(value: float) -> str:
    return f"{value:.3g} ms" if value < 1000 else f"{value:,.0f} ms"


def percent(share: float) -> str:
    """Never rounded across a limit of whole per cents: 98.996 % stays below 99 %, and 14.3 % is not 14.29 %."""
    return f"{int(share * 10000 + 1e-9) / 100:.4g} %"
