"""The worker's side of recording: what it has taken is known without waiting for anybody."""

from __future__ import annotations

import pytest

from generator.recording.ledger import HAND_OVER_NS, Ledger
from generator.rows import CONTENT, TOKEN, UNKNOWN


def test_tokens_are_counted_as_they_are_taken() -> None:
    """Before they are handed over and after; the worker tells the live counters so."""
    ledger = Ledger(pytest.fail)
    row = TOKEN.pack(1, 5, 0, 0, 3, UNKNOWN, CONTENT, True)
    ledger.sink(row)
    ledger.sink(row * 2)
    assert ledger.tokens == 3
    ledger.breathe(HAND_OVER_NS + 1)
    ledger.sink(row)
    assert ledger.tokens == 4
