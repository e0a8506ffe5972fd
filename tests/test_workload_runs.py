"""Whole runs of content: each arrival asks just what the dataset, the group or the trace says, whichever worker sends it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.processes import openloop
from generator.job import DatasetOptions
from generator.workload.dataset import Dataset

FAST = {"url": "simulator", "simulator": {"ttft": "5ms", "itl": "1ms"}}


def asked(run: Path, step: int = 0) -> dict[int, dict[str, object]]:
    """Arrival number → the row of texts that was kept of it."""
    rows = pq.read_table(run / "texts.parquet").to_pylist()
    return {row["request_id"] % 10**9: row for row in rows if row["request_id"] // 10**9 == step}


def test_a_shuffled_dataset_over_two_workers(tmp_path: Path) -> None:
    """Arrival n asks the n-th prompt of the seed's order, twice round the file; each record's own output length is asked for."""
    file = tmp_path / "p.jsonl"
    file.write_text("".join(json.dumps({"q": f"how many is {n}", "k": 2 + n % 3}) + "\n" for n in range(20)))
    scenario = {
        "seed": 9,
        "workers": 2,
        "target": FAST,
        "record": {"texts": "all"},
        "workload": {"prompts": {"file": str(file), "field": "q", "order": "shuffled", "output_tokens_field": "k"}},
        "steps": [{"rate": "40/s", "requests": 40}],
    }
    run = openloop(scenario, "d", tmp_path, expect=(0, 3)).run
    texts = asked(run)
    expected = Dataset(file, DatasetOptions(field="q", order="shuffled"), (9, 0))
    assert len(texts) == 40
    assert all(expected.text(n) in str(row["prompt"]) for n, row in texts.items())
    rows = pq.read_table(run / "requests.parquet").to_pylist()
    main = {row["request_id"]: row for row in rows if row["phase"] == "main"}
    assert {row["worker_id"] for row in main.values()} == {0, 1}
    assert all(
        row["output_tokens"] == row["output_tokens_wanted"] == expected.record(n)["k"] for n, row in main.items()
    )


def test_groups_on_the_wire(tmp_path: Path) -> None:
    """Of 24 arrivals, 3 groups of 4 and then 3 new ones: six prefixes, each of four prompts."""
    scenario = {
        "seed": 9,
        "target": FAST,
        "record": {"texts": "all"},
        "workload": {
            "input_tokens": 64,
            "output_tokens": 2,
            "shared_prefix": {"groups": 3, "prompts": 4, "tokens": 30},
        },
        "steps": [{"concurrency": 3, "requests": 24}],
    }
    texts = asked(openloop(scenario, "g", tmp_path, expect=(0, 3)).run)
    prefixes = Counter(" ".join(str(row["prompt"]).split(" ")[:29]) for row in texts.values())
    assert sorted(prefixes.values()) == [4] * 6
