"""Run a query of the catalog by name, or one SELECT that somebody typed, against an open database."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from analysis import database
from analysis.database import prepare
from analysis.relations import Column, Parameter, Query, find, literal, load, parameters
from generator.errors import OpenloopError, QueryError
from generator.schema import OPTIONAL_TABLES, TABLES

__all__ = ["Column", "Parameter", "Query", "Result", "arrow", "find", "load", "parameters", "prepare", "query", "run"]

_MISSING = re.compile(r"Table with name (\w+)")
_TABLES = (*TABLES, *OPTIONAL_TABLES, "runs")
_WHAT_THERE_IS = f"there are: {', '.join(_TABLES)}, and the queries of `openloop sql`"


@dataclass(frozen=True, slots=True)
class Result:
    """Rows in the order of ``columns``."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]

    def dicts(self) -> list[dict[str, Any]]:
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def one(self) -> dict[str, Any]:
        """The only row, of a relation that has exactly one."""
        (row,) = self.dicts()
        return row


def run(con: duckdb.DuckDBPyConnection, name: str, /, **params: Any) -> Result:
    """The rows of a named query, sorted by its grain. A parameter left out has its default.

    Raises QueryError on a name or parameter that does not exist, RunFolderError where a file turns out damaged.
    """
    found = find(name)
    known = {p.name: p for p in parameters(name)}
    values = {p.name: p.default for p in known.values()}
    for key, value in params.items():
        if key not in values:
            raise QueryError(f"{name} has no parameter {key!r}; it has: {', '.join(values) or 'none'}")
        values[key] = literal(known[key], value)
    for parameter in known.values():
        con.execute(f"SET VARIABLE {parameter.name} = {values[parameter.name]}::{parameter.type}")
    return _rows(con, f"FROM {name}" + (f" ORDER BY {', '.join(found.grain)}" if found.grain else ""), [name])


def query(con: duckdb.DuckDBPyConnection, text: str) -> Result:
    """The rows of exactly one SELECT. Raises QueryError with DuckDB's words and the nearest name that exists."""
    return _rows(con, *_one_select(con, text))


def arrow(con: duckdb.DuckDBPyConnection, text: str) -> pa.RecordBatchReader:
    """As ``query``, but as Arrow batches as they are asked for: for results that are larger than memory."""
    select, names = _one_select(con, text)
    try:
        prepare(con, names)
        return con.sql(select).to_arrow_reader()
    except duckdb.Error as e:
        raise _explained(con, e) from e


def _one_select(con: duckdb.DuckDBPyConnection, text: str) -> tuple[str, list[str]]:
    try:
        statements = con.extract_statements(text)
    except duckdb.Error as e:
        raise _explained(con, e) from e
    if len(statements) != 1:
        raise QueryError(f"one SELECT is wanted, this is {len(statements)} statements; run them one at a time")
    if statements[0].type != duckdb.StatementType.SELECT:
        kind = str(statements[0].type).rpartition(".")[2]
        raise QueryError(f"one SELECT is wanted, this is {kind}: runs are read, never changed")
    words = set(re.findall(r"[a-z_][a-z0-9_]*", text.lower()))
    return statements[0].query, [name for name in load() if name in words]


def _rows(con: duckdb.DuckDBPyConnection, select: str, names: list[str]) -> Result:
    try:
        prepare(con, names)
        cursor = con.execute(select)
        return Result(tuple(str(d[0]) for d in cursor.description or ()), cursor.fetchall())
    except duckdb.Error as e:
        raise _explained(con, e) from e


def _explained(con: duckdb.DuckDBPyConnection, error: duckdb.Error) -> OpenloopError:
    """DuckDB's error as ours: a damaged file, else the query's fault with a hint."""
    if found := database.damaged(error, con):
        return found
    text = str(error).strip()
    if isinstance(error, duckdb.PermissionException):
        return QueryError(f"{database.first_line(error)}: a query reads the run's own tables, no other files")
    if not isinstance(error, duckdb.CatalogException):
        return QueryError(text)
    missing = _MISSING.search(text)
    names = [*_TABLES, *load()]
    near = difflib.get_close_matches(missing[1], names, n=3, cutoff=0.5) if missing else []
    hint = f"nearest: {', '.join(near)}" if near else _WHAT_THERE_IS
    return QueryError(f"{text}\n{hint}")
