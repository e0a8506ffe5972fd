"""Do the metric profiles tell what the tools themselves print? A tool and openloop take turns against the simulator; medians side by side.

Each is installed by hand in a virtual environment of its own (``pip install aiperf==0.13.0``, ``pip install guidellm==0.8.1``) and named here:
``--aiperf VENV --guidellm VENV``. The load is the same for both: so many concurrent requests of so many tokens, one after another. The tool's
figure is the median that its JSON holds; openloop's is that of ``openloop report --profile TOOL`` over its own run. The responses are not the
same ones, so what the target's jitter does to a median of so few is between the two, and what the tool's own event loop adds.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import harness
from benchmarks.processes import OPENLOOP, ROOT, BenchmarkError, environment, openloop, simulator, verdict_of

TARGET = {"ttft": "400ms", "itl": "20ms", "jitter": 0.05, "tokens_per_chunk": 4, "reasoning": "25%", "head": "at-once"}
OUTPUT_TOKENS = 80
INPUT_WORDS = 60

_WORDS = [
    "time",
    "year",
    "people",
    "way",
    "day",
    "man",
    "thing",
    "woman",
    "life",
    "child",
    "world",
    "school",
    "state",
    "family",
    "student",
    "group",
    "country",
    "problem",
    "hand",
    "part",
]

_TOKENIZER = """
import sys
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
letters = sorted(pre_tokenizers.ByteLevel.alphabet())
made = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate([*letters, "<s>"])}, merges=[]))
made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(), decoders.ByteLevel()
PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="<s>", unk_token="<s>").save_pretrained(sys.argv[1])
"""
"""A tokenizer of single bytes: AIPerf wants one even where it takes the target's own counts, and would fetch it from a network."""

Figures = dict[str, float]
"""A tool's metric, as it calls it → its median in ms."""


def _prompts(n: int) -> list[str]:
    drawn = random.Random(7)
    return [" ".join(drawn.choices(_WORDS, k=INPUT_WORDS)) for _ in range(n)]


def aiperf(venv: Path, url: str, folder: Path, concurrency: int, requests: int) -> Figures:
    asked = folder / "aiperf.jsonl"
    asked.write_text(
        "".join(json.dumps({"text": p, "output_length": OUTPUT_TOKENS}) + "\n" for p in _prompts(requests))
    )
    _run([venv / "bin" / "python", "-c", _TOKENIZER, folder / "tokenizer"])
    out = folder / "aiperf"
    words = ["--url", url.removesuffix("/v1"), "--endpoint-type", "chat", "--streaming", "--model", "simulated"]
    words += ["--concurrency", concurrency, "--request-count", requests, "--input-file", asked]
    words += ["--custom-dataset-type", "single_turn", "--use-server-token-count", "--tokenizer", folder / "tokenizer"]
    words += ["--extra-inputs", f"max_completion_tokens:{OUTPUT_TOKENS}", "--ui", "none", "--artifact-dir", out]
    _run([venv / "bin" / "aiperf", "profile", *words])
    said = json.loads((out / "profile_export_aiperf.json").read_bytes())
    names = ("time_to_first_token", "inter_token_latency", "inter_chunk_latency", "request_latency")
    return {name: float(said[name]["p50"]) for name in names}


def guidellm(venv: Path, url: str, folder: Path, concurrency: int, requests: int) -> Figures:
    asked, out = folder / "guidellm.jsonl", folder / "guidellm.json"
    lines = [json.dumps({"prompt": p, "output_tokens_count": OUTPUT_TOKENS}) + "\n" for p in _prompts(requests)]
    asked.write_text("".join(lines))
    words = ["--backend", f"kind=openai_http,target={url.removesuffix('/v1')},model=simulated"]
    words += ["--profile", f"kind=concurrent,streams={concurrency}"]
    words += ["--constraint", f"kind=max_requests,count={requests}", "--data", f"kind=json_file,path={asked}"]
    words += ["--output", f"kind=json,path={out}", "--disable-console"]
    _run([venv / "bin" / "guidellm", "run", *words])
    metrics = json.loads(out.read_bytes())["benchmarks"][0]["metrics"]
    names = ("time_to_first_token", "inter_token_latency", "time_per_output_token")
    found = {name: float(metrics[f"{name}_ms"]["successful"]["median"]) for name in names}
    return found | {"request_latency": float(metrics["request_latency"]["successful"]["median"]) * 1e3}


def _run(command: list[object]) -> None:
    words = [str(word) for word in command]
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=600, env=os.environ | {"COLUMNS": "200"}
    )
    if done.returncode:
        raise BenchmarkError(
            f"{Path(words[0]).name} ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}"
        )


TOOLS: Mapping[str, Callable[[Path, str, Path, int, int], Figures]] = {"aiperf": aiperf, "guidellm": guidellm}


def profiled(run: Path, tool: str) -> Figures:
    """The medians of ``openloop report RUN --profile TOOL``."""
    words = [*OPENLOOP, "report", str(run), "--profile", tool, "--format", "json"]
    said = subprocess.run(words, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    if said.returncode:
        raise BenchmarkError(f"openloop report --profile {tool} ended with {said.returncode}: {said.stderr[-1000:]}")
    rows: list[dict[str, Any]] = json.loads(said.stdout)["profiles"][0]["figures"]
    return {row["metric"]: row["p50_ms"] for row in rows}


def measure() -> None:
    parser = harness.arguments(__doc__)
    for tool in TOOLS:
        parser.add_argument(f"--{tool}", type=Path, metavar="VENV", help=f"the virtual environment with {tool} in it")
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--requests", type=int, default=80)
    options = parser.parse_args()
    venvs = {tool: getattr(options, tool) for tool in TOOLS if getattr(options, tool)}
    if not venvs:
        parser.error("name the virtual environment of at least one tool")
    made = harness.machine()
    rows: list[harness.Row] = []
    verdicts = []
    with harness.folder(options) as folder, simulator(None, **TARGET) as server:
        for tool, venv in venvs.items():
            own = TOOLS[tool](venv.absolute(), server["url"], folder, options.concurrency, options.requests)
            run = openloop(_scenario(server["url"], options), f"beside-{tool}", folder).run
            verdicts.append(verdict_of(run))
            ours = profiled(run, tool)
            for metric, value in own.items():
                rows.append(
                    {
                        "tool": tool,
                        "metric": metric,
                        "own_p50_ms": value,
                        "profile_p50_ms": ours[metric],
                        "difference_share": value / ours[metric] - 1,
                    }
                )
    load = f"{options.requests} requests each, {options.concurrency} at a time, {OUTPUT_TOKENS} tokens"
    harness.finish(
        options, "Tools beside their profiles", made, rows, f"{load}. openloop's runs: {'; '.join(verdicts)}."
    )


def _scenario(url: str, options: Any) -> dict[str, Any]:
    return {
        "name": "beside",
        "seed": 42,
        "target": {"url": url, "api": "openai-chat", "model": "simulated"},
        "workload": {"input_tokens": INPUT_WORDS, "output_tokens": OUTPUT_TOKENS},
        "steps": [{"arrivals": "closed", "concurrency": options.concurrency, "requests": options.requests}],
    }


if __name__ == "__main__":
    harness.main(measure)
