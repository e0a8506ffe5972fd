"""Runs in MongoDB: a collection a table, a document a row, and a document of ``runs`` that makes them count.

A server without a replica set has no transactions, so nothing here rests on them. Every copy has an ``export_id``, which its rows carry.
The copy that the document of ``runs`` names is the run; rows with any other id are what a broken export left, or an old copy on its way
out, and no reader that goes through ``runs`` sees them. The steps, in order:

1. note the attempt in ``exports``, with all that is to be removed after it: the attempts noted there and the copy that counts now;
2. insert the rows;
3. replace the document of ``runs``, on condition that it still names the copy of step 1: one atomic write, the commit;
4. delete the rows of what step 1 found, and the notes.

Two exports of one run at a time: whoever commits second finds the condition broken, takes its own rows away, and says so.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import bson
import pyarrow as pa
import pymongo
import pymongo.errors
from bson import Int64, json_util
from pymongo.collection import Collection
from pymongo.database import Database

from console.stores import store, tables
from console.stores.address import Address
from console.stores.source import Export
from console.stores.store import Found
from console.stores.tables import RUNS, Table
from generator.errors import StoreError

Document = dict[str, Any]

_TIMES = {"serverSelectionTimeoutMS": 10_000, "connectTimeoutMS": 10_000, "socketTimeoutMS": 120_000}
"""Unless the URL has its own."""

_INSERT_ROWS = 1_000
_DELETE_ROWS = 10_000
_LAYOUT = "openloop_store"
_NEWEST_FIRST = [("created", pymongo.DESCENDING), ("run_id", pymongo.DESCENDING)]


def open_store(address: Address) -> MongoStore:
    """Raises StoreError where the URL is malformed or names no database. Connects when first used."""
    given = {name.lower() for name in address.options}
    times: dict[str, Any] = {name: ms for name, ms in _TIMES.items() if name.lower() not in given}
    try:
        client: pymongo.MongoClient[Document] = pymongo.MongoClient(
            address.url, tz_aware=True, appname="openloop", **times
        )
        database = client.get_default_database()
    except pymongo.errors.ConfigurationError as e:
        why = "name a database, such as mongodb://host/openloop" if "default database" in str(e) else str(e)
        raise StoreError(f"store {address.shown}: {address.redacted(why)}") from None
    except (pymongo.errors.PyMongoError, ValueError) as e:
        raise StoreError(f"store {address.shown}: {address.redacted(str(e))}") from None
    return MongoStore(address, client, database)


class MongoStore:
    """Implements ``store.Store``."""

    def __init__(self, address: Address, client: pymongo.MongoClient[Document], database: Database[Document]) -> None:
        self._address = address
        self._client = client
        self._database = database
        self._runs: Collection[Document] = database["runs"]
        self._exports: Collection[Document] = database["exports"]

    def close(self) -> None:
        self._client.close()

    def reach(self) -> None:
        with self._errors():
            self._there()

    def write(self, export: Export) -> dict[str, int]:
        with self._errors():
            self._prepare()
            before = self._runs.find_one(_of(export), {"export_id": 1, "fingerprint": 1, "created": 1})
            if before and before["fingerprint"] != export.fingerprint and not export.replace:
                raise store.other_run(self._address, export, before["created"])
            notes = list(self._exports.find(_of(export), {"removes": 1}))
            stale = sorted({i for note in notes for i in (note["_id"], *note["removes"])})
            stale += [before["export_id"]] if before else []
            note = {"_id": export.export_id, "started": datetime.now(UTC), "removes": stale}
            self._exports.insert_one(_of(export) | note)
            try:
                rows = {table.name: self._insert(export, table) for table in export.tables()}
            except BaseException:
                self._take_back(export)
                raise
            try:
                self._commit(export, rows, before)
            except (StoreError, bson.errors.BSONError):
                # Refused, or never sent: a record of more than 16 MB is no document.
                self._take_back(export)
                raise
            # Where the connection broke instead, the commit may have been done: these rows may be the run's, and stay. The note has them.
            self._remove(export, stale)
            self._exports.delete_one({"_id": export.export_id})
        return rows

    def _prepare(self) -> None:
        if not self._there():
            layout = {"_id": "layout", "version": tables.VERSION}
            self._database[_LAYOUT].replace_one({"_id": "layout"}, layout, upsert=True)
        self._runs.create_index([("organisation", 1), ("run_id", 1)], unique=True, name="run")
        self._runs.create_index(_NEWEST_FIRST, name="newest")
        self._exports.create_index([("organisation", 1), ("run_id", 1)], name="run")
        for table in tables.tables().values():
            key = [name for name in table.key if name not in ("organisation", "run_id")]
            self._database[table.name].create_index([(name, 1) for name in ("run_id", "export_id", *key)], name="rows")

    def _there(self) -> bool:
        """Whether a layout of ours is there. Raises StoreError for a newer one, and for somebody else's collections."""
        layout = self._database[_LAYOUT].find_one({"_id": "layout"})
        if layout is None:
            # Not list_collection_names: that is a right of its own.
            for name in (RUNS.name, *tables.tables()):
                if self._database[name].find_one({}, {"_id": 1}) is not None:
                    raise store.foreign(self._address, f"its collection {name}")
            return False
        if layout["version"] > tables.VERSION:
            raise store.newer(self._address, layout["version"])
        return True

    def _insert(self, export: Export, table: Table) -> int:
        collection, rows = self._database[table.name], 0
        for batch in export.batches(table):
            for part in range(0, batch.num_rows, _INSERT_ROWS):
                documents = _documents(batch.slice(part, _INSERT_ROWS), export.export_id)
                collection.insert_many(documents, ordered=False)
                rows += len(documents)
        return rows

    def _commit(self, export: Export, rows: dict[str, int], before: Document | None) -> None:
        """Raises StoreError where another export of this run was quicker."""
        record = _typed(export.record(rows))
        if before is None:
            try:
                self._runs.insert_one(record)
            except pymongo.errors.DuplicateKeyError:
                raise store.overtaken(self._address, export) from None
            return
        done = self._runs.replace_one(_of(export) | {"export_id": before["export_id"]}, record)
        if done.matched_count != 1:
            raise store.overtaken(self._address, export)

    def _take_back(self, export: Export) -> None:
        # At the next export this would be done as well; a server that is gone cannot do it now.
        with contextlib.suppress(pymongo.errors.PyMongoError):
            self._remove(export, [export.export_id])

    def _remove(self, export: Export, export_ids: Sequence[str]) -> None:
        if not export_ids:
            return
        for name in tables.tables():
            collection = self._database[name]
            left = {"run_id": export.run_id, "export_id": {"$in": list(export_ids)}}
            # One command for all of a large run would take longer than a command may.
            while ids := [row["_id"] for row in collection.find(left, {"_id": 1}).limit(_DELETE_ROWS)]:
                collection.delete_many({"_id": {"$in": ids}})
        self._exports.delete_many({"_id": {"$in": list(export_ids)}})

    def runs(self, organisation: str | None, run_id: str | None) -> list[Document]:
        wanted: Document = {} if organisation is None else {"organisation": organisation}
        if run_id not in (None, "latest"):
            wanted["run_id"] = run_id
        names = store.LISTED if run_id is None else RUNS.names
        with self._errors():
            self._there()
            found = self._runs.find(wanted, dict.fromkeys(names, 1) | {"_id": 0}).sort(_NEWEST_FIRST)
            return [
                {name: run.get(name) for name in names} for run in (found.limit(1) if run_id == "latest" else found)
            ]

    def query(self, text: str, table: str | None) -> Found:
        """Documents of ``table`` (``runs`` unless said) that match the filter ``text``, extended JSON; committed ones alone."""
        try:
            wanted = json_util.loads(text)
        except (ValueError, TypeError, bson.errors.BSONError) as e:
            raise StoreError(f"--query {text}: not JSON: {e}; a filter is wanted, such as {_EXAMPLE}") from None
        if not isinstance(wanted, dict):
            raise StoreError(f"--query {text}: a JSON object is wanted, such as {_EXAMPLE}")
        name = table or RUNS.name
        columns = RUNS.names if name == RUNS.name else tables.tables()[name].names
        with self._errors():
            if name != RUNS.name:
                counting = [run["export_id"] for run in self._runs.find({}, {"export_id": 1})]
                wanted = {"$and": [wanted, {"export_id": {"$in": counting}}]}
            found = self._database[name].find(wanted, {"_id": 0})
            # The first is fetched now, so that a filter which the server refuses is an error before any output.
            first = next(found, None)
        documents = found if first is None else _chained(first, found)
        return Found(columns, self._guarded(tuple(d.get(c) for c in columns) for d in documents))

    def _guarded(self, rows: Iterable[tuple[Any, ...]]) -> Generator[tuple[Any, ...], None, None]:
        with self._errors():
            yield from rows

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except pymongo.errors.BulkWriteError as e:
            # Its text quotes whole documents.
            details = e.details or {}
            listed = details.get("writeErrors") or details.get("writeConcernErrors") or [{}]
            raise self._told(str(listed[0].get("errmsg", "the rows were refused"))) from None
        except pymongo.errors.PyMongoError as e:
            # The description of the whole topology that follows says nothing more.
            raise self._told(re.split(r", Timeout: |, full error: ", str(e), maxsplit=1)[0]) from None
        except (bson.errors.BSONError, OverflowError) as e:
            # What no document can hold: a record of more than 16 MB, a filter's integer of more than 64 bits. Neither is a PyMongoError.
            raise self._told(str(e)) from None

    def _told(self, words: str) -> StoreError:
        return StoreError(f"store {self._address.shown}: {self._address.redacted(words)}")


_EXAMPLE = '\'{"verdict": "VALID"}\''


def _of(export: Export) -> Document:
    return {"organisation": export.organisation, "run_id": export.run_id}


def _documents(batch: pa.RecordBatch, export_id: str) -> list[Document]:
    names = (*batch.schema.names, "export_id")
    columns = [_column(array) for array in batch.columns]
    return [dict(zip(names, (*row, export_id), strict=True)) for row in zip(*columns, strict=True)]


def _column(array: pa.Array) -> list[Any]:
    values: list[Any] = array.to_pylist()
    if pa.types.is_int64(array.type):
        # A plain int becomes 32 bits where it fits: a column would be of two types.
        return [None if v is None else Int64(v) for v in values]
    return values


def _typed(value: Any) -> Any:
    """JSON values as BSON takes them: integers of 64 bits at most, what is larger as a float."""
    if isinstance(value, dict):
        return {str(k): _typed(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_typed(v) for v in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return Int64(value) if -(2**63) <= value < 2**63 else float(value)
    return value


def _chained(first: Document, rest: Iterable[Document]) -> Iterator[Document]:
    yield first
    yield from rest
