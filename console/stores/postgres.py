"""Runs in PostgreSQL: tables in a schema of their own, rows by COPY, one transaction a run."""

from __future__ import annotations

import io
from collections.abc import Generator, Iterable
from datetime import datetime
from typing import Any, cast

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import sqlalchemy as sa
from psycopg import sql

from console.stores.address import Address
from console.stores.relational import Driver, RelationalStore
from console.stores.store import Found
from generator.errors import StoreError

SCHEMA = "openloop"
"""Unless the URL says ``?schema=NAME``: our table names are words that other programs use, too."""

_TIMES = {"connect_timeout": "10", "tcp_user_timeout": "30000", "keepalives_idle": "10"}
"""libpq's, unless the URL has its own: a server that went away is noticed (s, ms, s)."""

_FETCH_ROWS = 2_000


def open_store(address: Address) -> RelationalStore:
    """Raises StoreError where the URL does not name a server. Connects when first used."""
    try:
        url = sa.make_url(address.url).set(drivername="postgresql+psycopg")
    except (sa.exc.ArgumentError, ValueError) as e:
        raise StoreError(f"store {address.shown}: {address.redacted(str(e))}") from None
    options = {k: v if isinstance(v, str) else v[-1] for k, v in url.query.items()}
    schema = options.pop("schema", SCHEMA)
    engine = sa.create_engine(
        url.set(query=_TIMES | {"application_name": "openloop"} | options), poolclass=sa.pool.NullPool
    )

    def select(engine: sa.Engine, text: str) -> Found:
        return _select(engine, schema, text)

    return RelationalStore(address, engine, Driver(schema, lambda: None, _lock, _load, select, _instant))


def _lock(connection: sa.Connection, word: str) -> None:
    connection.execute(
        sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:word, 0))"), {"word": f"openloop:{word}"}
    )


def _load(connection: sa.Connection, table: sa.Table, batches: Iterable[pa.RecordBatch]) -> int:
    """COPY of CSV that Arrow writes: NULL is an empty field, an empty text is quoted; floats in the digits that give them back."""
    columns = sql.SQL(", ").join(sql.Identifier(c.name) for c in table.columns)
    place = sql.Identifier(*filter(None, (table.schema, table.name)))
    command = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, ENCODING 'UTF8')").format(place, columns)
    rows = 0
    with _driver_connection(connection).cursor() as cursor, cursor.copy(command) as copy:
        for batch in batches:
            buffer = io.BytesIO()
            pa.csv.write_csv(_storable(batch), buffer, pa.csv.WriteOptions(include_header=False))
            copy.write(buffer.getvalue())
            rows += batch.num_rows
    return rows


def _storable(batch: pa.RecordBatch) -> pa.RecordBatch:
    """PostgreSQL's texts cannot hold U+0000, which an answer or an error message may: U+FFFD stands there instead."""
    arrays = [pc.replace_substring(a, "\0", "\ufffd") if pa.types.is_string(a.type) else a for a in batch.columns]
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def _instant(value: datetime) -> datetime:
    return value


def _driver_connection(connection: sa.Connection) -> psycopg.Connection[Any]:
    return cast("psycopg.Connection[Any]", connection.connection.driver_connection)


def _select(engine: sa.Engine, schema: str, text: str) -> Found:
    """One statement in a read-only transaction, through a cursor of the server's: rows come as they are asked for."""
    pooled = engine.raw_connection()
    try:
        connection = cast("psycopg.Connection[Any]", pooled.driver_connection)
        connection.read_only = True
        connection.execute("SELECT set_config('search_path', %s, true)", (f'"{schema}", public',))
        cursor = connection.cursor("openloop")
        cursor.itersize = _FETCH_ROWS
        # With parameters, if none: a text with them is one statement to the server, never several.
        cursor.execute(cast("Any", text.rstrip().rstrip(";").replace("%", "%%")), ())
    except psycopg.errors.SyntaxError as e:
        pooled.close()
        raise StoreError(f"one SELECT is wanted: {str(e).strip()}") from None
    except BaseException:
        pooled.close()
        raise
    columns = [c.name for c in cursor.description or ()]

    def rows() -> Generator[tuple[Any, ...], None, None]:
        try:
            yield from cursor
        finally:
            pooled.close()

    return Found(columns, rows())
