"""The word list against vocabularies of real models, where they have been fetched: ``python -m benchmarks.vocabularies``."""

from __future__ import annotations

import pytest

from benchmarks.vocabularies import VOCABULARIES, Vocabulary
from generator.workload.synthetic import words


@pytest.mark.parametrize(
    "vocabulary",
    [
        pytest.param(
            v, id=v.name, marks=pytest.mark.skipif(not v.path.exists(), reason="python -m benchmarks.vocabularies")
        )
        for v in VOCABULARIES
    ],
)
def test_every_word_of_a_prompt_is_one_token(vocabulary: Vocabulary) -> None:
    """With its leading blank, as it stands everywhere but at the start; and the check can fail: no vocabulary has made-up words."""
    is_one = vocabulary.is_one()
    assert [word for word in words() if not is_one(f" {word}")] == []
    assert not is_one(" zxqvjkwpt")
