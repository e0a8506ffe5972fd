"""Runs as Parquet in a folder or an S3 bucket, and one JSON object a run that makes them count.

    <prefix>/openloop_store.json                                    the layout's version
    <prefix>/openloop_store.lock                                    in a folder alone: held while a record is put
    <prefix>/runs/<organisation>/<run_id>.json                      the run's record: which export counts
    <prefix>/<table>/<organisation>/<run_id>/<export_id>.parquet    its rows

An object is there whole or not at all, and every export writes new ones. The record is written last: before that, the rows belong to
nobody. What an export found there when it began (an old copy, or what a killed export left) it removes when its record is written.
What looks killed may be an export that is about to put its record, so in a folder one at a time looks, puts and removes. S3 has no lock:
there who removes spares what counts by then, and who put a record sees that its rows are still there.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import orjson
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

from console.stores import store, tables
from console.stores.address import Address
from console.stores.source import Export
from console.stores.store import Found
from console.stores.tables import RUNS, Table
from generator.errors import StoreError
from generator.run_dir import write_whole

_CONNECT_S, _REQUEST_S = 10.0, 60.0
_S3_OPTIONS = ("endpoint_override", "region")
_LAYOUT = "openloop_store.json"
_LOCK = "openloop_store.lock"
_ROW_GROUP_ROWS = 120_000
_INSTANTS = orjson.OPT_UTC_Z


def open_store(address: Address) -> ParquetStore:
    """Raises StoreError for a malformed URL. A bucket is looked for when first used; the prefix need not exist."""
    parts = address.parts
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost") or not address.path.startswith("/"):
            raise StoreError(f"store {address.shown}: three slashes and an absolute path, such as file:///var/runs")
        return ParquetStore(address, pa.fs.LocalFileSystem(), address.path.rstrip("/") or "/")
    if parts.username or parts.password:
        raise StoreError(
            f"store {address.shown}: credentials come from the environment (AWS_ACCESS_KEY_ID), not the URL"
        )
    if not parts.netloc:
        raise StoreError(f"store {address.shown}: name the bucket, such as s3://bucket/prefix")
    if unknown := sorted(set(address.options) - set(_S3_OPTIONS)):
        raise StoreError(f"store {address.shown}: unknown option {unknown[0]}; there are: {', '.join(_S3_OPTIONS)}")
    endpoint = address.options.get("endpoint_override") or os.environ.get("AWS_ENDPOINT_URL") or ""
    where = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}") if endpoint else None
    try:
        files = pa.fs.S3FileSystem(
            region=address.options.get("region")
            or os.environ.get("AWS_REGION")
            or os.environ.get("AWS_DEFAULT_REGION"),
            connect_timeout=_CONNECT_S,
            request_timeout=_REQUEST_S,
            **({"endpoint_override": where.netloc, "scheme": where.scheme} if where else {}),
        )
    except (pa.ArrowException, OSError) as e:
        raise StoreError(f"store {address.shown}: {address.redacted(str(e))}") from None
    return ParquetStore(address, files, f"{parts.netloc}{address.path}".rstrip("/"))


class ParquetStore:
    """Implements ``store.Store``."""

    def __init__(self, address: Address, files: pa.fs.FileSystem, root: str) -> None:
        self._address = address
        self._files = files
        self._root = root
        self._local = isinstance(files, pa.fs.LocalFileSystem)

    def close(self) -> None:
        """Nothing is held open."""

    def reach(self) -> None:
        with self._errors():
            self._there()

    def write(self, export: Export) -> dict[str, int]:
        for name in (export.organisation, export.run_id):
            if PurePosixPath(name).name != name or name in (".", ".."):
                raise StoreError(f"store {self._address.shown}: {name!r} cannot be a folder's name")
        with self._errors():
            self._prepare()
            before = self._record(export)
            if before and before["fingerprint"] != export.fingerprint and not export.replace:
                raise store.other_run(self._address, export, before["created"])
            stale = [path for name in tables.tables() for path in self._listed(self._folder(export, name))]
            written: list[str] = []
            with ExitStack() as until_done:
                try:
                    rows = {table.name: self._copy(export, table, written) for table in export.tables()}
                    record = orjson.dumps(export.record(rows), option=_INSTANTS)
                    until_done.enter_context(self._alone())
                    self._uncontested(export, before)
                except BaseException:
                    self._remove(written)
                    raise
                # From here on the record may be there, whatever is heard of it: its files stay. Where it is not, the next export removes them.
                self._put(self._record_path(export.organisation, export.run_id), record)
                self._settle(export, written, stale)
        return rows

    def runs(self, organisation: str | None, run_id: str | None) -> list[dict[str, Any]]:
        folder = f"{self._root}/runs" + (f"/{organisation}" if organisation else "")
        with self._errors():
            self._there()
            paths = [p for p in self._listed(folder) if p.endswith(".json")]
            if run_id not in (None, "latest"):
                paths = [p for p in paths if PurePosixPath(p).stem == run_id]
            found = [record for p in paths if (record := self._json(p)) is not None]
        found.sort(key=lambda r: (r["created"] or "", r["run_id"]), reverse=True)
        names = store.LISTED if run_id is None else RUNS.names
        return [{n: r.get(n) for n in names} for r in (found[:1] if run_id == "latest" else found)]

    def query(self, text: str, table: str | None) -> Found:
        """One SELECT of DuckDB's over the tables, each as the sum of the exports that count."""
        from console.stores import parquet_query

        if table is not None:
            raise StoreError(f"--table goes with a filter of MongoDB; a SELECT names its tables itself: FROM {table}")
        with self._errors():
            records = [r for p in self._listed(f"{self._root}/runs") if p.endswith(".json") and (r := self._json(p))]
        paths = {
            name: [
                self._path(r["organisation"], r["run_id"], name, r["export_id"]) for r in records if name in r["rows"]
            ]
            for name in tables.tables()
        }
        return parquet_query.select(self._address, self._files, records, paths, text)

    def _prepare(self) -> None:
        if self._local:
            Path(self._root).mkdir(parents=True, exist_ok=True)
        if not self._there():
            self._put(f"{self._root}/{_LAYOUT}", orjson.dumps({"version": tables.VERSION}))

    def _there(self) -> bool:
        layout = self._json(f"{self._root}/{_LAYOUT}")
        if layout is not None and layout["version"] > tables.VERSION:
            raise store.newer(self._address, layout["version"])
        if layout is None:
            # A folder of runs is called runs, too: openloop's own, most likely.
            ours = self._files.get_file_info([f"{self._root}/{name}" for name in (RUNS.name, *tables.tables())])
            if taken := [info.path for info in ours if info.type != pa.fs.FileType.NotFound]:
                raise store.foreign(self._address, taken[0])
        return layout is not None

    def _copy(self, export: Export, table: Table, written: list[str]) -> int:
        """Stream the table into an object of its own; the rows. ``written`` gains its path before anything is written."""
        path = self._path(export.organisation, export.run_id, table.name, export.export_id)
        written.append(path)
        if self._local:
            self._files.create_dir(str(PurePosixPath(path).parent), recursive=True)
        rows = 0
        with (
            self._files.open_output_stream(path) as out,
            pq.ParquetWriter(out, table.schema, compression="zstd") as writer,
        ):
            waiting: list[pa.RecordBatch] = []
            for batch in export.batches(table):
                waiting.append(batch)
                rows += batch.num_rows
                if sum(b.num_rows for b in waiting) >= _ROW_GROUP_ROWS:
                    writer.write_table(pa.Table.from_batches(waiting))
                    waiting = []
            if waiting:
                writer.write_table(pa.Table.from_batches(waiting))
        if self._local:
            self._sync(export, path)
        return rows

    def _sync(self, export: Export, path: str) -> None:
        try:
            with Path(path).open("rb") as file:
                os.fsync(file.fileno())
        except FileNotFoundError:
            # To an export that began later this one looked like what a killed one left.
            raise store.overtaken(self._address, export) from None

    def _uncontested(self, export: Export, before: dict[str, Any] | None) -> None:
        """Raises StoreError where another export of this run was quicker; where nothing is locked, one within the same moment is not seen."""
        now = self._record(export)
        if (now and now["export_id"]) != (before and before["export_id"]):
            raise store.overtaken(self._address, export)

    def _settle(self, export: Export, written: Sequence[str], stale: Sequence[str]) -> None:
        """Remove ``stale``, but for what counts by now. Raises StoreError where this export's own rows have been taken for such."""
        counts = self._record(export)
        counting = counts["export_id"] if counts else None
        gone = [info for info in self._files.get_file_info(list(written)) if info.type == pa.fs.FileType.NotFound]
        if counting == export.export_id and gone:
            # A record without its rows would break every query of the store.
            self._remove([self._record_path(export.organisation, export.run_id)])
            raise StoreError(
                f"store {self._address.shown}: another export of run {export.run_id!r} ended in the same moment and took these rows for "
                "what a killed one left; export again"
            )
        self._remove([path for path in stale if PurePosixPath(path).stem != counting])

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other export to this folder puts a record or removes anything while it lasts."""
        if not self._local:
            yield
            return
        with (Path(self._root) / _LOCK).open("ab") as file:
            with suppress(OSError):  # a file system without locks is held to what S3 is
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _record(self, export: Export) -> dict[str, Any] | None:
        return self._json(self._record_path(export.organisation, export.run_id))

    def _record_path(self, organisation: str, run_id: str) -> str:
        return f"{self._root}/runs/{organisation}/{run_id}.json"

    def _folder(self, export: Export, table: str) -> str:
        return f"{self._root}/{table}/{export.organisation}/{export.run_id}"

    def _path(self, organisation: str, run_id: str, table: str, export_id: str) -> str:
        return f"{self._root}/{table}/{organisation}/{run_id}/{export_id}.parquet"

    def _listed(self, folder: str) -> list[str]:
        selector = pa.fs.FileSelector(folder, recursive=True, allow_not_found=True)
        return [info.path for info in self._files.get_file_info(selector) if info.type == pa.fs.FileType.File]

    def _json(self, path: str) -> dict[str, Any] | None:
        if self._files.get_file_info(path).type == pa.fs.FileType.NotFound:
            return None
        with self._files.open_input_stream(path) as file:
            found = orjson.loads(file.read())
        if not isinstance(found, dict):
            raise StoreError(f"store {self._address.shown}: {path}: damaged: a JSON object is wanted")
        return found

    def _put(self, path: str, data: bytes) -> None:
        """At once or not at all: an upload to S3 is, and a file is renamed into place."""
        if self._local:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            write_whole(Path(path), data)
            return
        with self._files.open_output_stream(path) as out:
            out.write(data)

    def _remove(self, paths: Sequence[str]) -> None:
        for path in paths:
            try:
                self._files.delete_file(path)
            except (pa.ArrowException, OSError):
                # Nobody reads it, and the next export of the run removes it.
                continue

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError, orjson.JSONDecodeError) as e:
            words = " ".join(str(e).split())
            raise StoreError(f"store {self._address.shown}: {self._address.redacted(words)}") from None
