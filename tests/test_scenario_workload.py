"""The keys of a workload and of a trace: short and long forms, what does not go together, where files are looked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers_made
import yaml

from generator import run_dir
from generator.errors import ScenarioError
from generator.job import Correction, DatasetOptions, Length
from generator.planning import plan
from generator.scenario import reading
from generator.workload import make

LINES = '{"prompt": "one", "want": 3}\n{"prompt": "four five", "want": 4}\n'


@pytest.fixture
def loaded(tmp_path: Path):
    """Loads a scenario of these keys; a closed step on the simulator unless said."""
    (tmp_path / "p.jsonl").write_text(LINES)

    def of(sets: list[str] | None = None, **keys: Any) -> reading.Scenario:
        data = {"seed": 1, "target": {"url": "simulator"}, "steps": [{"concurrency": 1, "requests": 2}]} | keys
        (tmp_path / "s.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
        return reading.load(str(tmp_path / "s.yaml"), {}, sets or [])

    return of


def spec(read: reading.Scenario) -> Any:
    return plan.make(read, "r", 1).plan.steps[0].workload


def test_prompts_short_and_long(loaded, tmp_path: Path) -> None:
    """A name alone is a file; a mapping says how it is read; either is relative to the scenario."""
    short = spec(loaded(workload={"prompts": "p.jsonl"}))
    assert (short.dataset, short.dataset_options, short.name) == (
        str(tmp_path / "p.jsonl"),
        DatasetOptions(),
        "dataset",
    )
    long = spec(
        loaded(
            workload={
                "prompts": {
                    "file": "p.jsonl",
                    "format": "jsonl",
                    "field": "prompt",
                    "order": "shuffled",
                    "min_chars": 2,
                    "max_chars": 99,
                    "output_tokens_field": "want",
                }
            }
        )
    )
    assert long.dataset == short.dataset
    assert long.dataset_options == DatasetOptions(
        "jsonl", "prompt", "shuffled", False, 2, 99, None, None, "want", False
    )


def test_files_of_a_scenario_are_beside_it_those_of_the_command_line_here(
    loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever a file is named: prompts, lengths, empirical columns in workload, steps and matrix, traces, tokenizers."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    column = {"empirical": {"file": "t.csv", "column": "a"}}
    read = loaded(
        sets=["matrix.input_tokens.1.empirical.file=u.csv"],
        target={"url": "simulator", "tokenizer": "t.json", "body": {"file": "not a file", "prompts": "none either"}},
        workload={"output_tokens": column},
        steps=[{"concurrency": 1, "requests": 1}, {"trace": {"file": "trace.csv"}, "name": "file"}],
        matrix={"input_tokens": [column, column]},
    )
    data = read.document.data
    assert data["workload"]["output_tokens"]["empirical"]["file"] == str(tmp_path / "t.csv")
    assert [m["empirical"]["file"] for m in data["matrix"]["input_tokens"]] == [
        str(tmp_path / "t.csv"),
        str(elsewhere / "u.csv"),
    ]
    assert data["steps"][1]["trace"]["file"] == str(tmp_path / "trace.csv")
    assert data["target"]["tokenizer"] == str(tmp_path / "t.json")
    assert data["target"]["body"] == {"file": "not a file", "prompts": "none either"}
    assert (
        loaded(target={"url": "simulator", "tokenizer": "endpoint"}).document.data["target"]["tokenizer"] == "endpoint"
    )


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ({"shared_prefix": {"groups": 8, "prompts": 16, "tokens": 1024}}, (1024, 8, 16)),
        ({"shared_prefix": {"groups": 8, "tokens": 64}}, (64, 8, None)),
        ({"shared_prefix": 64}, (64, 1, None)),
        ({"shared_prefix_tokens": 64}, (64, 0, None)),
    ],
)
def test_prefixes(loaded, prefix: dict[str, Any], found: tuple[Any, ...]) -> None:
    """Groups, one group, or one prefix for the whole run."""
    made = spec(loaded(workload=prefix))
    assert (made.shared_prefix_tokens, made.prefix_groups, made.prefix_prompts) == found


@pytest.mark.parametrize(
    ("workload", "message"),
    [
        ({"prompts": {"file": "p.jsonl", "order": "random"}}, r"s.yaml:\d+: workload.prompts.order: 'random' is not one of"),
        ({"prompts": {"field": "x"}}, r"s.yaml:\d+: workload.prompts: file is missing"),
        ({"prompts": {"file": "p.jsonl", "feild": "x"}}, r"workload.prompts.feild: unknown key; nearest: 'field'"),
        ({"prompts": {"file": "p.jsonl", "min_chars": 9, "max_chars": 3}}, r"workload.prompts.min_chars: min_chars 9 is above max_chars 3"),
        ({"prompts": {"file": "p.txt", "format": "text", "field": "x"}}, r"workload.prompts.field: a text file has no fields"),
        ({"prompts": {"file": "p.csv", "format": "csv", "split": "paragraphs"}}, r"workload.prompts.split: split is for text, not csv"),
        ({"prompts": {"file": "p.jsonl", "min_tokens": 3}}, r"min_tokens and max_tokens need to count; give target.tokenizer"),
        ({"prompts": "p.jsonl", "shared_prefix": 3}, r"workload.shared_prefix: shared_prefix is for synthetic prompts"),
        ({"prompts": "p.jsonl", "input_tokens": 3}, r"workload.input_tokens: input_tokens is for synthetic prompts"),
        ({"shared_prefix": 3, "shared_prefix_tokens": 3}, r"shared_prefix and shared_prefix_tokens are both given"),
        ({"shared_prefix": {"groups": 0, "tokens": 3}}, r"workload.shared_prefix.groups: .*greater than or equal to 1"),
        ({"shared_prefix": {"groups": 1_000_000, "prompts": 11, "tokens": 3}}, r"workload.shared_prefix.prompts: groups · prompts"),
        ({"lengths": {"file": "t.csv", "order": "shuffled"}}, r"workload.lengths.order: 'shuffled' is not one of"),
    ],
)  # fmt: skip
def test_what_does_not_go_together(loaded, workload: dict[str, Any], message: str) -> None:
    """Each fault names its key and what would do."""
    with pytest.raises(ScenarioError, match=message):
        plan.make(loaded(workload=workload), "r", 1)


def test_a_matrix_does_not_overrule_lengths_of_a_file(loaded, tmp_path: Path) -> None:
    """A matrix fills what is left open, and lengths leave nothing."""
    (tmp_path / "t.csv").write_text("input_tokens,output_tokens\n5,6\n")
    with pytest.raises(ScenarioError, match="the workload's lengths say input_tokens already"):
        loaded(workload={"lengths": {"file": "t.csv"}}, matrix={"input_tokens": [1, 2]})


def test_token_filters_count_with_the_targets_file(loaded, tmp_path: Path) -> None:
    """A tokenizer.json counts: of one-word and two-word prompts the first are left out."""
    tokenizers_made.word_level(tmp_path / "t.json")
    made = plan.make(
        loaded(
            target={"url": "simulator", "tokenizer": "t.json"},
            workload={"prompts": {"file": "p.jsonl", "min_tokens": 2}},
        ),
        "r",
        1,
    )
    (index,) = made.tables.values()
    assert len(index) - 1 == 1


def test_records_go_whole_to_a_plain_http_api(loaded) -> None:
    """For http-json a record needs no field that is known; for a chat it does."""
    target = {"url": "http://127.0.0.1:9", "api": "http-json", "model": "m"}
    assert not spec(loaded(workload={"prompts": "p.jsonl"})).dataset_options.whole
    made = spec(loaded(target=target, workload={"prompts": "p.jsonl"}))
    assert made.dataset_options.whole


def test_a_trace_with_hash_ids_becomes_blocks(loaded, tmp_path: Path) -> None:
    """Blocks where prompts have the trace's lengths; none where the scenario says lengths of its own, or no block_tokens."""
    rows = [{"timestamp": n, "input_length": 1000, "output_length": 3, "hash_ids": [0, n]} for n in range(4)]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    made = plan.make(
        loaded(
            steps=[
                {"trace": {"file": "m.jsonl"}},
                {"trace": {"file": "m.jsonl", "block_tokens": 0}},
                {"trace": {"file": "m.jsonl"}, "input_tokens": 64},
                {"trace": {"file": "m.jsonl", "block_tokens": 256}, "requests": 2},
            ]
        ),
        "r",
        1,
    )
    assert [s.workload.block_tokens for s in made.plan.steps] == [512, 0, 0, 256]
    assert made.tables["block-ends-0"].tolist() == [2, 4, 6, 8]
    assert made.tables["blocks-3"].tolist() == [0, 0, 0, 1]
    run = run_dir.create(tmp_path, "r")
    plan.write(made, run)
    texts = [make(made.plan.steps[0], run, Correction()).prompt(n).text.split(" ") for n in range(4)]
    assert all(text[:512] == texts[0][:512] for text in texts)
    assert len({tuple(text[512:520]) for text in texts}) == 4
    assert made.plan.steps[0].workload.input_tokens == Length("trace")
