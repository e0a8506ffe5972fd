"""Runs as one DuckDB database in memory: the contract's tables as views over Parquet, the catalog's relations as views over those.

Opening reads manifests and Parquet footers, never a row. Materialised relations are computed when a query that rests on them is
first run. The connection may read the runs' files and nothing else, and its settings are locked.
"""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from analysis import relations
from generator.errors import RunFolderError
from generator.names import USUAL_ATTAINMENT
from generator.run_dir import RunDir
from generator.schema import OPTIONAL_TABLES, TABLES

_TYPES = {
    pa.string(): "VARCHAR",
    pa.int64(): "BIGINT",
    pa.int32(): "INTEGER",
    pa.int16(): "SMALLINT",
    pa.float64(): "DOUBLE",
    pa.bool_(): "BOOLEAN",
}
_ALL_TABLES = TABLES | OPTIONAL_TABLES
_SORTED_BY = "run_id, request_id, chunk_index"
_SLO_TIMES = ("ttft_ms", "ttft_wire_ms", "ttfo_ms", "tpot_ms", "icl_ms", "e2e_ms", "ntpot_ms")
_SLO = (*_SLO_TIMES, "fluidity", "fluidity_first_ms", "fluidity_next_ms", "attainment")

_BASE_BYTES = 600_000_000
"""DuckDB's own limit; what Arrow, Python and its allocator add keeps a report over 10 million token rows below 1 GiB."""

_REQUESTS_WITHIN = 200_000
_REQUEST_BYTES = 1_000
"""What a request beyond so many adds to the limit: token rows pass through a query, but several relations hold a row a request at once."""


def open_runs(
    runs: Sequence[RunDir],
    memory_limit: str | None = None,
    threads: int | None = None,
    temp_directory: Path | None = None,
) -> duckdb.DuckDBPyConnection:
    """A connection with steps, requests, tokens, health and runs (one row a manifest), and with texts and server_metrics, empty where
    no run has them; the catalog's relations follow on demand.

    Where a run is not sealed its segments are read. Raises RunFolderError on a damaged file or manifest, or two runs of one id.
    """
    paths = {table: [p for run in runs for p in run.table_files(table)] for table in _ALL_TABLES}
    con = duckdb.connect(
        config={
            "memory_limit": memory_limit or _memory_for(paths["requests"]),
            "temp_directory": str(temp_directory or Path(tempfile.gettempdir()) / "openloop-duckdb"),
            **({"threads": threads} if threads else {}),
        }
    )
    try:
        _restrict(con, [str(p) for files in paths.values() for p in files])
        for table in _ALL_TABLES:
            con.execute(f"CREATE VIEW {table} AS {_table_sql(table, runs)}")
        _runs_table(con, runs)
        _macros(con)
    except BaseException:
        con.close()
        raise
    return con


def _memory_for(requests: Sequence[Path]) -> str:
    """DuckDB's limit by the number of requests, half of the machine's memory at most. A torn file counts nothing here; it is named later."""
    rows = 0
    for path in requests:
        with contextlib.suppress(pa.ArrowInvalid, OSError):
            rows += pq.read_metadata(path).num_rows
    wanted = _BASE_BYTES + _REQUEST_BYTES * max(0, rows - _REQUESTS_WITHIN)
    return f"{max(_BASE_BYTES, min(wanted, psutil.virtual_memory().total // 2)) // 1_000_000}MB"


def _restrict(con: duckdb.DuckDBPyConnection, paths: list[str]) -> None:
    # The order matters: files are allowed before the rest of the disk is closed, and the lock comes last.
    listed = ", ".join(_quoted(p) for p in paths)
    con.execute(f"SET allowed_paths = [{listed}]")
    con.execute("SET enable_external_access = false")
    con.execute("SET enable_progress_bar = false")
    con.execute("SET lock_configuration = true")


def _table_sql(table: str, runs: Sequence[RunDir]) -> str:
    """SELECT of the contract's columns over all files; columns that a file lacks are NULL, those that it adds are kept."""
    schema = _ALL_TABLES[table]
    typed = {f.name: _TYPES[f.type] for f in schema}
    nothing = ", ".join(f"NULL::{kind} AS {name}" for name, kind in typed.items())
    parts = []
    for sealed in (True, False):
        files = [p for run in runs if run.table_path(table).exists() is sealed for p in run.table_files(table)]
        if not files:
            continue
        there = _columns_of(files)
        columns = [f"{n}::{t} AS {n}" if n in there else f"NULL::{t} AS {n}" for n, t in typed.items()]
        columns += [_name(n) for n in there if n not in typed]
        listed = ", ".join(_quoted(str(p)) for p in files)
        # Segments hold chunks in the order of decoding; chunk_gaps relies on the order that sealing gives.
        order = f" ORDER BY {_SORTED_BY}" if table == "tokens" and not sealed else ""
        parts.append(f"(SELECT {', '.join(columns)} FROM read_parquet([{listed}], union_by_name = true){order})")
    return " UNION ALL BY NAME ".join(parts) if parts else f"SELECT {nothing} WHERE false"


def _columns_of(files: Iterable[Path]) -> list[str]:
    """Names of all columns, in order of appearance. Reads every footer, so that a torn file is found here and named."""
    names: dict[str, None] = {}
    for path in files:
        try:
            names |= dict.fromkeys(pq.read_schema(path).names)
        except (pa.ArrowInvalid, OSError) as e:
            raise RunFolderError(f"{path}: damaged, not Parquet: {first_line(e)}; {_remedy(path)}") from e
    return list(names)


def _remedy(path: Path) -> str:
    run = path.parent.parent if path.parent.name == "segments" else path.parent
    if path.parent.name == "segments":
        return f"move this one segment away and run `openloop seal {run}`: the others hold the rest of the run"
    if any((run / "segments").glob(f"{path.stem}-*.parquet")):
        return f"its segments are still there: remove it and run `openloop seal {run}`"
    return "restore it from a copy: its segments are gone"


_ASKERS_FAULT = (
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ParserException,
    duckdb.DataError,
    duckdb.PermissionException,
    duckdb.OutOfMemoryException,
)
"""DuckDB's errors that no damaged file gives."""


def damaged(error: duckdb.Error, con: duckdb.DuckDBPyConnection) -> RunFolderError | None:
    """The run folder's error behind one of DuckDB's, where a file of ours cannot be read to its end; else None.

    DuckDB does not always name the file, so each is read whole: slow, but nothing waits for it any more.
    """
    if isinstance(error, _ASKERS_FAULT):
        return None
    for (path,) in con.execute("SELECT unnest(current_setting('allowed_paths'))").fetchall():
        try:
            con.execute(f"SELECT max(COLUMNS(*)) FROM read_parquet({_quoted(path)})").fetchall()
        except duckdb.Error as e:
            return RunFolderError(f"{path}: damaged: {first_line(e)}; {_remedy(Path(path))}")
    return None


def first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0]


def _runs_table(con: duckdb.DuckDBPyConnection, runs: Sequence[RunDir]) -> None:
    rows = [_run_row(run) for run in runs]
    if twice := [name for name, n in Counter(r[0] for r in rows).items() if n > 1]:
        raise RunFolderError(
            f"run {twice[0]!r} is given twice, or is a copy: every join is by run_id, so each may come once"
        )
    slo = ", ".join(f"slo_{name} DOUBLE" for name in _SLO)
    con.execute(
        f"CREATE TABLE runs (run_id VARCHAR, name VARCHAR, created VARCHAR, verdict VARCHAR, workers INTEGER, {slo})"
    )
    if rows:
        con.executemany(f"INSERT INTO runs VALUES ({', '.join('?' * len(rows[0]))})", rows)


def _run_row(run: RunDir) -> list[Any]:
    # A coordinator that was killed early leaves no manifest; its rows are still worth reading.
    manifest = run.read_manifest() if run.manifest_path.exists() else {}
    slo = manifest.get("slo") or {}
    plan = manifest.get("plan") or {}
    known = [manifest.get("run_id", run.run_id), *(manifest.get(k) for k in ("name", "created", "verdict"))]
    return [*known, plan.get("workers"), *(slo.get(k) for k in _SLO)]


def _macros(con: duckdb.DuckDBPyConnection) -> None:
    con.execute(f"CREATE MACRO usual_attainment() AS {USUAL_ATTAINMENT}::DOUBLE")
    con.execute((relations.root() / "macros.sql").read_text(encoding="utf-8"))
    for query in relations.load().values():
        for parameter in query.parameters:
            con.execute(f"SET VARIABLE {parameter.name} = {parameter.default}::{parameter.type}")


def prepare(con: duckdb.DuckDBPyConnection, names: Iterable[str]) -> None:
    """Make these relations of the catalog and all that they rest on: views, and tables of what is materialised, once for the
    life of the connection. On demand, because DuckDB binds each view with all that lies below it.
    """
    there = {str(row[0]) for row in con.execute("SELECT table_name FROM information_schema.tables").fetchall()}
    for query in itertools.chain.from_iterable(relations.needs(name) for name in names):
        if query.name not in there:
            con.execute(f"CREATE {'TABLE' if query.materialise else 'VIEW'} {query.name} AS {query.sql}")
            there.add(query.name)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'
