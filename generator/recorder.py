"""Columns to Parquet, away from the loop: the loop hands buffers over, a thread writes small complete segments.

A segment is written beside its name and renamed into place, so whatever is there can be read. A process that is killed loses
what it had not yet renamed: at most ``segment_s`` seconds. When the disk is full the thread keeps what it has, says so once,
and tries again with every later segment and at the end.
"""

from __future__ import annotations

import io
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from generator import clock
from generator.counters import INDEX
from generator.rows import FIELDS, TOKEN, UNKNOWN
from generator.run_dir import RunDir
from generator.schema import HEALTH, KINDS, REQUESTS, TOKENS

HAND_OVER_BYTES = 1 << 20
"""Token rows that the loop gathers before it copies them out: a tenth of a millisecond."""

DTYPE = np.dtype(list(FIELDS))
_KINDS = pa.array(KINDS)
_STOP = object()

Row = tuple[Any, ...]


def token_table(run_id: str, data: bytes | bytearray) -> pa.Table:
    """Packed ``rows.TOKEN`` → a table of the contract. Raises ValueError where ``data`` is no whole number of rows."""
    rows = np.frombuffer(data, dtype=DTYPE)
    n_tokens = np.ascontiguousarray(rows["n_tokens"])
    columns = {
        "run_id": pa.repeat(run_id, len(rows)),
        "request_id": np.ascontiguousarray(rows["request_id"]),
        "chunk_index": np.ascontiguousarray(rows["chunk_index"]),
        "t_ns": np.ascontiguousarray(rows["t_ns"]),
        "read_index": np.ascontiguousarray(rows["read_index"]),
        "exact": rows["exact"] != 0,
        "kind": pa.DictionaryArray.from_arrays(np.ascontiguousarray(rows["kind"]), _KINDS).dictionary_decode(),
        "n_tokens": pa.array(n_tokens, mask=n_tokens == UNKNOWN),
        "n_chars": np.ascontiguousarray(rows["n_chars"]),
    }
    return pa.table([columns[name] for name in TOKENS.names], schema=TOKENS)


def row_table(schema: pa.Schema, rows: list[Row]) -> pa.Table:
    """Rows in the schema's order → a table."""
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    return pa.table(
        [pa.array(column, type=field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )


def write_segment(path: Path, table: pa.Table) -> None:
    """Complete or absent. Cheap to write: sealing sorts and packs it for good."""
    beside = path.with_name(path.name + ".part")
    try:
        pq.write_table(table, beside, compression="lz4", use_dictionary=["run_id", "kind"], write_statistics=False)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def warm_up() -> None:
    """Write one row of each table to memory: the first use of Arrow imports and allocates for milliseconds, which would make
    the first segment's sends late."""
    blank = tuple(None for _ in REQUESTS)
    for table in (
        token_table("", TOKEN.pack(0, 0, 0, 0, 0, UNKNOWN, 0, 0)),
        row_table(REQUESTS, [blank]),
        row_table(HEALTH, [tuple(None for _ in HEALTH)]),
    ):
        pq.write_table(
            table, io.BytesIO(), compression="lz4", use_dictionary=["run_id", "kind"], write_statistics=False
        )


class Recorder:
    """One worker's tables. All methods but the thread's own are the loop's, and none waits for the disk."""

    def __init__(
        self,
        run: RunDir,
        worker_id: int,
        counters: memoryview,
        segment_rows: int,
        segment_s: float,
        on_trouble: Callable[[str], None],
    ) -> None:
        self._run = run
        self._worker_id = worker_id
        self._counters = counters
        self._segment_rows = segment_rows
        self._segment_ns = int(segment_s * 1e9)
        self._on_trouble = on_trouble
        self._tokens = bytearray()
        self._requests: list[Row] = []
        self._handed_ns = clock.monotonic_ns()
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._waiting: dict[str, list[Any]] = {"tokens": [], "requests": [], "health": []}
        self._waiting_rows = 0
        self._since_ns = clock.monotonic_ns()
        self._number = 0
        self._in_trouble = False
        self.sink = self._tokens.extend
        self._thread = threading.Thread(target=self._write_until_stopped, name="recorder", daemon=True)
        self._thread.start()

    # -- the loop's side --------------------------------------------------------------------------------------------------

    def request(self, row: Row) -> None:
        """One row of ``requests``, in the schema's order."""
        self._requests.append(row)

    def health(self, row: Row) -> None:
        self._queue.put(("health", [row]))

    def breathe(self, now_ns: int) -> None:
        """Hand buffers over when they are large or old; called several times a second."""
        if len(self._tokens) >= HAND_OVER_BYTES or now_ns - self._handed_ns > self._segment_ns // 2:
            self._hand_over(now_ns)

    def _hand_over(self, now_ns: int) -> None:
        self._handed_ns = now_ns
        if self._tokens:
            self._queue.put(("tokens", bytes(self._tokens)))
            self._tokens.clear()
        if self._requests:
            self._queue.put(("requests", self._requests))
            self._requests = []

    def close(self) -> None:
        """Write everything and wait for it. Rows that cannot be written even now are told to ``on_trouble`` and lost."""
        self._hand_over(clock.monotonic_ns())
        self._queue.put(_STOP)
        self._thread.join()

    # -- the thread's side ----------------------------------------------------------------------------------------------

    def _write_until_stopped(self) -> None:
        while True:
            try:
                item = self._queue.get(timeout=self._segment_ns / 2e9)
            except queue.Empty:
                item = None
            if item is _STOP:
                self._write_waiting(last=True)
                return
            if item is not None:
                table, rows = item
                self._waiting_rows += len(rows) // TOKEN.size if table == "tokens" else len(rows)
                self._waiting[table].append(rows)
            now_ns = clock.monotonic_ns()
            full = self._waiting_rows >= self._segment_rows and not self._in_trouble
            if full or now_ns - self._since_ns >= self._segment_ns:
                self._since_ns = now_ns
                self._write_waiting(last=False)

    def _write_waiting(self, last: bool) -> None:
        # Token rows go first: a request row says that its tokens are there.
        for name in ("tokens", "requests", "health"):
            parts = self._waiting[name]
            if not parts:
                continue
            try:
                table = self._table(name, parts)
                self._number += 1
                write_segment(self._run.segments / f"{name}-{self._worker_id}-{self._number:06d}.parquet", table)
            except OSError as e:
                if last:
                    lost = sum(len(p) for p in parts) // (TOKEN.size if name == "tokens" else 1)
                    self._on_trouble(f"{lost} rows of {name} could not be written and are lost: {e}")
                    continue
                if not self._in_trouble:
                    self._in_trouble = True
                    self._on_trouble(
                        f"{self._run.segments}: cannot write: {e}; the run stops, what was kept is tried again"
                    )
                return  # a request row says that its tokens are there: it waits for them
            if name == "requests":
                self._counters[INDEX["recorded"]] += table.num_rows
            self._waiting[name] = []
        self._waiting_rows = 0
        self._in_trouble = False

    def _table(self, name: str, parts: list[Any]) -> pa.Table:
        if name == "tokens":
            return token_table(self._run.run_id, b"".join(parts))
        rows = [row for part in parts for row in part]
        schema = REQUESTS if name == "requests" else HEALTH
        try:
            return row_table(schema, rows)
        except (pa.ArrowException, ValueError, TypeError, OverflowError):
            return row_table(schema, [self._storable(schema, row) for row in rows])

    def _storable(self, schema: pa.Schema, row: Row) -> Row:
        """A value that its column cannot hold is a fault of ours: told, and left out, lest it take the segment with it."""
        kept = list(row)
        for i, field in enumerate(schema):
            try:
                pa.array([row[i]], type=field.type)
            except (pa.ArrowException, ValueError, TypeError, OverflowError) as e:
                kept[i] = None
                self._on_trouble(f"a value of {field.name} cannot be stored and is left out: {e}")
        return tuple(kept)
