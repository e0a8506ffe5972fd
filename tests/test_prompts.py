"""``openloop prompts``: records of the wanted lengths, the same for the same seed, that a scenario takes again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tokenizers_made
from click.testing import CliRunner

from console import exits
from console.cli import main, openloop
from generator import run_dir
from generator.job import Correction
from generator.planning import plan
from generator.scenario import reading
from generator.workload import make, tokenizer


def written(*arguments: str, file: Path) -> list[dict[str, object]]:
    assert main(["prompts", *arguments, "-o", str(file)]) == exits.GOOD
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_records_of_wanted_lengths(tmp_path: Path) -> None:
    """N lines with the lengths that were asked for; without a tokenizer a word is a token; no output length unless one is asked for."""
    made = written("-n", "20", "--input-tokens", "{uniform: [10, 30]}", "--seed", "1", file=tmp_path / "p.jsonl")
    assert len(made) == 20
    assert all(len(str(r["prompt"]).split(" ")) == r["input_tokens"] for r in made)
    assert len({r["input_tokens"] for r in made}) > 5
    assert set(made[0]) == {"prompt", "input_tokens"}
    assert (
        written("-n", "20", "--input-tokens", "{uniform: [10, 30]}", "--seed", "1", file=tmp_path / "q.jsonl") == made
    )
    assert written("-n", "1", "--seed", "2", file=tmp_path / "r.jsonl")[0]["input_tokens"] == 512


def test_standard_output_is_the_file() -> None:
    """Without -o the lines go to standard output, and nothing else does."""
    done = CliRunner().invoke(openloop, ["prompts", "-n", "3", "--input-tokens", "9", "--output-tokens", "4"])
    assert [json.loads(line)["output_tokens"] for line in done.stdout.splitlines()] == [4, 4, 4]
    assert done.stderr == ""


def test_groups_and_pairs(tmp_path: Path) -> None:
    """Prefixes are shared as asked; lengths come from the rows of a file, relative to the current folder."""
    grouped = written(
        "-n",
        "8",
        "--input-tokens",
        "9",
        "--shared-prefix",
        "{groups: 2, prompts: 4, tokens: 3}",
        file=tmp_path / "g.jsonl",
    )
    assert len({tuple(str(r["prompt"]).split(" ")[:3]) for r in grouped}) == 2
    one = written("-n", "8", "--input-tokens", "9", "--shared-prefix", "3", file=tmp_path / "o.jsonl")
    assert len({tuple(str(r["prompt"]).split(" ")[:3]) for r in one}) == 1
    table = tmp_path / "lengths.csv"
    table.write_text("in,out\n7,1\n8,2\n")
    said = f"{{file: '{table}', input: in, output: out}}"
    paired = written("-n", "30", "--lengths", said, file=tmp_path / "l.jsonl")
    assert {(r["input_tokens"], r["output_tokens"]) for r in paired} == {(7, 1), (8, 2)}


def test_exact_by_a_tokenizer(tmp_path: Path) -> None:
    """Each prompt has its tokens by the tokenizer's count."""
    file = tokenizers_made.byte_level(tmp_path / "t.json", 400)
    made = written(
        "-n", "20", "--input-tokens", "{uniform: [5, 90]}", "--tokenizer", str(file), file=tmp_path / "p.jsonl"
    )
    ids = tokenizer.local(file)
    assert [len(ids(str(r["prompt"]))) for r in made] == [r["input_tokens"] for r in made]


def test_a_scenario_takes_it_again(tmp_path: Path) -> None:
    """The file is a dataset: its prompts and its output lengths are those of the run."""
    made = written("-n", "5", "--input-tokens", "9", "--output-tokens", "{uniform: [2, 9]}", file=tmp_path / "p.jsonl")
    (tmp_path / "s.yaml").write_text(
        "target: {url: simulator}\nworkload: {prompts: {file: p.jsonl, output_tokens_field: output_tokens}}\n"
        "steps: [{concurrency: 1, requests: 5}]\n"
    )
    planned = plan.make(reading.load(str(tmp_path / "s.yaml"), {}, []), "r", 1)
    run = run_dir.create(tmp_path, "r")
    plan.write(planned, run)
    workload = make(planned.plan.steps[0], run, Correction())
    assert [(workload.prompt(n).text, workload.prompt(n).output_tokens) for n in range(5)] == [
        (r["prompt"], r["output_tokens"]) for r in made
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input-tokens", "20x"], "--input-tokens: workload.input_tokens: "),
        (["--input-tokens", "{uniform: [9]}"], "--input-tokens"),
        (["--tokenizer", "nowhere.json"], "target.tokenizer: "),
        (["--tokenizer", "endpoint"], "--tokenizer: a tokenizer.json is wanted; there is no target to ask"),
        (["--lengths", "{file: nowhere.csv}"], "nowhere.csv: the table of lengths cannot be read"),
        (
            ["--lengths", "{file: x.csv}", "--input-tokens", "3"],
            "lengths says both lengths; input_tokens is one too many",
        ),
        (["--shared-prefix", "{groups: 2}"], "--shared-prefix: "),
        (["--seed", "-1"], "--seed"),
        (["-n", "0"], "--count"),
    ],
)
def test_errors_come_before_the_file(
    tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong names its flag; a file that was there stays as it was."""
    file = tmp_path / "p.jsonl"
    file.write_text("kept")
    assert main(["prompts", *arguments, "-o", str(file)]) == exits.WRONG
    assert message in capsys.readouterr().err
    assert file.read_text() == "kept"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Told with its name."""
    assert main(["prompts", "-n", "1", "-o", str(tmp_path / "no" / "p.jsonl")]) == exits.WRONG
    assert "p.jsonl" in capsys.readouterr().err
