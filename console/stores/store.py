"""What every store can do, and how one is opened from its URL."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from console.stores.address import Address
from console.stores.source import Export
from generator.errors import StoreError

LISTED = ("organisation", "run_id", "created", "name", "verdict", "tags", "rows", "exported")
"""Columns of a listing; the others of RUNS are for who asks for one run."""

_EXTRAS = {"sqlalchemy": "stores", "psycopg": "stores", "pymongo": "stores", "bson": "stores"}
"""Package that may be missing → the extra that brings it."""


@dataclass(frozen=True, slots=True)
class Found:
    """Rows of a query in the order of ``columns``, fetched as they are asked for."""

    columns: Sequence[str]
    rows: Generator[tuple[Any, ...], None, None]


class Store(Protocol):
    """A place for runs. Whatever fails raises StoreError without secrets; what was there before then still is."""

    def reach(self) -> None:
        """Connect, and see that what is there is ours: so that a run is judged, which takes its time, only for a store that answers."""

    def write(self, export: Export) -> dict[str, int]:
        """Put this copy in place of any other of the run, at once or not at all; rows by table.

        Raises StoreError where another run of this id is there, unless ``export.replace``.
        """

    def runs(self, organisation: str | None, run_id: str | None) -> list[dict[str, Any]]:
        """Records by RUNS' names, the newest run first, JSON as values; a listing (``run_id`` None) has LISTED alone."""

    def query(self, text: str, table: str | None) -> Found:
        """What the store's own language answers, reading only; ``table``: what a filter is over, where it is one."""

    def close(self) -> None: ...


@contextmanager
def opened(address: Address) -> Iterator[Store]:
    """Raises StoreError where the store cannot be reached, is another program's, or a package is missing."""
    with contextlib.closing(_open(address)) as store:
        yield store


def available(address: Address) -> None:
    """Raise StoreError now where the packages for this kind of store are missing."""
    _module(address)


def _open(address: Address) -> Store:
    module = _module(address)
    store: Store = module.open_store(address)
    return store


def _module(address: Address) -> Any:
    try:
        match address.kind:
            case "postgresql":
                from console.stores import postgres

                return postgres
            case "sqlite":
                from console.stores import sqlite

                return sqlite
            case "mongodb":
                from console.stores import mongo

                return mongo
            case _:
                from console.stores import parquet

                return parquet
    except ImportError as e:
        package = (e.name or "").partition(".")[0]
        if package not in _EXTRAS:
            raise
        raise StoreError(
            f"store {address.shown}: the package {package} is missing; pip install 'openloop[{_EXTRAS[package]}]'"
        ) from None


def other_run(address: Address, export: Export, created: Any) -> StoreError:
    """Two runs of one id are two runs: neither may silently take the other's place."""
    return StoreError(
        f"store {address.shown}: run {export.run_id!r} of organisation {export.organisation!r} is there already, and it is another "
        f"run (begun {created}); give --organisation, or --replace to put this one in its place"
    )


def overtaken(address: Address, export: Export) -> StoreError:
    return StoreError(
        f"store {address.shown}: another export of run {export.run_id!r} ended while this one went on; that copy is kept, "
        "export again if it is not the one you want"
    )


def newer(address: Address, version: int) -> StoreError:
    return StoreError(
        f"store {address.shown}: its layout is version {version}, newer than this openloop knows; update openloop"
    )


def foreign(address: Address, what: str) -> StoreError:
    return StoreError(
        f"store {address.shown}: {what} belongs to another program; name a database, schema, folder or prefix of its own"
    )
