"""Files that anybody may have written: whatever is in them, they are read or refused with their name, never another exception."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from generator.errors import ScenarioError
from generator.job import DatasetOptions
from generator.workload import picking, trace
from generator.workload.dataset import Dataset

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
MESSAGE = st.fixed_dictionaries(
    {}, optional={k: JSON | st.sampled_from(["human", "gpt", "user"]) for k in ("role", "content", "from", "value")}
)
RECORD = st.fixed_dictionaries(
    {}, optional={k: JSON | st.lists(MESSAGE | JSON, max_size=4) for k in ("prompt", "messages", "turns", "n", "a.b")}
)
NAMES = ("f.jsonl", "f.json", "f.csv", "f.txt", "f.parquet", "f.jsonl.gz", "f.csv.gz")
T = TypeVar("T")
FUZZ = settings(max_examples=150, deadline=None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def read_or_refused(path: Path, read: Callable[[], T]) -> T | None:
    """What was read; None where it was refused by name."""
    refusal = ""
    try:
        return read()
    except ScenarioError as e:
        refusal = str(e)
    assert str(path) in refusal
    return None


@given(RECORD, st.sampled_from([None, "prompt", "a.b", "messages.x"]), st.booleans())
@FUZZ
def test_any_record_is_picked_or_refused(record: dict[str, object], field: str | None, whole: bool) -> None:
    """A ValueError says what is wrong; what is picked has a text and at least one turn."""
    with contextlib.suppress(ValueError):
        picked = picking.pick(record, field, whole=whole)
        assert isinstance(picked.text, str)
        assert picked.turns
        assert picked.messages is None or picked.messages[-1]["role"] != "assistant"
    with contextlib.suppress(ValueError):
        assert picking.number(record, "n") >= 1


@given(st.sampled_from(NAMES), st.binary(max_size=120) | st.lists(RECORD, max_size=3), st.booleans())
@example("f.jsonl", b'{"prompt": "\\ud800"}', False)
@example("f.json", b"[" * 3000, False)
@example("f.json", b'[{"prompt": "a", "n": [NaN, 99999999999999999999999, -9223372036854775809]}]', False)
@example("f.csv", b"prompt\n\x00a\n", False)
@FUZZ
def test_any_bytes_are_a_dataset_or_refused(folder: Path, name: str, content: object, shuffled: bool) -> None:
    """A ScenarioError names the file; a dataset gives each of its prompts again."""
    data = content if isinstance(content, bytes) else "\n".join(json.dumps(r) for r in content).encode()  # type: ignore[attr-defined] # a list
    path = folder / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") and data[:1] != b"\x1f" else data)
    options = DatasetOptions(order="shuffled" if shuffled else "in-order", min_chars=1)
    read = read_or_refused(path, lambda: Dataset(path, options))
    assert read is None or all(read.text(n).encode() and read.turns(n) for n in range(len(read)))


TRACED = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("time", "timestamp", "input_tokens", "output_tokens", "hash_ids", "session_id"), JSON)
)


@given(st.sampled_from(NAMES), st.binary(max_size=120) | st.lists(TRACED, max_size=4), st.none() | st.floats(0, 9))
@example("f.jsonl", [{"time": 1e308, "input_tokens": 1, "output_tokens": 1}], None)
@example(
    "f.jsonl",
    [
        {"time": "9999-12-31", "input_tokens": 1, "output_tokens": 1},
        {"time": -9e300, "input_tokens": 1, "output_tokens": 1},
    ],
    None,
)
@FUZZ
def test_any_bytes_are_a_trace_or_refused(folder: Path, name: str, content: object, end_s: float | None) -> None:
    """A ScenarioError names the file; a trace's times ascend from the window's start, its lengths are at least 1."""
    data = content if isinstance(content, bytes) else "\n".join(json.dumps(r) for r in content).encode()  # type: ignore[attr-defined] # a list
    path = folder / name
    path.write_bytes(data)
    read = read_or_refused(path, lambda: trace.load(path, end_s=end_s))
    if read is None:
        return
    assert (read.times_ns >= 0).all()
    assert (read.times_ns[1:] >= read.times_ns[:-1]).all()
    assert (read.lengths >= 1).all()
