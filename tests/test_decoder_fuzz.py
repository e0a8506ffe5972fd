"""Any bytes, and transcripts spoilt in any way, either decode or become one of our outcomes: never an exception, and the same
whole and byte by byte. A few hundred examples each; for longer:

    OPENLOOP_FUZZ_S=3600 pytest -s tests/test_decoder_fuzz.py -k for_as_long
"""

from __future__ import annotations

import os
import sys
from collections import Counter

import pytest
from fuzz import SEEDS, SUBJECTS, TYPES, check, check_quickly, retyped, spoilt
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from generator import clock

QUICK = settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow], deadline=None)
LONG = settings(
    max_examples=400,
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
SECONDS = float(os.environ.get("OPENLOOP_FUZZ_S", "0"))


@pytest.mark.parametrize("subject", SUBJECTS)
@QUICK
@given(st.binary(max_size=200), st.sampled_from(TYPES), st.integers(0, 10_000), st.booleans())
def test_any_bytes(subject: str, text: bytes, content_type: str, cut: int, keep_text: bool) -> None:
    """Noise is no answer, and no exception."""
    check(SUBJECTS[subject][0], text, content_type, cut, keep_text)


@pytest.mark.parametrize("subject", SUBJECTS)
@QUICK
@given(st.data())
def test_spoilt_transcripts(subject: str, data: st.DataObject) -> None:
    """What was an answer once is one still, or says what is wrong with it."""
    api, folder = SUBJECTS[subject]
    text = data.draw(spoilt(SEEDS[folder]))
    check(api, text, data.draw(st.sampled_from(TYPES[:3])), data.draw(st.integers(0, 10_000)), data.draw(st.booleans()))


@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_value_of_every_wrong_type(subject: str) -> None:
    """No place of any transcript can hold a value that raises, or that means one thing in a stream and another in a piece."""
    api, folder = SUBJECTS[subject]
    for seed in SEEDS[folder]:
        for text in retyped(seed):
            check_quickly(api, text, TYPES[0] if seed[:1] != b"{" else TYPES[1])


@pytest.mark.skipif(not SECONDS, reason="OPENLOOP_FUZZ_S gives the seconds")
@pytest.mark.timeout(0)
def test_for_as_long_as_is_asked() -> None:
    """As above, all APIs by turns, until the time is over; tells how many examples it tried."""
    end_ns = clock.monotonic_ns() + int(SECONDS * 1e9)
    tried: Counter[str] = Counter()
    while clock.monotonic_ns() < end_ns:
        for subject in SUBJECTS:
            _for_long(subject, tried)
        print(f"{sum(tried.values())} examples: {dict(tried)}", file=sys.stderr, flush=True)


def _for_long(subject: str, tried: Counter[str]) -> None:
    api, folder = SUBJECTS[subject]
    texts = st.one_of(spoilt(SEEDS[folder]), spoilt(SEEDS[folder]), st.binary(max_size=300))

    @LONG
    @given(texts, st.sampled_from(TYPES), st.integers(0, 10_000), st.booleans())
    def one(text: bytes, content_type: str, cut: int, keep_text: bool) -> None:
        tried[subject] += 1
        check(api, text, content_type, cut, keep_text)

    one()
