"""``python -m generator.recording.recorder``: a worker's rows come in through a pipe, small complete Parquet segments go out.

The process reads its pipe (see ``ledger.py``) while a thread writes, so that a slow disk never fills the pipe.

A segment is written beside its name and renamed into place, so whatever is there can be read. A process that is killed loses
what it had not yet renamed: at most ``segment_s`` seconds. When the disk is full the thread keeps what it has, says so once,
and tries again with every later segment and at the end.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from generator import clock
from generator.counters import INDEX, Counters
from generator.recording import claim
from generator.recording.ledger import FRAME
from generator.recording.ledger import HEALTH as HEALTH_FRAME
from generator.recording.ledger import REQUESTS as REQUESTS_FRAME
from generator.recording.ledger import TEXTS as TEXTS_FRAME
from generator.recording.ledger import TOKENS as TOKENS_FRAME
from generator.rows import FIELDS, TOKEN, UNKNOWN
from generator.run_dir import RunDir
from generator.schema import HEALTH, KINDS, REQUESTS, SERVER_METRICS, TEXTS, TOKENS

DTYPE = np.dtype(list(FIELDS))
_KINDS = pa.array(KINDS)
_STOP = object()
_TABLES = {TOKENS_FRAME: "tokens", REQUESTS_FRAME: "requests", HEALTH_FRAME: "health", TEXTS_FRAME: "texts"}
_SCHEMAS = {"texts": TEXTS, "requests": REQUESTS, "health": HEALTH, "server_metrics": SERVER_METRICS}
_IN_ORDER = ("tokens", *_SCHEMAS)  # a request row says that its tokens and its texts are there
_NICE = 5  # whoever sends and stamps goes first
_CHEAP: dict[str, Any] = {"compression": "lz4", "use_dictionary": ["run_id", "kind"], "write_statistics": False}

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
        pq.write_table(table, beside, **_CHEAP)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


class Recorder:
    """The tables of one writer: a worker, by its number, or the scraper. ``put`` and ``close`` are the reader's of the pipe; the
    rest is the thread's."""

    def __init__(
        self,
        run: RunDir,
        writer: int | str,
        counters: memoryview,
        segment_rows: int,
        segment_s: float,
        on_trouble: Callable[[str], None],
    ) -> None:
        self._run = run
        self._writer = writer
        self._counters = counters
        self._segment_rows = segment_rows
        self._segment_ns = int(segment_s * 1e9)
        self._on_trouble = on_trouble
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._waiting: dict[str, list[Any]] = {name: [] for name in _IN_ORDER}
        self._waiting_rows = 0
        self._since_ns = clock.monotonic_ns()
        self._number = 0
        self._in_trouble = False
        self._thread = threading.Thread(target=self._write_until_stopped, name="recorder", daemon=True)
        self._thread.start()

    def put(self, table: str, rows: bytes | list[Row]) -> None:
        """Packed rows of ``tokens``, or rows of another table in its schema's order. Does not wait."""
        self._queue.put((table, rows))

    def close(self) -> None:
        """Write everything and wait for it. Rows that cannot be written even now are told to ``on_trouble`` and lost."""
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
        for name in _IN_ORDER:
            parts = self._waiting[name]
            if not parts:
                continue
            try:
                table = self._table(name, parts)
                self._number += 1
                write_segment(self._run.segments / f"{name}-{self._writer}-{self._number:06d}.parquet", table)
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
        schema = _SCHEMAS[name]
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


def main() -> int:
    """Until the pipe ends, however its worker ended: then write what is left and leave."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the pipe's end is the only word that counts
    os.nice(_NICE)
    pipe = sys.stdin.buffer
    first = orjson.loads(pipe.readline())
    run, worker_id = RunDir(Path(first["run_dir"])), int(first["worker_id"])
    claim.share(run)
    counters = Counters(run.counters_path, first["workers"]).row(worker_id)
    recorder = Recorder(run, worker_id, counters, first["segment_rows"], first["segment_s"], _tell)
    _warm()
    _say({"ready": True})
    while len(header := pipe.read(FRAME.size)) == FRAME.size:
        kind, size = FRAME.unpack(header)
        data = pipe.read(size)
        if len(data) < size:
            break  # its worker was killed as it wrote: half a frame is no rows
        rows = data if kind == TOKENS_FRAME else marshal.loads(data)  # noqa: S302 - from our own parent, same interpreter
        recorder.put(_TABLES[kind], rows)
    recorder.close()
    return 0


def _warm() -> None:
    """Make one small segment in memory: what the libraries load on first use is loaded before anything is measured."""
    table = token_table("", bytes(TOKEN.size))
    pq.write_table(table, pa.BufferOutputStream(), **_CHEAP)
    row_table(REQUESTS, [])


def _tell(message: str) -> None:
    _say({"message": message})


def _say(event: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):  # a worker that is gone need not hear
        sys.stdout.buffer.write(orjson.dumps(event) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
