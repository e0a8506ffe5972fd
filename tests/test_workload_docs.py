"""The page on workloads: each of its scenarios is planned as it stands, each of its commands runs."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tokenizers_made

from console import exits
from console.cli import main
from generator import run_dir
from generator.job import Correction
from generator.planning import plan
from generator.scenario import reading
from generator.workload import make

PAGE = (Path(__file__).parents[1] / "docs" / "workloads.md").read_text()
SCENARIOS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"^\$ openloop (.*)$", PAGE, re.MULTILINE)
AZURE = "".join(f"2023-11-16 18:{m:02}:46.6805900,{300 + m},{m + 1}\n" for m in range(15, 20))


def parquet(rows: list[dict[str, int]]) -> Callable[[Path], object]:
    return lambda path: pq.write_table(pa.Table.from_pylist(rows), path)


def text(content: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(content)


FILES: dict[str, Callable[[Path], object]] = {
    "tokenizer.json": lambda path: tokenizers_made.byte_level(path, 300),
    "etalon_sharegpt_8k_stats.csv": text("num_prefill_tokens,num_decode_tokens\n74,918\n290,905\n"),
    "answers.parquet": parquet([{"tokens": 5}, {"tokens": 9}]),
    "gsm8k_test.jsonl": text(
        "".join(json.dumps({"question": f"How many is {n}? " * 4, "answer": "?"}) + "\n" for n in range(9))
    ),
    "made.jsonl": text(json.dumps({"prompt": "one two", "input_tokens": 2, "output_tokens": 7}) + "\n"),
    "AzureLLMInferenceTrace_conv.csv": text("TIMESTAMP,ContextTokens,GeneratedTokens\n" + AZURE),
    "log.parquet": parquet([{"at": s, "asked": 50 + s, "answered": 3} for s in range(5)]),
    "mooncake_conversation_trace.jsonl": text(
        '{"timestamp": 0, "input_length": 600, "output_length": 5, "hash_ids": [0, 1]}\n'
        '{"timestamp": 9, "input_length": 700, "output_length": 5, "hash_ids": [0, 2]}\n'
    ),
}


@pytest.mark.parametrize("number", range(len(SCENARIOS)))
def test_each_scenario_of_the_page(tmp_path: Path, number: int) -> None:
    """It loads, plans, and its first prompts can be made, with small files of the names and forms that it uses."""
    for name, write in FILES.items():
        if name in SCENARIOS[number]:
            write(tmp_path / name)
    (tmp_path / "s.yaml").write_text(SCENARIOS[number])
    planned = plan.make(reading.load(str(tmp_path / "s.yaml"), {}, []), "r", 1)
    run = run_dir.create(tmp_path, "r")
    plan.write(planned, run)
    for step in planned.plan.steps:
        prompts = [make(step, run, Correction()).prompt(n) for n in range(2)]
        assert all(p.text and p.output_tokens for p in prompts)


def test_every_file_of_the_page_is_made() -> None:
    """The files above are those that the page names, no more and no fewer."""
    named = set(re.findall(r"(?:file|tokenizer): ([\w.]+\.\w+)", "".join(SCENARIOS)))
    assert named == set(FILES)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """It ends well."""
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(command)) == exits.GOOD
