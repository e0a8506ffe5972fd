"""The truth log: what the simulator did and when, in Parquet. All times are CLOCK_MONOTONIC in ns of this host.

Two tables, one file each a process at the end; while it runs (and after a kill) complete segments ``<table>-<process>.<n>.parquet``
stand beside them, so that ``truth-tokens-*.parquet`` finds everything at any time.

``truth-requests-<process>.parquet``, one row a request to an API, written when it ended:
see :data:`REQUESTS`. ``truth-tokens-<process>.parquet``, one row a content chunk's write: see :data:`TOKENS`. They join
by ``request_number``; a client's rows join by ``x_request_id``.
"""

from __future__ import annotations

import os
import queue
import threading
from pathlib import Path
from struct import Struct
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

REQUESTS = pa.schema(
    [
        pa.field("request_number", pa.int64(), False),  # process · 10⁹ + its number in the process, from 0
        pa.field("process", pa.int16(), False),
        pa.field("x_request_id", pa.string()),  # the request's header of that name
        pa.field("api", pa.string(), False),  # of routes.Api, as openloop names them
        pa.field("connection", pa.int64(), False),  # number of the connection in its process
        pa.field("received_ns", pa.int64(), False),  # read right after the recv(2) that completed the request
        pa.field("started_ns", pa.int64()),  # the model's: prefill begins, after the wait in the queue
        pa.field("first_write_ns", pa.int64()),  # before the first send(2) of the answer: status line and headers
        pa.field("done_ns", pa.int64()),  # before the last send(2), which ends the framing; NULL if that never came
        pa.field("ended_ns", pa.int64(), False),  # the simulator was done with it, however it ended
        pa.field(
            "outcome", pa.string(), False
        ),  # ok, refused, overloaded, client_error, fault, gone (client left), stopped
        pa.field("status", pa.int16()),  # NULL: it ended before any
        pa.field("fault", pa.string()),  # of faults.FAULTS, where one was made
        pa.field("model", pa.string()),
        pa.field("streamed", pa.bool_()),
        pa.field("max_tokens", pa.int32()),  # as asked
        pa.field("input_tokens", pa.int32()),  # as reported in usage
        pa.field("output_tokens", pa.int32()),  # of the whole answer, sent or not
        pa.field("reasoning_tokens", pa.int32()),  # of these
        pa.field("cached_tokens", pa.int32()),  # of the input
        pa.field("written_chunks", pa.int32()),  # content chunks handed to send(2) = rows in the tokens table
        pa.field("charge_tokens", pa.int32()),  # by the charge rule
        pa.field("limit_requests", pa.int64()),  # as the headers said it
        pa.field("remaining_requests", pa.int64()),
        pa.field("limit_tokens", pa.int64()),
        pa.field("remaining_tokens", pa.int64()),
        pa.field("wait_ns", pa.int64()),  # a refusal's: how long until it would fit
        pa.field("messages", pa.int32()),  # of the conversation that came, a system text included
        pa.field("roles", pa.list_(pa.string())),  # theirs, in order
        pa.field("message_hashes", pa.list_(pa.string())),  # words.fingerprint of each one's text
        pa.field("answer_hash", pa.string()),  # of the answer's content, as far as it was sent; reasoning left out
    ]
)
TOKENS = pa.schema(
    [
        pa.field("request_number", pa.int64(), False),
        pa.field("chunk_index", pa.int32(), False),  # content chunks of the answer, from 0
        pa.field("due_ns", pa.int64(), False),  # the model's time for it
        pa.field("write_ns", pa.int64(), False),  # the clock right before send(2)
        pa.field("complete", pa.bool_(), False),  # the kernel took all of it at once; else the rest followed later
    ]
)

TOKEN = Struct("<qqqiB")
_TOKEN_DTYPE = np.dtype(
    [("request_number", "<i8"), ("due_ns", "<i8"), ("write_ns", "<i8"), ("chunk_index", "<i4"), ("complete", "u1")]
)
SEGMENT_BYTES = TOKEN.size << 17
SEGMENT_REQUESTS = 5_000
SEGMENT_NS = 2_000_000_000
# Not the lowest there is: the thread holds the interpreter for moments, and must not starve while it does.
_NICENESS = 10
_DELTA = dict.fromkeys(("request_number", "due_ns", "write_ns", "chunk_index"), "DELTA_BINARY_PACKED")

assert TOKEN.size == _TOKEN_DTYPE.itemsize


def token_table(packed: bytes | bytearray) -> pa.Table:
    """Packed :data:`TOKEN` rows → a table."""
    rows = np.frombuffer(packed, _TOKEN_DTYPE)
    columns = {name: np.ascontiguousarray(rows[name]) for name in _TOKEN_DTYPE.names or ()}
    columns["complete"] = columns["complete"].astype(bool)
    return pa.table({name: pa.array(columns[name]) for name in TOKENS.names}, schema=TOKENS)


def request_table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=REQUESTS)


class Log:
    """Takes rows in the loop, writes segments in a thread, and makes one file a table of them at :meth:`close`.

    The loop appends packed tokens to ``tokens`` and dicts to ``requests``; nothing else of it costs the loop time.
    """

    def __init__(self, folder: Path, process: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._process = process
        self.tokens = bytearray()
        self.requests: list[dict[str, Any]] = []
        self._swapped_ns = 0
        self._segments: list[tuple[str, Path]] = []
        self.failed: OSError | None = None
        self._queue: queue.SimpleQueue[tuple[bytearray, list[dict[str, Any]]] | None] = queue.SimpleQueue()
        for rows in (token_table(b""), request_table([])):
            # The first write of a process loads code for 30 ms: before the first token, not between two.
            pq.write_table(rows, pa.BufferOutputStream(), **_options(rows.schema))
        self._thread = threading.Thread(target=self._write_all, name="truth", daemon=True)
        self._thread.start()

    def turn(self, now_ns: int) -> None:
        """Call now and then: hands full or old buffers to the thread."""
        full = len(self.tokens) >= SEGMENT_BYTES or len(self.requests) >= SEGMENT_REQUESTS
        if not full and now_ns - self._swapped_ns < SEGMENT_NS:
            return
        self._swapped_ns = now_ns
        if self.tokens or self.requests:
            self._queue.put((self.tokens, self.requests))
            self.tokens = bytearray()
            self.requests = []

    def close(self) -> None:
        """Writes what is left and joins the segments. Raises OSError if any of it could not be written."""
        self._queue.put((self.tokens, self.requests))
        self._queue.put(None)
        self._thread.join()
        if self.failed is None:
            for table, schema in (("truth-requests", REQUESTS), ("truth-tokens", TOKENS)):
                self._join(table, schema)
        if self.failed is not None:
            raise self.failed

    def _write_all(self) -> None:
        # On Linux niceness is a thread's own: where both want one core, the loop comes first.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        while (item := self._queue.get()) is not None:
            tokens, requests = item
            if self.failed is not None:
                continue
            try:
                if tokens:
                    self._segment("truth-tokens", token_table(tokens))
                if requests:
                    self._segment("truth-requests", request_table(requests))
            except OSError as error:
                self.failed = error

    def _segment(self, table: str, rows: pa.Table) -> None:
        number = sum(name == table for name, _ in self._segments)
        path = self._folder / f"{table}-{self._process}.{number:05d}.parquet"
        part = path.with_suffix(".part")
        pq.write_table(rows, part, **_options(rows.schema))
        part.replace(path)
        self._segments.append((table, path))

    def _join(self, table: str, schema: pa.Schema) -> None:
        path = self._folder / f"{table}-{self._process}.parquet"
        part = path.with_suffix(".part")
        segments = [segment for name, segment in self._segments if name == table]
        try:
            with pq.ParquetWriter(part, schema, **_options(schema)) as writer:
                for segment in segments:
                    writer.write_table(pq.read_table(segment, schema=schema))
            part.replace(path)
            for segment in segments:
                segment.unlink()
        except OSError as error:
            self.failed = error


def _options(schema: pa.Schema) -> dict[str, Any]:
    if schema is TOKENS or schema.equals(TOKENS):
        return {"compression": "zstd", "use_dictionary": False, "column_encoding": _DELTA}
    return {"compression": "zstd"}
