"""Runs in an SQL database. What PostgreSQL and SQLite do alike is here; where they differ, a ``Driver`` says how.

The layout is made or extended first, in a short transaction of its own: empty tables harm nobody, and readers are not locked out while
rows go in. Then one transaction takes the old copy away, puts the rows in, and the run's record last.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import CreateColumn

from console.stores import store, tables
from console.stores.address import Address
from console.stores.source import Export
from console.stores.store import Found
from console.stores.tables import RUNS, Column, Table
from generator.errors import StoreError

_TYPES: dict[pa.DataType, sa.types.TypeEngine[Any]] = {
    pa.string(): sa.Text(),
    pa.int64(): sa.BigInteger(),
    pa.int32(): sa.Integer(),
    pa.int16(): sa.SmallInteger(),
    pa.float64(): sa.Double(),
    pa.bool_(): sa.Boolean(),
    # SQLite has no instants: ISO 8601 in UTC sorts as they do.
    pa.timestamp("us", tz="UTC"): sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite"),
}
_JSON = sa.Text().with_variant(JSONB(), "postgresql")

_NEWEST_FIRST = ("created", "run_id")


@dataclass(frozen=True, slots=True)
class Driver:
    """How one database differs.

    ``make``: bring an empty database into being where that takes no rights of an administrator. ``lock``: wait until nobody else works under this word, until the transaction ends. ``load``: batches into a table, fast; the rows.
    ``select``: one SELECT on a connection that cannot write. ``instant``: a UTC datetime as a value of the driver.
    """

    schema: str | None
    make: Callable[[], None]
    lock: Callable[[sa.Connection, str], None]
    load: Callable[[sa.Connection, sa.Table, Iterable[pa.RecordBatch]], int]
    select: Callable[[sa.Engine, str], Found]
    instant: Callable[[Any], Any]


class RelationalStore:
    """Implements ``store.Store``."""

    def __init__(self, address: Address, engine: sa.Engine, driver: Driver) -> None:
        self._address = address
        self._engine = engine
        self._driver = driver
        self._metadata = sa.MetaData(schema=driver.schema)
        self._runs = _table(RUNS, self._metadata)
        self._rows = {name: _table(table, self._metadata) for name, table in tables.tables().items()}
        self._layout = sa.Table(
            "openloop_store",
            self._metadata,
            sa.Column("version", sa.Integer, nullable=False),
            comment="the layout of these tables, by openloop",
        )

    def close(self) -> None:
        self._engine.dispose()

    def reach(self) -> None:
        self._driver.make()
        with self._errors(), self._engine.connect() as connection:
            self._there(connection)

    def write(self, export: Export) -> dict[str, int]:
        self._driver.make()
        with self._errors(), self._engine.begin() as connection:
            self._driver.lock(connection, "layout")
            self._prepare(connection)
        with self._errors(), self._engine.begin() as connection:
            self._driver.lock(connection, f"{export.organisation}/{export.run_id}")
            self._clear(connection, export)
            rows = {}
            for table in export.tables():
                rows[table.name] = self._driver.load(connection, self._rows[table.name], _plain(export, table))
            connection.execute(self._runs.insert(), [self._record(export.record(rows))])
        return rows

    def runs(self, organisation: str | None, run_id: str | None) -> list[dict[str, Any]]:
        names = store.LISTED if run_id is None else RUNS.names
        query = sa.select(*(self._runs.c[name] for name in names))
        if organisation is not None:
            query = query.where(self._runs.c.organisation == organisation)
        if run_id == "latest":
            query = query.limit(1)
        elif run_id is not None:
            query = query.where(self._runs.c.run_id == run_id)
        query = query.order_by(*(self._runs.c[name].desc().nulls_last() for name in _NEWEST_FIRST))
        with self._errors(), self._engine.connect() as connection:
            if not self._there(connection):
                return []
            found = [dict(zip(names, row, strict=True)) for row in connection.execute(query)]
        return [{name: _value(name, value) for name, value in row.items()} for row in found]

    def query(self, text: str, table: str | None) -> Found:
        if table is not None:
            raise StoreError(f"--table goes with a filter of MongoDB; a SELECT names its tables itself: FROM {table}")
        with self._errors():
            with self._engine.connect() as connection:
                if not self._there(connection):
                    raise StoreError(f"store {self._address.shown}: it holds no runs yet")
            found = self._driver.select(self._engine, text)
        return Found(found.columns, self._guarded(found.rows))

    def _guarded(self, rows: Iterator[tuple[Any, ...]]) -> Generator[tuple[Any, ...], None, None]:
        with self._errors():
            yield from rows

    def _there(self, connection: sa.Connection) -> bool:
        """Whether a layout of ours is there. Raises StoreError for a newer one, and for tables of somebody else."""
        inspector = sa.inspect(connection)
        names = set(inspector.get_table_names(schema=self._driver.schema))
        if self._layout.name not in names:
            if taken := sorted(names & {RUNS.name, *self._rows}):
                raise store.foreign(self._address, f"its table {taken[0]}")
            return False
        version = connection.execute(sa.select(self._layout.c.version)).scalar()
        if version is not None and version > tables.VERSION:
            raise store.newer(self._address, version)
        return version is not None

    def _prepare(self, connection: sa.Connection) -> None:
        """Make the tables, or give those of an older openloop the columns that came since."""
        if self._driver.schema is not None and not sa.inspect(connection).has_schema(self._driver.schema):
            connection.execute(sa.schema.CreateSchema(self._driver.schema))
        if not self._there(connection):
            self._metadata.create_all(connection)
            connection.execute(self._layout.insert(), [{"version": tables.VERSION}])
            return
        self._metadata.create_all(connection)
        inspector = sa.inspect(connection)
        for table in (self._runs, *self._rows.values()):
            there = {column["name"] for column in inspector.get_columns(table.name, schema=table.schema)}
            for column in table.columns:
                if column.name not in there:
                    self._add(connection, table, column)

    def _add(self, connection: sa.Connection, table: sa.Table, column: sa.Column[Any]) -> None:
        # Runs that were exported before have no value for it, so it may be NULL whatever a new table would say.
        column.nullable = True
        name = connection.dialect.identifier_preparer.format_table(table)
        words = CreateColumn(column).compile(dialect=connection.dialect)
        connection.exec_driver_sql(f"ALTER TABLE {name} ADD COLUMN {words}")
        if connection.dialect.supports_comments and not connection.dialect.inline_comments:
            connection.execute(sa.schema.SetColumnComment(column))

    def _clear(self, connection: sa.Connection, export: Export) -> None:
        """Take the old copy of this run away; refuse where it is another run's."""
        there = self._runs.c
        mine = (there.organisation == export.organisation) & (there.run_id == export.run_id)
        before = connection.execute(sa.select(there.fingerprint, there.created).where(mine)).first()
        if before is None:
            return
        if before.fingerprint != export.fingerprint and not export.replace:
            raise store.other_run(self._address, export, before.created)
        for table in (*self._rows.values(), self._runs):
            own = (table.c.organisation == export.organisation) & (table.c.run_id == export.run_id)
            connection.execute(table.delete().where(own))

    def _record(self, record: dict[str, Any]) -> dict[str, Any]:
        row = {}
        for column in RUNS.columns:
            value = record[column.name]
            if column.json and value is not None:
                # PostgreSQL's texts cannot hold U+0000, and JSON has it as an escape.
                value = json.loads(json.dumps(value).replace("\\u0000", "\\ufffd"))
                value = value if self._engine.dialect.name == "postgresql" else json.dumps(value)
            elif isinstance(value, str):
                value = value.replace("\0", "\ufffd")
            elif pa.types.is_timestamp(column.type) and value is not None:
                value = self._driver.instant(value)
            row[column.name] = value
        return row

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """The database's errors as ours: its own words, without statements, values and secrets."""
        try:
            yield
        except sa.exc.SQLAlchemyError as e:
            reason = e.orig if isinstance(e, sa.exc.DBAPIError) and e.orig is not None else e
            raise self._told(reason) from None
        except self._engine.dialect.loaded_dbapi.Error as e:
            raise self._told(e) from None

    def _told(self, reason: BaseException) -> StoreError:
        words = "; ".join(line.strip() for line in str(reason).strip().splitlines() if line.strip())
        return StoreError(f"store {self._address.shown}: {self._address.redacted(words)}")


def _table(table: Table, metadata: sa.MetaData) -> sa.Table:
    columns = [
        sa.Column(
            c.name,
            _type(c),
            nullable=not c.required,
            primary_key=table.unique and c.name in table.key,
            comment=c.meaning or None,
            autoincrement=False,
        )
        for c in table.columns
    ]
    indexes = [] if table.unique else [sa.Index(f"{table.name}_of_run", *table.key)]
    return sa.Table(table.name, metadata, *columns, *indexes)


def _type(column: Column) -> sa.types.TypeEngine[Any]:
    if column.json or pa.types.is_list(column.type):
        return _JSON
    return _TYPES[column.type]


def _plain(export: Export, table: Table) -> Iterator[pa.RecordBatch]:
    """Batches whose lists became JSON text: the two databases have no common type for them."""
    for batch in export.batches(table):
        arrays = [
            pa.array([None if v is None else json.dumps(v) for v in a.to_pylist()]) if pa.types.is_list(a.type) else a
            for a in batch.columns
        ]
        yield pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def _value(name: str, value: Any) -> Any:
    """A value of ``runs`` as the driver gives it → as the contract of Store.runs says."""
    column = next(c for c in RUNS.columns if c.name == name)
    return json.loads(value) if column.json and isinstance(value, str) else value
