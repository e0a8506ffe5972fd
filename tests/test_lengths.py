"""Lengths out of files: drawn by the seed or in order, alone or in pairs, from any file with named columns."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from generator import run_dir
from generator.errors import ScenarioError
from generator.job import Correction, Length
from generator.planning import plan
from generator.scenario import reading
from generator.workload import lengths, make

ETALON = "num_prefill_tokens,num_decode_tokens,num_total_tokens,pd_ratio\n74,918,992,0.08\n290,905,1195,0.32\n1402,711,2113,1.97\n"
ROWS = [(74, 918), (290, 905), (1402, 711)]


def planned(folder: Path, workload: dict[str, Any], **keys: Any) -> plan.Planned:
    """A closed step of 300 requests with this workload."""
    file = folder / "s.yaml"
    data = {
        "seed": 7,
        "target": {"url": "simulator"},
        "workload": workload,
        "steps": [{"concurrency": 2, "requests": 300}],
    }
    file.write_text(yaml.safe_dump(data | keys))
    return plan.make(reading.load(str(file), {}, []), "r", 1)


def prompts(folder: Path, made: plan.Planned, count: int = 300) -> list[tuple[int | None, int | None]]:
    """Input and output lengths, as a worker makes them from the plan's files."""
    run = run_dir.create(folder, "r")
    plan.write(made, run)
    workload = make(made.plan.steps[0], run, Correction())
    return [(p.input_tokens, p.output_tokens) for p in map(workload.prompt, range(count))]


def test_pairs_belong_together(tmp_path: Path) -> None:
    """A file of pairs as it is: each request has a row's two lengths, and every row comes about as often as any other."""
    (tmp_path / "etalon.csv").write_text(ETALON)
    made = planned(tmp_path, {"lengths": {"file": "etalon.csv"}})
    counts = Counter(prompts(tmp_path, made))
    assert set(counts) == set(ROWS)
    assert min(counts.values()) > 70  # 100 expected, σ 8.2
    spec = made.plan.steps[0].workload
    assert (spec.input_tokens.mean, spec.output_tokens.mean) == (
        pytest.approx(588.667, abs=0.001),
        pytest.approx(844.667, abs=0.001),
    )
    assert made.needs.input_tokens == pytest.approx(300 * 588.667, rel=1e-4)


def test_pairs_in_order(tmp_path: Path) -> None:
    """Row after row, from the start again: a trace's lengths with gaps of one's own."""
    (tmp_path / "etalon.csv").write_text(ETALON)
    lengths = {"file": "etalon.csv", "order": "in-order"}
    assert prompts(tmp_path, planned(tmp_path, {"lengths": lengths}), 7) == [*ROWS, *ROWS, ROWS[0]]


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.jsonl", "t.json", "t.parquet"])
def test_a_column_of_any_file(tmp_path: Path, name: str) -> None:
    """One column, in every form that has columns; the other length is what the workload says."""
    records = [{"a": 5, "b": 50}, {"a": 6, "b": 60}]
    text = {"csv": "a,b\n5,50\n6,60\n", "jsonl": "\n".join(map(json.dumps, records)), "json": json.dumps(records)}
    if name.endswith("parquet"):
        pq.write_table(pa.Table.from_pylist(records), tmp_path / name)
    else:
        data = text[name.split(".")[1]].encode()
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    workload = {"input_tokens": {"empirical": {"file": name, "column": "b"}}, "output_tokens": 3}
    assert set(prompts(tmp_path, planned(tmp_path, workload))) == {(50, 3), (60, 3)}


def test_two_columns_drawn_apart(tmp_path: Path) -> None:
    """Empirical lengths that are not a pair are drawn independently; a length of none is asked for as one."""
    (tmp_path / "t.csv").write_text("a,b\n10,0\n20,2\n")
    workload = {
        k: {"empirical": {"file": "t.csv", "column": c}} for k, c in (("input_tokens", "a"), ("output_tokens", "b"))
    }
    counts = Counter(prompts(tmp_path, planned(tmp_path, workload)))
    assert set(counts) == {(10, 1), (10, 2), (20, 1), (20, 2)}
    assert min(counts.values()) > 45  # 75 expected, σ 7.5


def test_a_matrix_of_files(tmp_path: Path) -> None:
    """An empirical length may be a value of the matrix; its cell is named after file and column, its path is the scenario's."""
    (tmp_path / "t.csv").write_text("a,b\n10,0\n")
    matrix = {"input_tokens": [64, {"empirical": {"file": "t.csv", "column": "a"}}]}
    made = planned(tmp_path, {}, matrix=matrix)
    assert [s.cell for s in made.plan.steps] == ["input_tokens=64", "input_tokens=empirical t.csv:a"]
    assert made.plan.steps[1].workload.input_tokens.mean == 10


@pytest.mark.parametrize(
    ("text", "workload", "message"),
    [
        ("a,b\n1,2\n", {"lengths": {"file": "t.csv"}}, "no column for input: none of ContextTokens, .* among a, b; name it by lengths.input"),
        ("a,b\n1,2\n", {"lengths": {"file": "t.csv", "input": "a", "output": "c"}}, "no column for output: none of c among a, b"),
        ("a,b\n1,2\nx,2\n", {"lengths": {"file": "t.csv", "input": "a", "output": "b"}}, r"t.csv:3: a number of tokens is wanted in a, b"),
        ("a,b\n1,2\n1.5,2\n", {"lengths": {"file": "t.csv", "input": "a", "output": "b"}}, "t.csv:3: .*'1.5' is no number of tokens"),
        ("a,b\n", {"lengths": {"file": "t.csv", "input": "a", "output": "b"}}, "t.csv: the table of lengths has no rows"),
        ("", {"lengths": {"file": "t.csv"}}, "t.csv: the table of lengths is empty"),
        ("a\n1\n", {"input_tokens": {"empirical": {"file": "t.csv", "column": "b"}}}, "no column for empirical: none of b among a"),
        ("a\n1\n", {"input_tokens": {"empirical": {"file": "u.csv", "column": "b"}}}, "u.csv: the table of lengths cannot be read"),
        ("a\n1\n", {"input_tokens": {"empirical": {"column": "b"}}}, "s.yaml:.*: workload.input_tokens.empirical: file is missing"),
        ("a\n1\n", {"lengths": {"file": "t.csv"}, "output_tokens": 3}, "lengths says both lengths; output_tokens is one too many"),
        ("a\n1\n", {"lengths": {"file": "t.csv"}, "prompts": "t.csv"}, "lengths is for synthetic prompts"),
    ],
)  # fmt: skip
def test_bad_files_and_keys(tmp_path: Path, text: str, workload: dict[str, Any], message: str) -> None:
    """Every fault is a ScenarioError that names file and line, or the key."""
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ScenarioError, match=message):
        planned(tmp_path, workload)


TABLE = np.arange(1, 61, dtype=np.int32).reshape(30, 2)


@given(
    st.integers(0, 2**63 - 1),
    st.integers(0, 9999),
    st.lists(st.integers(0, 100_000), min_size=1, max_size=30),
    st.booleans(),
)
@settings(deadline=None, max_examples=50)
def test_pure_in_seed_and_number(seed: int, step: int, numbers: list[int], paired: bool) -> None:
    """Asked in any order, by any worker, an arrival's lengths are the same; paired ones are always of one row."""
    laws = [Length("empirical", table="t", column=c, paired=paired) for c in (0, 1)]
    streams = (lengths.INPUT, lengths.OUTPUT)
    first = [lengths.Drawn(law, (seed, step), s, TABLE) for law, s in zip(laws, streams, strict=True)]
    again = [lengths.Drawn(law, (seed, step), s, TABLE) for law, s in zip(laws, streams, strict=True)]
    drawn = [(first[0][n], first[1][n]) for n in numbers]
    assert [(again[0][n], again[1][n]) for n in reversed(numbers)][::-1] == drawn
    rows = {(int(a), int(b)) for a, b in TABLE}
    assert not paired or set(drawn) <= rows


def test_draws_follow_the_tables_frequencies() -> None:
    """A value that is in three of four rows comes three times in four."""
    table = np.array([[5], [5], [5], [9]], dtype=np.int32)
    drawn = lengths.Drawn(Length("empirical", table="t"), (1, 2), lengths.INPUT, table)
    values = np.concatenate([drawn.block(b) for b in range(20)])
    assert (values == 5).mean() == pytest.approx(0.75, abs=0.012)  # σ 0.003
