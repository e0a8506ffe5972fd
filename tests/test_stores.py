"""Every kind of store, on a real server: what goes in comes out, once and whole, whatever breaks off in between."""

from __future__ import annotations

import itertools
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fabricate
import pyarrow.parquet as pq
import pymongo.errors
import pytest
import store_servers
import stores_kept
from stores_kept import (
    KINDS,
    BrokenOffError,
    export,
    facts,
    interrupted,
    killed_half_way,
    listed,
    odd_run,
    pieces,
    stored,
)

from console.stores import address, mongo, parquet, source, store, tables
from generator.errors import RunFolderError, StoreError
from generator.run_dir import RunDir

Place = Callable[[], str]


@pytest.fixture(scope="module", params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A function that gives the URL of an empty store at each call."""
    folder = tmp_path_factory.mktemp(request.param)
    numbers = itertools.count()
    match request.param:
        case "postgresql":
            with store_servers.postgresql() as url:
                yield lambda: f"{url}?schema=place{next(numbers)}"
        case "mongodb":
            with store_servers.mongodb(folder / "server") as url:
                yield lambda: store_servers.emptied(url.replace("/runs", f"/place{next(numbers)}"))
        case "s3":
            with store_servers.s3() as url:
                yield lambda: url.replace("/x?", f"/place{next(numbers)}?")
        case "sqlite":
            yield lambda: f"sqlite:///{folder}/{next(numbers)}.db"
        case "file":
            yield lambda: f"file://{folder}/{next(numbers)}"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return odd_run(tmp_path_factory.mktemp("runs") / "odd-1")


@pytest.fixture(scope="module")
def longer(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """Of 300 requests with a handful of tokens each: several batches."""
    return fabricate.realistic(tmp_path_factory.mktemp("runs") / "long-1", [fabricate.Load(300, rate_rps=50, tokens=3)])


def test_what_goes_in_comes_out(place: Place, run: RunDir) -> None:
    """Every value of every table: NULL is NULL and not empty text, integers of 64 bits and floats are the same, text is never markup or SQL."""
    url = place()
    rows = export(run, url)
    assert rows == {
        "steps": 1,
        "requests": len(stores_kept.ODD),
        "tokens": 4 * len(stores_kept.ODD),
        "health": 2,
        "texts": 1,
    }
    for table in rows:
        assert stored(url, table) == facts(run, table), table


def test_exporting_again_leaves_one_copy(place: Place, run: RunDir) -> None:
    """Twice is once; the copy is that of the last export, its tags and tables too, and nothing stays of the one before."""
    url = place()
    export(run, url, tags={"commit": "old", "by": "me"})
    once = [pieces(url, table) for table in tables.tables()]
    export(run, url)
    assert [pieces(url, table) for table in tables.tables()] == once
    rows = export(run, url, tags={"commit": "new"}, table_names=tables.ALWAYS)
    assert stored(url, "requests") == facts(run, "requests")
    (found,) = listed(url, run_id=run.run_id)
    assert (found["tags"], found["rows"], pieces(url, "tokens")) == ({"commit": "new"}, rows, 0)


def test_a_killed_export_leaves_nothing_half(place: Place, longer: RunDir) -> None:
    """SIGKILL in the middle of an empty store's first export: no reader sees the run. Again: exactly one copy, nothing left over."""
    url = place()
    killed_half_way(longer, url)
    assert listed(url) == []
    assert export(longer, url)["requests"] == 300
    assert stored(url, "requests") == facts(longer, "requests")
    counted = {table: pieces(url, table) for table in ("requests", "tokens")}
    assert export(longer, url)["requests"] == 300
    assert counted == {table: pieces(url, table) for table in ("requests", "tokens")}


def test_a_killed_export_leaves_the_copy_before_it(place: Place, longer: RunDir) -> None:
    """SIGKILL while a copy is being replaced: the old one is whole. Again: exactly one copy."""
    url = place()
    export(longer, url, tags={"copy": "first"})
    once = pieces(url, "requests")
    killed_half_way(longer, url)
    (found,) = listed(url, run_id="latest")
    assert found["tags"] == {"copy": "first"}
    assert stored(url, "requests") == facts(longer, "requests")
    export(longer, url, tags={"copy": "second"})
    assert stored(url, "requests") == facts(longer, "requests")
    assert pieces(url, "requests") == once


def test_an_export_that_fails_takes_its_rows_back(
    place: Place, longer: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ends it: the store is as it was, physically too."""
    url = place()

    def fail() -> None:
        raise BrokenOffError

    with interrupted(monkeypatch, fail), pytest.raises(BrokenOffError):
        export(longer, url)
    assert (listed(url), pieces(url, "steps"), pieces(url, "requests")) == ([], 0, 0)


def test_another_run_of_the_same_id_is_refused(place: Place, run: RunDir, tmp_path: Path) -> None:
    """Two machines may name their runs alike: neither takes the other's place unasked; organisations keep them apart."""
    url = place()
    other = odd_run(tmp_path / run.run_id, created="2026-03-04T05:06:07Z", name="other")
    export(run, url)
    with pytest.raises(StoreError, match="it is another run"):
        export(other, url)
    assert [found["name"] for found in listed(url)] == ["fabricated"]
    export(other, url, organisation="acme")
    assert [(f["organisation"], f["name"]) for f in listed(url)] == [("acme", "other"), ("default", "fabricated")]
    assert len(stored(url, "requests")) == 2 * len(stores_kept.ODD)
    export(other, url, replace=True)
    assert {found["name"] for found in listed(url)} == {"other"}
    assert len(stored(url, "requests")) == 2 * len(stores_kept.ODD)


def test_the_newest_run_comes_first(place: Place, tmp_path: Path) -> None:
    """By when the run began, whenever it was exported; ``latest`` is the first, with its manifest and its report."""
    url = place()
    for name, day in (("b", 3), ("a", 1), ("c", 2)):
        export(odd_run(tmp_path / name, created=f"2026-02-0{day}T00:00:00.123Z"), url, table_names=tables.ALWAYS)
    assert [found["run_id"] for found in listed(url)] == ["b", "c", "a"]
    (newest,) = listed(url, run_id="latest")
    assert newest["manifest"]["created"] == "2026-02-03T00:00:00.123Z"
    assert [step["name"] for step in newest["report"]["steps"]] == ["step 0"]
    assert [found["run_id"] for found in listed(url, run_id="c")] == ["c"]
    assert listed(url, organisation="acme") == listed(url, run_id="d") == []


def test_a_run_of_an_older_openloop_has_null_where_it_lacks_a_column(place: Place, tmp_path: Path) -> None:
    """Columns that came later are NULL, whatever their place among the others."""
    url, old = place(), odd_run(tmp_path / "old")
    path = old.table_path("requests")
    pq.write_table(pq.read_table(path).drop_columns(["turn", "stated_limit"]), path)
    export(old, url, table_names=tables.ALWAYS)
    assert set(stored(url, "requests", ("turn", "stated_limit"))) == {(None, None)}
    assert stored(url, "requests", ("done_ns",)) == stores_kept.ordered(
        (v,) for v in pq.read_table(path)["done_ns"].to_pylist()
    )


def test_a_damaged_run_is_not_exported(place: Place, longer: RunDir, tmp_path: Path) -> None:
    """A file that cannot be read to its end is the folder's error, and what went before it is not in the store."""
    url = place()
    run = RunDir(tmp_path / longer.run_id)
    shutil.copytree(longer.path, run.path)
    path = run.table_path("tokens")
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + b"\xff" * 200 + whole[204:])
    with pytest.raises(RunFolderError, match=r"tokens\.parquet: cannot be read"):
        export(run, url)
    assert (listed(url), pieces(url, "requests")) == ([], 0)


def test_of_two_exports_at_a_time_one_counts(place: Place, longer: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody waits for the other, who ends second is told, and leaves the copy of the first as it is, with nothing of its own."""
    url = place()
    if url.startswith(("postgresql", "sqlite")):
        pytest.skip("a transaction waits for the one before it: there is nothing to be second in")
    with (
        interrupted(monkeypatch, lambda: export(longer, url, tags={"copy": "quick"})),
        pytest.raises(StoreError, match="another export of run"),
    ):
        export(longer, url, tags={"copy": "slow"})
    assert [found["tags"] for found in listed(url)] == [{"copy": "quick"}]
    assert stored(url, "requests") == facts(longer, "requests")
    once = pieces(url, "requests")
    export(longer, url)
    assert pieces(url, "requests") == once


def once_uncontested(patch: pytest.MonkeyPatch, then: Callable[[], None]) -> None:
    """The next export of a Parquet store does ``then`` between its look at the record and putting its own."""
    look, first = parquet.ParquetStore._uncontested, itertools.count()

    def looked(self: Any, *given: Any) -> None:
        look(self, *given)
        if next(first) == 0:
            then()

    patch.setattr(parquet.ParquetStore, "_uncontested", looked)


def test_in_a_folder_nothing_comes_between_the_look_and_the_record(
    place: Place, longer: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export that took another one's rows for a killed one's waits for it, finds its record, and removes nothing."""
    url = place()
    if not url.startswith("file"):
        pytest.skip("elsewhere nothing is locked, or all is")
    ends: list[str] = []

    def second() -> None:
        try:
            export(longer, url, tags={"copy": "second"})
        except StoreError as e:
            ends.append(str(e))

    waiting = threading.Thread(target=second)

    def begin() -> None:
        waiting.start()
        # Time enough to end, if it were not kept from it.
        waiting.join(3)

    once_uncontested(monkeypatch, begin)
    export(longer, url, tags={"copy": "first"})
    waiting.join()
    assert len(ends) == 1
    assert "another export of run" in ends[0]
    assert [found["tags"] for found in listed(url)] == [{"copy": "first"}]
    assert stored(url, "requests") == facts(longer, "requests")


def test_what_counts_by_now_is_not_removed(place: Place, longer: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a lock: a record that was put after one's own counts, and its rows stay, even where they looked like a killed one's."""
    url = place()
    if not url.startswith("s3"):
        pytest.skip("a lock or a transaction keeps this from happening")
    put, both = parquet.ParquetStore._put, (threading.Event(), threading.Event())
    fast, slow = both

    def in_turns(self: Any, path: str, data: bytes) -> None:
        if "/runs/" not in path or not path.endswith(f"/{longer.run_id}.json"):
            put(self, path, data)
        elif b'"second"' in data:
            put(self, path, data)
            fast.set()
            assert slow.wait(60)
        else:
            assert fast.wait(60)
            put(self, path, data)
            slow.set()

    monkeypatch.setattr(parquet.ParquetStore, "_put", in_turns)
    other = threading.Thread(target=lambda: export(longer, url, tags={"copy": "second"}))
    once_uncontested(monkeypatch, other.start)
    export(longer, url, tags={"copy": "first"})
    other.join()
    assert [found["tags"] for found in listed(url)] == [{"copy": "first"}]
    assert stored(url, "requests") == facts(longer, "requests")


def test_an_export_whose_rows_were_removed_takes_its_record_back(
    place: Place, longer: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a lock: who finds its rows gone says so; the store answers queries, and the next export puts all right."""
    url = place()
    if not url.startswith("s3"):
        pytest.skip("a lock or a transaction keeps this from happening")
    with monkeypatch.context() as p:
        once_uncontested(p, lambda: export(longer, url, tags={"copy": "second"}))
        with pytest.raises(StoreError, match="export again"):
            export(longer, url, tags={"copy": "first"})
    assert (listed(url), stored(url, "requests")) == ([], [])
    export(longer, url)
    assert stored(url, "requests") == facts(longer, "requests")
    assert pieces(url, "requests") == 1


def test_a_commit_whose_answer_is_lost_keeps_its_rows(
    place: Place, longer: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run was told to be there, and the connection broke before that was heard: the copy is whole, and the next one takes its place."""
    url = place()
    if url.startswith(("postgresql", "sqlite")):
        pytest.skip("rows and record are of one transaction")
    with monkeypatch.context() as p:
        if url.startswith("mongodb"):
            commit = mongo.MongoStore._commit

            def lost(self: Any, *given: Any) -> None:
                commit(self, *given)
                raise pymongo.errors.AutoReconnect("the connection broke")

            p.setattr(mongo.MongoStore, "_commit", lost)
        else:
            put = parquet.ParquetStore._put

            def broken(self: Any, path: str, data: bytes) -> None:
                put(self, path, data)
                if path.endswith(f"/{longer.run_id}.json"):
                    raise OSError("the connection broke")

            p.setattr(parquet.ParquetStore, "_put", broken)
        with pytest.raises(StoreError, match="the connection broke"):
            export(longer, url)
    assert [found["run_id"] for found in listed(url)] == [longer.run_id]
    assert stored(url, "requests") == facts(longer, "requests")
    once = pieces(url, "requests")
    export(longer, url)
    assert (stored(url, "requests"), pieces(url, "requests")) == (facts(longer, "requests"), once)


def test_a_record_that_no_document_can_hold_is_refused(place: Place, run: RunDir) -> None:
    """More than MongoDB's 16 MB: said as any other failure, and the rows are taken back; a filter beyond 64 bits is said, too."""
    url = place()
    if not url.startswith("mongodb"):
        pytest.skip("the others know no such limit")
    large = source.Export(run, run.read_manifest(), {"steps": ["x" * 1_000_000] * 17})
    with store.opened(address.parse(url)) as there:
        with pytest.raises(StoreError, match="too large"):
            there.write(large)
        with pytest.raises(StoreError, match="8-byte ints"):
            there.query('{"seed": 99999999999999999999}', None)
    assert (listed(url), pieces(url, "requests"), pieces(url, "exports")) == ([], 0, 0)


def test_columns_that_came_since_are_added(place: Place, run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that an older openloop made gains the new columns at the next export; its runs have NULL there."""
    url = place()
    with monkeypatch.context() as older:
        short = {
            name: replace(table, columns=tuple(c for c in table.columns if c.name not in ("turn", "exact", "tags")))
            for name, table in tables.tables().items()
        }
        older.setattr(tables, "tables", lambda: short)
        export(run, url, organisation="old")
    export(run, url)
    exact = pq.read_table(run.table_path("tokens"))["exact"].to_pylist()
    assert Counter(stored(url, "tokens", ("exact",))) == Counter((v,) for v in [*exact, *[None] * len(exact)])
    assert len(stored(url, "requests", ("turn", "tags"))) == 2 * len(stores_kept.ODD)


def test_a_newer_layout_is_refused(place: Place, run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a later openloop keeps differently is neither read nor written by this one."""
    url = place()
    with monkeypatch.context() as newer:
        newer.setattr(tables, "VERSION", tables.VERSION + 1)
        export(run, url)
    for attempt in (lambda: export(run, url), lambda: listed(url)):
        with pytest.raises(StoreError, match=r"newer than this openloop knows; update openloop"):
            attempt()


@pytest.mark.parametrize(
    "text", ["DELETE FROM runs", "SELECT 1; DELETE FROM runs", "DROP TABLE runs", "CREATE TABLE x (y int)"]
)
def test_a_query_cannot_write(place: Place, run: RunDir, text: str) -> None:
    """One SELECT or nothing, whatever the rights of the one who asks."""
    url = place()
    if url.startswith("mongodb"):
        pytest.skip("a filter of MongoDB's has no words for writing")
    export(run, url, table_names=tables.ALWAYS)
    with store.opened(address.parse(url)) as there, pytest.raises(StoreError):
        list(there.query(text, None).rows)
    assert len(listed(url)) == 1
