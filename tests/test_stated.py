"""What refusals state of the limit that was hit, on texts as OpenAI, Groq, Azure and Anthropic have written them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.apis.api import Stated
from generator.apis.failures import classify
from generator.apis.stated import stated

OPENAI = (
    "Rate limit reached for gpt-4 in organization org-x on tokens per min (TPM): Limit 10000, Used 8554, Requested 3082. "
    "Please try again in 9.816s. Visit https://platform.openai.com/account/rate-limits to learn more."
)
GROQ = (
    "Rate limit reached for model `llama3-70b-8192` in organization `org_x` on tokens per minute (TPM): Limit 7000, Used 0, "
    "Requested ~12903. Please try again in 50.597142857s. Visit https://console.groq.com/docs/rate-limits for more information."
)
GROQ_MINUTES = (
    "Rate limit reached for model `llama-3.3-70b-versatile` in organization `org_x` service tier `on_demand` on tokens per day "
    "(TPD): Limit 100000, Used 97050, Requested 3619. Please try again in 9m38.016s. Need more tokens?"
)
GROQ_NAMELESS = (
    "Rate limit reached for model `llama3-70b-8192` in organization `org_x` on : Limit 500000, Used 500370, Requested 252. "
    "Please try again in 1m47.5854s."
)
GROQ_TOO_LARGE = (
    "Request too large for model `llama-3.1-8b-instant` in organization `x` service tier `on_demand` on tokens per minute (TPM): "
    "Limit 6000, Requested 6294, please reduce your message size and try again."
)
OPENAI_2023 = (
    "Rate limit reached for default-gpt-3.5-turbo in organization org-x on requests per min. Limit: 3 / min. "
    "Please try again in 20s. Contact us through our help center"
)
OPENAI_2023_TOKENS = "Rate limit reached for default-gpt-4 in organization org-x on tokens per min. Limit: 40,000 / min. Current: 39,500 / min."
AZURE = (
    "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2023-05-15 have exceeded token rate limit "
    "of your current OpenAI S0 pricing tier. Please retry after 20 seconds. Please contact Azure support"
)
ANTHROPIC = (
    "This request would exceed your organization's rate limit of 40,000 input tokens per minute (org: x, model: claude). "
    "For details, refer to: https://docs.claude.com/en/api/rate-limits."
)


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (OPENAI, Stated("TPM", 10_000, 8_554, 3_082, 9.816)),
        (GROQ, Stated("TPM", 7_000, 0, 12_903, 50.597142857)),
        (GROQ_MINUTES, Stated("TPD", 100_000, 97_050, 3_619, 578.016)),
        (GROQ_NAMELESS, Stated(None, 500_000, 500_370, 252, 107.5854)),
        (GROQ_TOO_LARGE, Stated("TPM", 6_000, None, 6_294, None)),
        (OPENAI_2023, Stated("requests per min", 3, None, None, 20.0)),
        (OPENAI_2023_TOKENS, Stated("tokens per min", 40_000, 39_500, None, None)),
        (AZURE, Stated(None, None, None, None, 20.0)),
        (ANTHROPIC, Stated("input tokens per minute", 40_000, None, None, None)),
        ("Model rate limit exceeded. RPM limit=10, current usage=11", Stated("RPM", 10, 11, None, None)),
        ("Please try again in 308ms.", Stated(wait_s=0.308)),
        ("Please try again in 6m0s.", Stated(wait_s=360.0)),
        ("Rate limit exceeded, slow down", None),
        ("Used 5, Requested 7", None),  # of what, nobody knows
        ("Limit ,,, reached", None),
        ("", None),
    ],
)
def test_messages(message: str, found: Stated | None) -> None:
    """Each figure comes out as it stands, thousands' commas and tildes left out; what is not said is None."""
    seen = stated(message)
    if found is None or seen is None:
        assert seen is found
        return
    assert (seen.dimension, seen.limit, seen.used, seen.requested) == (
        found.dimension,
        found.limit,
        found.used,
        found.requested,
    )
    assert seen.wait_s == pytest.approx(found.wait_s)


@pytest.mark.parametrize(("message", "rate_per_s"), [(OPENAI, 10_000 / 60), (GROQ_MINUTES, None)])
def test_the_refill_follows(message: str, rate_per_s: float | None) -> None:
    """(U + R − L) / w is the bucket's refill: a limit per minute gives it back; one per day does, too."""
    seen = stated(message)
    assert seen is not None
    refill = (seen.used + seen.requested - seen.limit) / seen.wait_s
    assert refill == pytest.approx(rate_per_s or 100_000 / 86_400, rel=0.01)


@pytest.mark.parametrize(("status", "kept"), [(429, True), (413, True), (503, True), (400, False), (500, False)])
def test_only_refusals_state_limits(status: int, kept: bool) -> None:
    """A 400 that speaks of a limit speaks of something else, the context's length perhaps."""
    body = b'{"error":{"message":"Limit 5, Used 4, Requested 2. Please try again in 1s","type":"x"}}'
    assert (classify(status, [], body).stated is not None) is kept


@given(st.text(alphabet="limtusedrq 0123456789,.~:agnshmTPM()", max_size=80))
def test_any_message_is_survived(message: str) -> None:
    """No message raises, and what comes out fits its columns."""
    seen = stated("Limit 5. Please try again in " + message)
    assert seen is not None
    for value in (seen.limit, seen.used, seen.requested):
        assert value is None or 0 <= value < 2**63
