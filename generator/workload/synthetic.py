"""Prompts of a wanted length, out of words that are single tokens, no two alike from the first word on.

A prompt is [shared prefix] + six words that spell (seed, step, arrival number) + a slice of one long text. The spelling is a
bijection on 66 bits, so no two arrivals of a run begin alike, no prefix cache has seen them, and nothing is stored to know it.
The slice costs two look-ups however long the prompt. Where a tokenizer was asked which words are single tokens to it, only those are
used; with fewer of them the spelling takes more words.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import resources

import numpy as np

CODE_WORDS = 6
_BITS = 66
_MASK = (1 << _BITS) - 1
_TEXT_WORDS = 1 << 14  # few enough that making them does not hold up a worker that probes

# Odd, so each multiplication is a bijection mod 2⁶⁶; the digits are those of the golden ratio and of √3.
_STIR = (0x1_9E37_79B9_7F4A_7C15, 0x2_BB67_AE85_84CA_A73B)


@lru_cache(maxsize=1)
def words() -> tuple[str, ...]:
    """The word list, 2,048 of them at least; each with its leading space is one token in the vocabularies named in words.txt."""
    text = resources.files("generator.workload").joinpath("words.txt").read_text(encoding="ascii")
    return tuple(line for line in text.split("\n") if line and not line.startswith("#"))


def mix(value: int) -> int:
    """A bijection of [0, 2⁶⁶): neighbours end up far apart, above all in the bits that the first words spell."""
    for odd in _STIR:
        value = value * odd & _MASK
        value ^= value >> 33
    return value


def spell(seed: tuple[int, int], n: int) -> int:
    """66 bits out of the run's seed, the step and the arrival: distinct for all arrivals below 2³⁰ of steps below 2¹⁶ of one run."""
    hashed = (seed[0] * 0x9E37_79B9_7F4A_7C15 & (1 << 64) - 1) >> 44
    return mix((hashed << 46 | (seed[1] & 0xFFFF) << 30 | (n & (1 << 30) - 1)) & _MASK)


class Synthetic:
    """Text by (arrival number, words). The long text is the run's own; all steps and workers of a run have the same.

    ``vocabulary``: the words to use, 256 at least, words.txt's unless said; of them as many as a whole number of bits can name.
    """

    def __init__(
        self, seed: tuple[int, int], shared_prefix_words: int = 0, vocabulary: tuple[str, ...] | None = None
    ) -> None:
        self._seed = seed
        vocabulary = vocabulary or words()
        self._word_bits = min(11, len(vocabulary).bit_length() - 1)
        self._words = vocabulary
        self.code_words = -(-_BITS // self._word_bits)
        self._text, self._starts = _long_text(seed[0], vocabulary)
        self._prefix_words = shared_prefix_words
        self._prefix = self.slice(0, shared_prefix_words)

    def text(self, n: int, count: int) -> str:
        """A prompt of ``count`` words, the shared prefix included; at least one word is the prompt's own."""
        shared = min(self._prefix_words, count - 1)
        own = self.spelt(spell(self._seed, n), count - shared)
        if not shared:
            return own
        return f"{self._prefix if shared == self._prefix_words else self.slice(0, shared)} {own}"

    def spelt(self, code: int, count: int) -> str:
        """``count`` ≥ 1 words, of which the first spell the 66 bits of ``code``, as far as they go."""
        bits, words = self._word_bits, self._words
        head = " ".join([words[code >> bits * k & (1 << bits) - 1] for k in range(min(self.code_words, count))])
        rest = count - self.code_words
        return f"{head} {self.slice(code % _TEXT_WORDS, rest)}" if rest > 0 else head

    def word(self, number: int) -> str:
        """One of the words, by a number that may be any."""
        return self._words[number & (1 << self._word_bits) - 1]

    def slice(self, first: int, count: int) -> str:
        """``count`` words of the endless repetition of the text, from word ``first``."""
        parts = []
        while count > 0:
            take = min(count, _TEXT_WORDS - first)
            parts.append(self._text[self._starts[first] : self._starts[first + take] - 1])
            first, count = 0, count - take
        return " ".join(parts)

    def everything(self) -> str:
        """The long text, of 16,384 words: each pair of neighbours that a slice can hold."""
        return self._text[:-1]


@lru_cache(maxsize=2)
def _long_text(seed: int, vocabulary: tuple[str, ...]) -> tuple[str, list[int]]:
    """16,384 random words, each followed by a space, and where each starts."""
    chosen = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0xFFFF_FFFF,))).integers(
        0, len(vocabulary), _TEXT_WORDS
    )
    picked = [vocabulary[i] for i in chosen]
    lengths = np.fromiter((len(w) + 1 for w in picked), dtype=np.int64, count=_TEXT_WORDS)
    return " ".join(picked) + " ", [0, *np.cumsum(lengths).tolist()]
