"""Runs worth storing, places of every kind to store them in, and exports that end half-way."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fabricate
import pyarrow.parquet as pq
from whole_runs import ENVIRONMENT

from console.stores import address, source, store, tables
from console.stores.source import Export
from generator.run_dir import RunDir

KINDS = ("postgresql", "sqlite", "mongodb", "s3", "file")

ODD = [
    {"error_message": 'a,"b"\n\\.\nrest\t\\N', "response_id": "", "error_type": "\\."},
    {"error_message": "\\N", "response_id": "NULL", "error_type": "null", "model": "ünïcode 🐢"},
    {"connection_id": 2**63 - 1, "stated_used": -(2**63), "http_status": -(2**15), "input_tokens": 2**31 - 1},
    {"price_input": 0.1, "price_output": 1e-308, "price_cached": 1.7976931348623157e308, "server_ms": 2 / 3},
    {"http_status": None, "outcome": "lost", "sent_ns": None, "resent": None, "streamed": None, "model": None},
]
"""Columns of requests that some way of writing them down would change."""


def odd_run(path: Path, **keys: Any) -> RunDir:
    """A step, a request for each of ODD with three tokens, two rows of health that are alike, texts."""
    run_id = path.name
    pairs = [fabricate.answer(n, at_ms=10.0 * n, run_id=run_id, **odd) for n, odd in enumerate(ODD)]
    beats = [fabricate.beat(run_id=run_id)] * 2
    texts = [fabricate.text(pairs[0][0], prompt="'; DROP TABLE requests; --", response='{"$where": "1"}')]
    return fabricate.write(
        path,
        steps=[fabricate.step(run_id=run_id)],
        requests=[row for row, _ in pairs],
        tokens=[token for _, tokens in pairs for token in tokens],
        health=beats,
        texts=texts,
        **{"run_id": run_id, **keys},
    )


def facts(run: RunDir, table: str) -> list[tuple[Any, ...]]:
    """The run folder's rows, sorted."""
    return ordered(tuple(row.values()) for row in pq.read_table(run.table_path(table)).to_pylist())


def ordered(rows: Any) -> list[tuple[Any, ...]]:
    return sorted(rows, key=repr)


def export(run: RunDir, url: str, **given: Any) -> dict[str, int]:
    """Put it there, all tables unless ``table_names``, with a report of one figure: judging takes seconds. The rows."""
    usual: dict[str, Any] = {"table_names": (*tables.ALWAYS, *tables.ON_REQUEST)}
    one = Export(run, run.read_manifest(), {"steps": [{"name": "step 0", "ttft_ms": {"p99": 1.5}}]}, **(usual | given))
    with store.opened(address.parse(url)) as there:
        return there.write(one)


def stored(url: str, table: str, columns: tuple[str, ...] = ()) -> list[tuple[Any, ...]]:
    """What a reader finds in a table of the store, sorted: the contract's columns, in the contract's order, unless ``columns``."""
    where = address.parse(url)
    wanted = columns or tables.tables()[table].names[1:]
    with store.opened(where) as there:
        if where.kind == "mongodb":
            found = there.query("{}", table)
            places = [found.columns.index(name) for name in wanted]
            return ordered(tuple(row[i] for i in places) for row in found.rows)
        listed = ", ".join(f'"{name}"' for name in wanted)
        return ordered(there.query(f"SELECT {listed} FROM {table}", None).rows)


def listed(url: str, organisation: str | None = None, run_id: str | None = None) -> list[dict[str, Any]]:
    with store.opened(address.parse(url)) as there:
        return there.runs(organisation, run_id)


def pieces(url: str, table: str) -> int:
    """What is there of a table physically, seen by a reader who does not know what counts: rows, or files of Parquet."""
    where = address.parse(url)
    if where.kind == "mongodb":
        import pymongo

        with pymongo.MongoClient(where.url) as client:
            return int(client.get_default_database()[table].count_documents({}))
    if where.kind == "parquet":
        from console.stores import parquet

        there = parquet.open_store(where)
        return len(there._listed(f"{there._root}/{table}"))
    return len(stored(url, table, ("run_id",)))


class BrokenOffError(Exception):
    """The export was broken off on purpose."""


@contextmanager
def interrupted(patch: Any, then: Callable[[], None], batch_rows: int = 50) -> Iterator[None]:
    """While it lasts, an export does ``then`` once, when two batches of its requests have been handed over."""
    whole: Callable[..., Iterator[Any]] = Export.batches
    first = itertools.count()

    def half(self: Export, table: Any) -> Iterator[Any]:
        for i, batch in enumerate(whole(self, table)):
            if (table.name, i) == ("requests", 2) and next(first) == 0:
                then()
            yield batch

    with patch.context() as p:
        p.setattr(source, "BATCH_ROWS", batch_rows)
        p.setattr(Export, "batches", half)
        yield


_KILLED = """
import sys, time
from pathlib import Path
import pytest, stores_kept
from generator.run_dir import RunDir
def stop():
    print("half", flush=True)
    time.sleep(600)
with stores_kept.interrupted(pytest.MonkeyPatch, stop):
    stores_kept.export(RunDir(Path(sys.argv[1])), sys.argv[2])
"""


def killed_half_way(run: RunDir, url: str) -> None:
    """An export of all tables, in a process of its own that SIGKILL ends when requests have been written in part."""
    words = [sys.executable, "-c", _KILLED, str(run.path), url]
    path = os.pathsep.join([ENVIRONMENT["PYTHONPATH"], str(Path(__file__).parent)])
    with subprocess.Popen(words, env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        process.kill()
