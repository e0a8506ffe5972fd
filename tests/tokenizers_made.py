"""Small tokenizers, trained on the spot: files that a user would give as ``target.tokenizer``."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from generator.workload.synthetic import words


def byte_level(path: Path, known: int, seen: int = 5) -> Path:
    """A GPT-2 style BPE to which the first ``known`` words are single tokens, with a space before them and without."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=256 + 8 * known, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    taught = words()[:known]
    made.train_from_iterator([text for end in " \n" for text in [end.join(taught)] * seen], trainer)
    made.save(str(path))
    return path


def word_level(path: Path) -> Path:
    """One that drops what is between words, so that it has no token for the end of a line."""
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate((*words(), "[UNK]"))}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.save(str(path))
    return path
