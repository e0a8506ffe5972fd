"""A sealed run on its way into a store: its record, and its rows batch by batch, never all of them in memory."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from console.stores import tables
from console.stores.tables import ALWAYS, ORGANISATION, Table
from generator.errors import QueryError, RunFolderError
from generator.run_dir import RunDir

BATCH_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Export:
    """One run, one organisation, the tables that are to go. ``export_id`` is of this attempt, whatever comes of it.

    ``unjudged``: why there is no report; the verdict is then that of the folder's manifest.
    """

    run: RunDir
    manifest: Mapping[str, Any]
    report: Mapping[str, Any] | None
    organisation: str = ORGANISATION
    tags: Mapping[str, str] = field(default_factory=dict)
    table_names: Sequence[str] = ALWAYS
    replace: bool = False
    unjudged: str | None = None
    export_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def run_id(self) -> str:
        return self.run.run_id

    @property
    def fingerprint(self) -> str:
        """SHA-256 over what no two runs share: when and where it began, from which seed and scenario."""
        parts = [self.manifest.get(k) for k in ("run_id", "created", "seed", "scenario_digest", "clock")]
        host = (self.manifest.get("host") or {}).get("hostname")
        return hashlib.sha256(orjson.dumps([*parts, host], option=orjson.OPT_SORT_KEYS)).hexdigest()

    def tables(self) -> list[Table]:
        """Those that go, in the contract's order; an optional one only where the run has it."""
        wanted = [t for name, t in tables.tables().items() if name in self.table_names]
        return [t for t in wanted if self.run.table_path(t.name).exists()]

    def batches(self, table: Table) -> Iterator[pa.RecordBatch]:
        """The table's rows in the run folder's order, each batch with ``table.schema``. Raises RunFolderError where the file is damaged."""
        path = self.run.table_path(table.name)
        try:
            with pq.ParquetFile(path) as file:
                there = set(file.schema_arrow.names)
                columns = [name for name in table.names if name in there]
                for batch in file.iter_batches(BATCH_ROWS, columns=columns):
                    yield self._conformed(batch, table)
        except (pa.ArrowException, OSError) as e:
            raise RunFolderError(f"{path}: cannot be read: {str(e).strip()}; nothing was exported") from e

    def _conformed(self, batch: pa.RecordBatch, table: Table) -> pa.RecordBatch:
        """The contract's columns, whichever version wrote the file: what it lacks is NULL."""
        there = set(batch.schema.names)
        arrays = []
        for column in table.columns:
            if column.name == "organisation":
                arrays.append(pa.repeat(pa.scalar(self.organisation, column.type), batch.num_rows))
            elif column.name in there:
                arrays.append(batch.column(column.name).cast(column.type))
            else:
                arrays.append(pa.nulls(batch.num_rows, column.type))
        return pa.RecordBatch.from_arrays(arrays, schema=table.schema)

    def record(self, rows: Mapping[str, int]) -> dict[str, Any]:
        """The run's row of ``runs``, by RUNS' names; ``rows`` are those that were written. JSON columns hold values, not text."""
        manifest = self.manifest
        return {
            "organisation": self.organisation,
            "run_id": self.run_id,
            "name": manifest.get("name"),
            "created": _instant(manifest.get("created")),
            "verdict": manifest.get("verdict"),
            "reasons": manifest.get("reasons"),
            "interrupted": bool(manifest.get("interrupted")),
            "tags": dict(self.tags),
            "rows": dict(rows),
            "openloop_version": manifest.get("openloop_version"),
            "exported": datetime.now(UTC),
            "export_id": self.export_id,
            "fingerprint": self.fingerprint,
            "manifest": dict(manifest),
            "report": None if self.report is None else dict(self.report),
        }


def _instant(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def of(run: RunDir, organisation: str, tags: Mapping[str, str], table_names: Sequence[str], *, replace: bool) -> Export:
    """``run``, judged anew where that can be, as it is to be exported. Raises RunFolderError where it is not sealed, or damaged."""
    if not run.sealed or any(run.segments.glob("*.parquet")):
        raise RunFolderError(
            f"run {run.run_id}: not sealed: it is still going on, or broke off; `openloop seal {run.path}` finishes the latter"
        )
    from console import judged  # late: duckdb's memory is not wanted while a load runs that is to be exported

    manifest, report, unjudged = run.read_manifest(), None, None
    try:
        with judged.judged(run) as j:
            # As JSON reads them: a store takes plain values only.
            manifest, report = (orjson.loads(orjson.dumps(value)) for value in (j.manifest, j.report))
    except QueryError as e:
        # Facts that are too many for a report are worth keeping all the same.
        unjudged = str(e).strip().partition("\n")[0]
    if manifest.get("run_id", run.run_id) != run.run_id:
        raise RunFolderError(
            f"{run.path}: the folder was renamed, its rows are of run {manifest['run_id']!r}; give it that name again"
        )
    return Export(run, manifest, report, organisation, tags, table_names, replace, unjudged)
