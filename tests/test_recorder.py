"""Rows to segments: what goes in comes out, a segment is complete or absent, a full disk loses nothing that it need not."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plans import folder, plan, request, step, token

from generator.counters import INDEX, WIDTH
from generator.recording import recorder
from generator.recording.recorder import Recorder, token_table, write_segment
from generator.rows import TOKEN, UNKNOWN
from generator.run_dir import RunDir
from generator.schema import HEALTH, KINDS, TOKENS

NO_SPACE = OSError(errno.ENOSPC, "No space left on device")


def read(run: RunDir, table: str) -> list[dict[str, Any]]:
    return [row for path in run.table_files(table) for row in pq.read_table(path).to_pylist()]


class Bench:
    """A recorder in a folder of its own, and what it told; filled as a ledger fills it."""

    def __init__(self, path: Path, segment_s: float = 60.0, segment_rows: int = 10**9) -> None:
        self.run = folder(path, plan(step()))
        self.told: list[str] = []
        self.counters = memoryview(bytearray(8 * WIDTH)).cast("q")
        self.recorder = Recorder(self.run, 0, self.counters, segment_rows, segment_s, self.told.append)
        self._tokens = b""
        self._requests: list[tuple[Any, ...]] = []

    def sink(self, packed: bytes) -> None:
        self._tokens += packed

    def request(self, row: tuple[Any, ...]) -> None:
        self._requests.append(row)

    def hand_over(self) -> None:
        if self._tokens:
            self.recorder.put("tokens", self._tokens)
        if self._requests:
            self.recorder.put("requests", self._requests)
        self._tokens, self._requests = b"", []

    def close(self) -> None:
        self.hand_over()
        self.recorder.close()

    def until(self, met: Callable[[], bool]) -> None:
        end_s = time.monotonic() + 30
        while not met():
            assert time.monotonic() < end_s, "never came"
            time.sleep(0.002)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@given(
    st.lists(
        st.tuples(
            st.integers(-5, 2**40),
            st.integers(0, 2**62),
            st.integers(0, 2**31 - 1),
            st.integers(0, 2**31 - 1),
            st.integers(0, 2**31 - 1),
            st.integers(-1, 2**15 - 1),
            st.integers(0, 3),
            st.booleans(),
        )
    )
)
def test_token_rows_round_trip(rows: list[tuple[Any, ...]]) -> None:
    """Packed rows are the table's: −1 tokens is NULL, kinds are words, the schema is the contract's."""
    table = token_table("r", b"".join(TOKEN.pack(*row) for row in rows))
    assert table.schema == TOKENS
    found = [
        tuple(row[n] for n in ("request_id", "t_ns", "chunk_index", "read_index", "n_chars"))
        for row in table.to_pylist()
    ]
    assert found == [row[:5] for row in rows]
    assert table["n_tokens"].to_pylist() == [None if row[5] == UNKNOWN else row[5] for row in rows]
    assert table["kind"].to_pylist() == [KINDS[row[6]] for row in rows]
    assert table["exact"].to_pylist() == [row[7] for row in rows]
    assert set(table["run_id"].to_pylist()) <= {"r"}


def test_everything_that_was_given_is_there_after_close(bench: Bench) -> None:
    """Tokens, requests and health, in order, under the names of the contract; the counter says how many requests are safe."""
    bench.sink(token(1))
    bench.request(request(1))
    bench.hand_over()
    bench.sink(token(2))
    bench.request(request(2, error_message="größer ☃"))
    bench.recorder.put("health", [tuple({"run_id": "r", "worker_id": 0}.get(name) for name in HEALTH.names)])
    bench.close()
    assert [row["request_id"] for row in read(bench.run, "tokens")] == [1, 2]
    assert [(row["request_id"], row["error_message"]) for row in read(bench.run, "requests")] == [
        (1, None),
        (2, "größer ☃"),
    ]
    assert len(read(bench.run, "health")) == 1
    assert bench.counters[INDEX["recorded"]] == 2
    assert bench.told == []
    assert {p.name.rsplit("-", 1)[0] for p in bench.run.segments.iterdir()} == {"tokens-0", "requests-0", "health-0"}


def test_segments_come_as_the_run_goes(tmp_path: Path) -> None:
    """A worker that is killed has lost at most the last segment: the others are renamed by then, tokens before their requests."""
    bench = Bench(tmp_path, segment_s=0.02)
    bench.sink(token(1))
    bench.request(request(1))
    bench.hand_over()
    bench.until(lambda: bool(bench.run.table_files("requests")))
    assert [row["request_id"] for row in read(bench.run, "tokens")] == [1]
    bench.close()


def test_a_segment_is_written_when_it_is_large(tmp_path: Path) -> None:
    """``segment_rows`` bounds what a kill can cost, however long ``segment_s`` is."""
    bench = Bench(tmp_path, segment_rows=100)
    for n in range(100):
        bench.sink(token(n))
    bench.hand_over()
    bench.until(lambda: bool(bench.run.table_files("tokens")))
    bench.close()
    assert len(read(bench.run, "tokens")) == 100


def test_a_kill_in_the_midst_of_a_segment(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is being written has another name: readers never see half a file."""
    seen: list[list[Path]] = []
    written = pq.write_table

    def interrupted(table: pa.Table, where: Path, **options: Any) -> None:
        written(table, where, **options)
        seen.append(bench.run.table_files("tokens"))
        raise KeyboardInterrupt

    monkeypatch.setattr(recorder.pq, "write_table", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_segment(bench.run.segments / "tokens-0-000001.parquet", token_table("r", token(1)))
    assert seen == [[]]
    assert list(bench.run.segments.iterdir()) == []
    bench.close()


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A disk that takes nothing until the event is set."""
    room = threading.Event()
    written = recorder.write_segment

    def write(path: Path, table: pa.Table) -> None:
        if not room.is_set():
            raise NO_SPACE
        written(path, table)

    monkeypatch.setattr(recorder, "write_segment", write)
    yield room
    room.set()


def test_a_disk_that_is_full_for_a_while(tmp_path: Path, full_disk: threading.Event) -> None:
    """It is told once, with the place and the reason; everything is kept, tried again, and written when there is room."""
    bench = Bench(tmp_path, segment_s=0.02)
    for n in range(5):
        bench.sink(token(n))
        bench.request(request(n))
        bench.hand_over()
        bench.until(lambda: bool(bench.told))
    assert len(bench.told) == 1
    assert "No space left" in bench.told[0]
    assert str(bench.run.segments) in bench.told[0]
    full_disk.set()
    bench.until(lambda: len(read(bench.run, "requests")) == 5)
    bench.close()
    assert [row["request_id"] for row in read(bench.run, "tokens")] == list(range(5))
    assert len(bench.told) == 1


def test_a_disk_that_stays_full(tmp_path: Path, full_disk: threading.Event) -> None:
    """At the end it is told how many rows of which table are lost, and close() comes back."""
    bench = Bench(tmp_path, segment_s=0.02)
    for n in range(3):
        bench.sink(token(n) + token(n, 1))
        bench.request(request(n))
    bench.hand_over()
    bench.until(lambda: bool(bench.told))
    bench.close()
    assert not full_disk.is_set()
    assert [text.split(" could")[0] for text in bench.told[1:]] == ["6 rows of tokens", "3 rows of requests"]
    assert bench.counters[INDEX["recorded"]] == 0


def test_request_rows_wait_for_their_tokens(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where tokens cannot be written, no request row may say that they are there."""
    tried: list[str] = []

    def write(path: Path, _table: pa.Table) -> None:
        tried.append(path.name[:6])
        raise NO_SPACE

    monkeypatch.setattr(recorder, "write_segment", write)
    bench.recorder._segment_ns = 1
    bench.sink(token(1))
    bench.request(request(1))
    bench.hand_over()
    bench.until(lambda: bool(bench.told))
    assert set(tried) == {"tokens"}
    bench.close()


def test_a_value_that_no_column_can_hold(bench: Bench) -> None:
    """It is told and left out; the row, and the rows beside it, are kept."""
    bench.request(request(1))
    bench.request(request(2, http_status=10**6, error_message="\ud800", input_tokens=7))
    bench.request(request(3))
    bench.close()
    rows = read(bench.run, "requests")
    assert [row["request_id"] for row in rows] == [1, 2, 3]
    assert [rows[1][n] for n in ("http_status", "error_message", "input_tokens")] == [None, None, 7]
    assert [text.split(" cannot")[0] for text in bench.told] == ["a value of http_status", "a value of error_message"]


def test_the_hand_over_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """The loop fills and hands over while the thread writes: each row once, in order, however the two meet."""
    bench = Bench(tmp_path, segment_s=0.001, segment_rows=50)
    for n in range(5_000):
        bench.sink(token(n))
        bench.request(request(n))
        if n % 7 == 0:
            bench.hand_over()
    bench.close()
    assert [row["request_id"] for row in read(bench.run, "tokens")] == list(range(5_000))
    assert [row["request_id"] for row in read(bench.run, "requests")] == list(range(5_000))
    assert bench.counters[INDEX["recorded"]] == 5_000
