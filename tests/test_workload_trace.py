"""Recorded traffic is read as it is: names of columns, units of time, windows; and every damage names its line."""

import datetime as dt
import gzip
import json
from importlib import resources
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from generator.errors import ScenarioError
from generator.workload import trace

AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n2023-11-16 18:15:46.9999999,396,109\n2023-11-16 18:16:01.0000000,12,1"
MOONCAKE = '{"timestamp": 1500, "input_length": 67, "output_length": 5, "hash_ids": [1]}\n\n{"timestamp": 1750, "input_length": 7, "output_length": 0}\n'


@pytest.fixture
def load(tmp_path):
    def from_text(name, text, **options):
        file = tmp_path / name
        file.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return trace.load(file, **options)

    return from_text


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_azure(load, name):
    """Seven decimals are kept to the last: 0.3194099 s after the first."""
    read = load(name, AZURE)
    assert read.times_s.tolist() == [0, 0.3194099, 14.31941]
    assert read.lengths.tolist() == [[374, 44], [396, 109], [12, 1]]


def test_the_shipped_azure_trace_is_whole():
    """19,366 requests in an hour, in order."""
    read = trace.load(Path(str(resources.files("scenarios") / "data" / "AzureLLMInferenceTrace_conv.csv.gz")))
    assert read.lengths.shape == (19_366, 2)
    assert 3_400 < read.times_s[-1] < 3_600
    assert read.lengths.sum(axis=0).tolist() == [22_361_870, 4_088_665]


def test_mooncake(load):
    """``timestamp`` of a JSONL trace is in milliseconds; an answer of no tokens is asked for one."""
    read = load("t.jsonl", MOONCAKE)
    assert read.times_s.tolist() == [0, 0.25]
    assert read.lengths.tolist() == [[67, 5], [7, 1]]


def test_hash_ids_and_sessions(load):
    """Blocks of all rows in a row, with where each row's end, and sessions numbered as they appear: of the window alone."""
    text = (
        '{"timestamp": 0, "input_length": 9, "output_length": 1, "hash_ids": [9], "session_id": "z"}\n'
        '{"timestamp": 2000, "input_length": 9, "output_length": 1, "hash_ids": [3, -4], "session_id": "b"}\n'
        '{"timestamp": 1000, "input_length": 9, "output_length": 1, "hash_ids": [1, 2], "session_id": "a"}\n'
        '{"timestamp": 3000, "input_length": 9, "output_length": 1, "session_id": "a"}\n'
    )
    read = load("t.jsonl", text, start_s=1)
    assert read.times_ns.tolist() == [0, 10**9, 2 * 10**9]
    assert (read.ids.tolist(), read.ends.tolist(), read.sessions.tolist()) == ([1, 2, 3, -4], [2, 4, 4], [0, 1, 0])
    renamed = load("t.jsonl", text.replace("hash_ids", "blocks"), columns={"hash_ids": "blocks"})
    assert renamed.ids.tolist() == [9, 1, 2, 3, -4]
    assert load("t.jsonl", MOONCAKE.replace("hash_ids", "other")).ids is None


@pytest.mark.parametrize("ids", ['"x"', "[1.5]", "[true]", "[9223372036854775808]"])
def test_hash_ids_that_are_none(load, ids):
    """Whole numbers of 64 bits, or an error with the line."""
    row = f'{{"timestamp": 0, "input_length": 9, "output_length": 1, "hash_ids": {ids}}}'
    with pytest.raises(ScenarioError, match=r"t\.jsonl:1: .* is no list of hash ids"):
        load("t.jsonl", row)


def test_parquet_and_json_arrays(tmp_path):
    """The same rows in any form are the same trace: numbers, dates as Parquet has them, lists of hash ids."""
    at = dt.datetime(2023, 11, 16, 18, 15, 46, 680_590, tzinfo=dt.UTC)
    rows = [
        {"time": (at + dt.timedelta(seconds=s)).isoformat(), "input_tokens": 5, "output_tokens": 2, "hash_ids": [s]}
        for s in range(3)
    ]
    (tmp_path / "t.json").write_text(json.dumps(rows))
    dated = [row | {"time": dt.datetime.fromisoformat(row["time"])} for row in rows]
    pq.write_table(pa.Table.from_pylist(dated), tmp_path / "t.parquet")
    for read in (trace.load(tmp_path / "t.json"), trace.load(tmp_path / "t.parquet")):
        assert read.times_ns.tolist() == [0, 10**9, 2 * 10**9]
        assert read.lengths.tolist() == [[5, 2]] * 3
        assert read.ids.tolist() == [0, 1, 2]


def test_a_format_that_the_extension_does_not_tell(tmp_path):
    """``format`` says it; without, the error lists the formats; a plain text is no trace."""
    (tmp_path / "t.dat").write_text("time,input_tokens,output_tokens\n1,2,3\n")
    assert trace.load(tmp_path / "t.dat", kind="csv").lengths.tolist() == [[2, 3]]
    with pytest.raises(ScenarioError, match=r"\.dat tells no format; give format: jsonl, json, csv, parquet or text"):
        trace.load(tmp_path / "t.dat")
    (tmp_path / "t.txt").write_text("1 2 3")
    with pytest.raises(ScenarioError, match="a trace is no plain text"):
        trace.load(tmp_path / "t.txt")


def test_the_shipped_mooncake_slice_is_whole():
    """2,000 requests; a hash id for each block of 512 tokens, the last one of each begun, all starting with block 0."""
    read = trace.load(Path(str(resources.files("scenarios") / "data" / "mooncake_conversation_2000.jsonl.gz")))
    assert read.lengths.shape == (2000, 2)
    counts = np.diff(read.ends, prepend=0)
    assert counts.tolist() == (-(-read.lengths[:, 0] // 512)).tolist()
    assert (read.ids[read.ends - counts] == 0).mean() > 0.9


def test_named_columns(load):
    """Names of one's own are seconds; rows out of order are put into it."""
    read = load(
        "t.csv", "at,in,out\n2.5,3,4\n1,5,6\n", columns={"time": "at", "input_tokens": "in", "output_tokens": "out"}
    )
    assert read.times_s.tolist() == [0, 1.5]
    assert read.lengths.tolist() == [[5, 6], [3, 4]]


def test_a_window_starts_anew(load):
    """Times count from the window's start, which need not be an arrival's; its end is open."""
    read = load("t.csv", "time,input_tokens,output_tokens\n0,1,1\n10,2,2\n15,3,3\n20,4,4\n", start_s=9, end_s=20)
    assert read.times_s.tolist() == [1, 6]
    assert read.lengths[:, 0].tolist() == [2, 3]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.csv", "", "t.csv: the trace is empty"),
        ("t.csv", "time,input_tokens,output_tokens\n", "t.csv: the trace has no rows"),
        ("t.csv", "when,input_tokens,output_tokens\n1,2,3\n", "no column for time: none of .* among when, input_tokens, output_tokens; name it by trace.columns.time"),
        ("t.csv", "time,input_tokens,output_tokens\n1,2,3\n1,two,3\n", "t.csv:3: a time and two token counts are wanted"),
        ("t.csv", "time,input_tokens,output_tokens\n1,2.5,3\n", "t.csv:2: .*'2.5' is no number of tokens"),
        ("t.csv", "time,input_tokens,output_tokens\n1,-2,3\n", "t.csv:2: .*'-2' is no number of tokens"),
        ("t.csv", "time,input_tokens,output_tokens\n1,99999999999,3\n", "t.csv:2: .*is no number of tokens"),
        ("t.csv", "time,input_tokens,output_tokens\n1,inf,3\n", "t.csv:2: a time and two"),
        ("t.csv", "time,input_tokens,output_tokens\nnan,1,3\n", "t.csv:2: a time and two"),
        ("t.csv", "time,input_tokens,output_tokens\ninf,1,3\n", "t.csv:2: a time and two"),
        ("t.csv", "time,input_tokens,output_tokens\nnoon,1,3\n", "t.csv:2: a time and two"),
        ("t.csv", "time,input_tokens,output_tokens\n1,2\n", "t.csv:2: a time and two"),
        ("t.jsonl", "{", "t.jsonl:1: not JSON"),
        ("t.jsonl", "[1]\n", "t.jsonl:1: a JSON object is wanted"),
        ("t.jsonl", '{"time": true, "input_tokens": 1, "output_tokens": 1}\n', "t.jsonl:1: a time and two"),
        ("t.jsonl", '{"time": 1, "input_tokens": 1, "output_tokens": 1}\n{"time": 1}\n', "t.jsonl:2: a time and two"),
    ],
)  # fmt: skip
def test_a_bad_trace_names_its_line(load, name, text, message):
    """Every fault of a trace is a ScenarioError with the file, and the line where there is one."""
    with pytest.raises(ScenarioError, match=message):
        load(name, text)


def test_an_empty_window_tells_how_long_the_trace_is(load):
    """A window past the end is an error, not a step without arrivals."""
    with pytest.raises(ScenarioError, match="no row of the trace lies in the window; it lasts 14 s"):
        load("t.csv", AZURE, start_s=60)


def test_a_trace_that_cannot_be_read(tmp_path):
    """A missing file, one that is no gzip, a cut gzip, and one that is no text are told."""
    with pytest.raises(ScenarioError, match="cannot be read: No such file"):
        trace.load(tmp_path / "t.csv")
    whole = gzip.compress(AZURE.encode() * 100)
    for content in (b"plain", whole[: len(whole) // 2]):
        (tmp_path / "t.csv.gz").write_bytes(content)
        with pytest.raises(ScenarioError, match=r"cannot be read|damaged"):
            trace.load(tmp_path / "t.csv.gz")
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ScenarioError, match="damaged"):
        trace.load(tmp_path / "t.csv")
