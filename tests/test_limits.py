"""Rate-limit headers of each provider, value by value."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.apis import limits
from generator.apis.api import Limits
from generator.apis.limits import parse_limits

NOW = 1_755_780_000.0  # 2025-08-21T12:40:00Z


def parsed(now_utc_s: float | None = NOW, **headers: str) -> Limits:
    return parse_limits(
        [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()], now_utc_s
    )


def test_openai() -> None:
    """Go durations; what the target took; its own id of the request."""
    assert parsed(
        x_ratelimit_limit_requests="5000",
        x_ratelimit_remaining_requests="4999",
        x_ratelimit_reset_requests="12ms",
        x_ratelimit_limit_tokens="160000",
        x_ratelimit_remaining_tokens="159976",
        x_ratelimit_reset_tokens="6m0s",
        openai_processing_ms="173",
        x_request_id="req_7",
    ) == Limits(None, 5000, 4999, 0.012, 160000, 159976, 360.0, 173.0, "req_7")


def test_anthropic() -> None:
    """Resets are instants; the combined token limit goes before the input limit."""
    assert parsed(
        anthropic_ratelimit_requests_limit="1000",
        anthropic_ratelimit_requests_remaining="999",
        anthropic_ratelimit_requests_reset="2025-08-21T12:41:00Z",
        anthropic_ratelimit_input_tokens_limit="80000",
        anthropic_ratelimit_input_tokens_remaining="80000",
        anthropic_ratelimit_tokens_limit="96000",
        anthropic_ratelimit_tokens_remaining="95000",
        anthropic_ratelimit_tokens_reset="2025-08-21T12:40:01+00:00",
        retry_after="7",
        request_id="req_8",
    ) == Limits(7.0, 1000, 999, 60.0, 96000, 95000, 1.0, None, "req_8")


def test_together() -> None:
    """Names without "requests", and a token limit of their own name."""
    assert parsed(
        x_ratelimit_limit="10",
        x_ratelimit_remaining="9",
        x_ratelimit_reset="0.5",
        x_tokenlimit_limit="3000",
        x_tokenlimit_remaining="2900",
    ) == Limits(None, 10, 9, 0.5, 3000, 2900, None, None, None)


def test_azure_says_minus_one_when_it_does_not_say() -> None:
    """-1/0 is no limit and nothing remaining of it, not an empty bucket."""
    found = parsed(
        x_ratelimit_limit_tokens="-1",
        x_ratelimit_remaining_tokens="0",
        x_ratelimit_limit_requests="300",
        x_ratelimit_remaining_requests="-1",
    )
    assert found == Limits(limit_requests=300)


def test_groq() -> None:
    """Requests are those of a day: the number is kept as it came, `openloop providers groq` says what it means."""
    assert parsed(
        x_ratelimit_limit_requests="14400",
        x_ratelimit_remaining_requests="14370",
        x_ratelimit_reset_requests="2m59.56s",
        x_ratelimit_limit_tokens="18000",
        x_ratelimit_remaining_tokens="17997",
        x_ratelimit_reset_tokens="7.66s",
        retry_after="2",
    ) == Limits(2.0, 14400, 14370, pytest.approx(179.56), 18000, 17997, 7.66)


def test_fireworks() -> None:
    """Three limits on tokens, none called plainly so: the columns hold the one on all input."""
    assert parsed(
        x_ratelimit_limit_tokens_generated="36000",
        x_ratelimit_remaining_tokens_generated="35000",
        x_ratelimit_limit_tokens_prompt="3600000",
        x_ratelimit_remaining_tokens_prompt="3599000",
        x_ratelimit_limit_tokens_cache_adjusted_prompt="900000",
        fireworks_server_processing_time="0.25",
    ) == Limits(limit_tokens=3600000, remaining_tokens=3599000, server_ms=250.0)


@pytest.mark.parametrize("text", ["1e308", "-1", "soon", "1700000000"])
def test_a_processing_time_that_is_none(text: str) -> None:
    """What no answer can have taken is not kept."""
    assert parsed(fireworks_server_processing_time=text) == Limits()


def test_anthropic_without_the_combined_limit() -> None:
    """The input limit stands in for it, with its own remaining and reset."""
    assert parsed(
        anthropic_ratelimit_output_tokens_limit="16000",
        anthropic_ratelimit_input_tokens_limit="80000",
        anthropic_ratelimit_input_tokens_remaining="79000",
        anthropic_ratelimit_input_tokens_reset="2025-08-21T12:40:30Z",
    ) == Limits(limit_tokens=80000, remaining_tokens=79000, reset_tokens_s=30.0)


@pytest.mark.parametrize("family", ["tokens_usage_based", "project-tokens"])
def test_openai_by_other_names(family: str) -> None:
    """Where the plain limit says nothing, one beside it does; limit, remaining and reset are never of two."""
    headers = [(f"x-ratelimit-{what}-{family}".encode(), value) for what, value in OTHER.items()]
    plain = [(b"x-ratelimit-limit-tokens", b"-1"), (b"x-ratelimit-remaining-tokens", b"7")]
    told = Limits(limit_tokens=40000, remaining_tokens=39929, reset_tokens_s=pytest.approx(0.106))
    assert parse_limits(headers) == parse_limits([*plain, *headers]) == told
    assert parse_limits([(b"x-ratelimit-limit-tokens", b"9"), *headers]) == Limits(limit_tokens=9)


OTHER = {"limit": b"40000", "remaining": b"39929", "reset": b"106ms"}


def test_together_today_suggests_a_retry_alone() -> None:
    """A reset without a limit is kept: it is all that is said."""
    assert parsed(x_ratelimit_reset="3") == Limits(reset_requests_s=3.0)


def test_litellm_hands_on_what_its_upstream_said() -> None:
    """Under a prefix, which its own headers of the same name go before."""
    upstream = [(b"llm_provider-x-ratelimit-limit-requests", b"500"), (b"llm_provider-openai-processing-ms", b"7")]
    assert parse_limits(upstream) == Limits(limit_requests=500, server_ms=7.0)
    assert parse_limits([*upstream, (b"x-ratelimit-limit-requests", b"10")]).limit_requests == 10
    assert parse_limits([(b"x-ratelimit-limit-requests", b"10"), *upstream]).limit_requests == 10


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12ms", 0.012),
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("1h2m3s", 3723.0),
        ("2m59.56s", 179.56),
        ("7.66s", 7.66),
        ("850µs", 850e-6),
        ("5us", 5e-6),
        ("20ns", 20e-9),
        ("0", 0.0),
        ("30", 30.0),
        ("1.5", 1.5),
        ("2025-08-21T12:41:00Z", 60.0),
        ("2025-08-21T14:41:00.5+02:00", 60.5),
        ("2025-08-21T12:39:00Z", 0.0),  # past: now
        ("1755780010", 10.0),
        ("1755780010250", 10.25),
        ("-1", None),
        ("1x", None),
        ("1s junk", None),
        ("s", None),
        ("nan", None),
        ("inf", None),
        ("", None),
    ],
)
def test_resets(text: str, seconds: float | None) -> None:
    """Every way to tell a time until the limit is full again."""
    assert parsed(x_ratelimit_reset_tokens=text).reset_tokens_s == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "3"}, 3.0),
        ({"retry_after": "0.25"}, 0.25),
        ({"retry_after": "3", "retry_after_ms": "2512"}, 2.512),
        ({"retry_after": "Thu, 21 Aug 2025 12:40:20 GMT"}, 20.0),
        ({"llm_provider-retry-after": "9"}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after_ms": "-4", "retry_after": "2"}, 2.0),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    """Milliseconds are finer than seconds; a date counts from now."""
    assert parsed(**headers).retry_after_s == seconds


def test_litellm_passes_a_hint_on_under_a_name_of_its_own() -> None:
    """It is the only hint that its 429s carry."""
    assert parse_limits([(b"llm_provider-retry-after", b"9")]).retry_after_s == 9.0


def test_instants_count_from_the_answers_own_date() -> None:
    """Both are the target's clock, so ours need not agree with it; without either the instant says nothing."""
    reset = "2025-08-21T12:41:00Z"
    assert parsed(None, date="Thu, 21 Aug 2025 12:40:50 GMT", x_ratelimit_reset_tokens=reset).reset_tokens_s == 10.0
    assert parsed(None, x_ratelimit_reset_tokens=reset).reset_tokens_s is None


def test_no_headers_no_limits() -> None:
    """vLLM, SGLang, DeepSeek and the like say nothing."""
    assert parsed(content_type="text/event-stream") == Limits()


NAMES = ["date", "llm_provider-retry-after", *sorted(name.decode() for name in limits._NAMES)]


VALUES = st.one_of(st.binary(max_size=20), st.text("0123456789.-+eEhmsnZT: ").map(str.encode))


@given(st.lists(st.tuples(st.sampled_from(NAMES).map(str.encode), VALUES)))
def test_any_header_value_is_survived(headers: list[tuple[bytes, bytes]]) -> None:
    """Whatever a target writes there, the columns can hold what comes out."""
    found: Any = parse_limits(headers)
    for count in (found.limit_requests, found.remaining_requests, found.limit_tokens, found.remaining_tokens):
        assert count is None or 0 <= count < 2**63
    for value in (found.reset_requests_s, found.reset_tokens_s, found.retry_after_s, found.server_ms):
        assert value is None or 0 <= value < float("inf")
