"""What answers are made of, and how a text's tokens are counted. It is no language: common words, drawn at random."""

from __future__ import annotations

import random
from hashlib import blake2b

# Most common first, all of plain letters.
_WORD_TEXT = """
the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which one you
were her all she there would their we him been has when who will more no if out so said what up its about into than them
can only other new some could time these two may then do first any my now such like our over man me even most made after
"""
WORDS = _WORD_TEXT.split()

POOL_SIZE = 1 << 10
POOL_MASK = POOL_SIZE - 1

_HASH_BYTES = 8


def texts(tokens_per_chunk: int, seed: int) -> list[str]:
    """The texts of :data:`POOL_SIZE` events: so many words each, a space before every word."""
    rng = random.Random(seed)
    return ["".join(" " + word for word in rng.choices(WORDS, k=tokens_per_chunk)) for _ in range(POOL_SIZE)]


def tokens(words: int, tokens_per_word: float) -> int:
    """The simulator's own rule: a word, as white space parts them, is so many tokens; the sum is rounded."""
    return round(words * tokens_per_word)


def fingerprint(text: str) -> str:
    """16 hexadecimal digits by which the truth log tells texts apart without keeping them."""
    return blake2b(text.encode("utf-8", "replace"), digest_size=_HASH_BYTES).hexdigest()
