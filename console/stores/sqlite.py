"""Runs in an SQLite file: one transaction a run, which SQLite takes back by itself where it broke off."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Generator, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import pyarrow as pa
import sqlalchemy as sa

from console.stores.address import Address
from console.stores.relational import Driver, RelationalStore
from console.stores.store import Found
from generator.errors import StoreError

_WAIT_S = 30.0
_READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
"""All that a SELECT asks leave for."""


def open_store(address: Address) -> RelationalStore:
    """Three slashes before a relative path, four before an absolute one. Opens the file when first used."""
    path = Path(address.path.removeprefix("/"))
    if address.parts.netloc or path == Path():
        raise StoreError(
            f"store {address.shown}: three slashes and a file, such as sqlite:///runs.db (four: from the root)"
        )

    def make() -> None:
        try:
            path.touch()
        except OSError as e:
            raise StoreError(f"store {address.shown}: cannot write: {e.strerror}") from None

    def connect() -> sqlite3.Connection:
        if not path.exists():
            raise StoreError(f"store {address.shown}: no such file; the first export makes it")
        # Writable for readers, too: what a killed export left is taken back by whoever opens the file next.
        connection = sqlite3.connect(
            f"file:{quote(str(path.absolute()))}?mode=rw", uri=True, isolation_level=None, timeout=_WAIT_S
        )
        connection.execute("PRAGMA cache_size = -65536")
        return connection

    engine = sa.create_engine("sqlite://", creator=connect, poolclass=sa.pool.NullPool)
    return RelationalStore(address, engine, Driver(None, make, _lock, _load, _select, _instant))


def _lock(connection: sa.Connection, word: str) -> None:  # noqa: ARG001 - a file has one writer, whatever it writes
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _load(connection: sa.Connection, table: sa.Table, batches: Iterable[pa.RecordBatch]) -> int:
    rows = 0
    # By name: a column that was added to an older file stands last there.
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    command = f"INSERT INTO {table.name} ({names}) VALUES ({', '.join('?' * len(table.columns))})"
    driver = cast("sqlite3.Connection", connection.connection.driver_connection)
    for batch in batches:
        driver.executemany(command, zip(*(column.to_pylist() for column in batch.columns), strict=True))
        rows += batch.num_rows
    return rows


def _instant(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _select(engine: sa.Engine, text: str) -> Found:
    pooled = engine.raw_connection()
    connection = cast("sqlite3.Connection", pooled.driver_connection)
    connection.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in _READING else sqlite3.SQLITE_DENY)
    try:
        cursor = connection.execute(text)
    except (sqlite3.DatabaseError, sqlite3.ProgrammingError, sqlite3.Warning) as e:
        pooled.close()
        if "not authorized" in str(e) or "one statement" in str(e):
            raise StoreError(f"one SELECT is wanted, and nothing that writes: {e}") from None
        raise
    columns = [str(c[0]) for c in cursor.description or ()]

    def rows() -> Generator[tuple[Any, ...], None, None]:
        with contextlib.closing(pooled):
            yield from cursor

    return Found(columns, rows())
