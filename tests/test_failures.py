"""Error answers, as the APIs and the machines in front of them write them, and their outcomes."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.apis.failures import classify
from generator.schema import OUTCOMES


def openai(message: str, kind: str | None, code: str | int | None) -> bytes:
    return orjson.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})


def anthropic(kind: str, message: str) -> bytes:
    return orjson.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"})


TPM = "Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Used 29500, Requested 654."

BALANCE = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade."
USAGE_CAP = "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC."
ACCELERATION = "This request would exceed your organization's maximum usage increase rate for input tokens per minute."
AZURE = (
    "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-10-21 have exceeded token rate "
    "limit of your current OpenAI S0 pricing tier. Please retry after 20 seconds."
)

# status, body, outcome, error_type, error_message
CASES: list[tuple[int, bytes, str, str, str | None]] = [
    (429, openai(TPM, "tokens", "rate_limit_exceeded"), "rate_limited", "rate_limit_exceeded", TPM),
    (429, openai("Slow down", "rate_limit_error", "slow_down"), "rate_limited", "slow_down", "Slow down"),
    (429, openai("Money", "insufficient_quota", "insufficient_quota"), "quota", "insufficient_quota", "Money"),
    (429, openai("Money", "insufficient_quota", None), "quota", "insufficient_quota", "Money"),
    (429, openai("Money", "x", "credit_balance_exhausted"), "quota", "credit_balance_exhausted", "Money"),
    (
        429,
        openai("Money", "x", "organization_spend_limit_exceeded"),
        "quota",
        "organization_spend_limit_exceeded",
        "Money",
    ),
    (429, openai("Money", "x", "project_spend_limit_exceeded"), "quota", "project_spend_limit_exceeded", "Money"),
    (
        429,
        openai("Money", "x", "organization_usage_limit_exceeded"),
        "quota",
        "organization_usage_limit_exceeded",
        "Money",
    ),
    (429, openai("Up", "dynamic_request_limited", None), "rate_limited", "dynamic_request_limited", "Up"),
    (
        429,
        anthropic("rate_limit_error", "Number of requests"),
        "rate_limited",
        "rate_limit_error",
        "Number of requests",
    ),
    (429, b"", "rate_limited", "http_429", "HTTP 429 with no body"),
    (529, anthropic("overloaded_error", "Overloaded"), "overloaded", "overloaded_error", "Overloaded"),
    (503, openai("Busy", "server_error", "server_is_overloaded"), "overloaded", "server_is_overloaded", "Busy"),
    (503, openai("Busy", None, "slow_down"), "overloaded", "slow_down", "Busy"),
    (503, b"no healthy upstream", "overloaded", "http_503", "no healthy upstream"),
    (500, anthropic("api_error", "Internal"), "server_error", "api_error", "Internal"),
    (
        504,
        b"<html><head><title>504 Gateway Time-out</title></head>",
        "server_error",
        "http_504",
        "504 Gateway Time-out",
    ),
    (502, b"<h1>Bad &amp; gone</h1>\n<style>p {}</style><p>nginx</p>", "server_error", "http_502", "Bad & gone nginx"),
    (
        400,
        openai("Bad", "BadRequestError", 400),
        "client_error",
        "BadRequestError",
        "Bad",
    ),  # vLLM: its code is the status
    (
        400,
        b'{"object":"error","message":"Bad","type":"BadRequestError","code":400}',
        "client_error",
        "BadRequestError",
        "Bad",
    ),
    (401, openai("Key", "invalid_request_error", "invalid_api_key"), "client_error", "invalid_api_key", "Key"),
    (402, anthropic("billing_error", "Pay"), "quota", "billing_error", "Pay"),
    (404, b'{"detail":"Not Found"}', "client_error", "http_404", "Not Found"),
    (
        422,
        b'{"detail":[{"loc":["body","messages",0],"msg":"Field required","type":"missing"},{"loc":null,"msg":"odd"}]}',
        "client_error",
        "http_422",
        "body.messages.0: Field required; request: odd",
    ),
    (
        400,
        b'[{"error":{"code":400,"message":"Key","status":"INVALID_ARGUMENT"}}]',
        "client_error",
        "INVALID_ARGUMENT",
        "Key",
    ),
    (400, b'{"error":"model is required"}', "client_error", "http_400", "model is required"),
    (400, b'{"errors":[{"code":10000,"message":"Auth"}],"success":false}', "client_error", "http_400", "Auth"),
    (403, b'{"message":"Forbidden"}', "client_error", "http_403", "Forbidden"),
    (418, b'{"a":\n1}', "client_error", "http_418", '{"a": 1}'),  # nothing that we know: the body itself
    (418, b'{"error":{"a":1}}', "client_error", "http_418", '{"error":{"a":1}}'),
    (400, b'{"error":{"message":"cut', "client_error", "http_400", '{"error":{"message":"cut'),
    (101, b"", "client_error", "http_101", "HTTP 101 with no body"),
    # Money by other names: a balance is no rate, whatever the status.
    (400, anthropic("invalid_request_error", BALANCE), "quota", "invalid_request_error", BALANCE),
    (400, anthropic("invalid_request_error", USAGE_CAP), "quota", "invalid_request_error", USAGE_CAP),
    (429, anthropic("rate_limit_error", USAGE_CAP), "quota", "rate_limit_error", USAGE_CAP),
    (
        402,
        openai("Insufficient Balance", "unknown_error", "invalid_request_error"),
        "quota",
        "invalid_request_error",
        "Insufficient Balance",
    ),
    (402, b"", "quota", "http_402", "HTTP 402 with no body"),
    # A rate by other names, and overload that comes as a 429 or with a status of its own.
    (429, anthropic("rate_limit_error", ACCELERATION), "rate_limited", "rate_limit_error", ACCELERATION),
    (429, openai("Up", "dynamic_token_limited", None), "rate_limited", "dynamic_token_limited", "Up"),
    (429, openai(AZURE, None, "429"), "rate_limited", "429", AZURE),
    (429, openai("Busy", "engine_overloaded_error", None), "overloaded", "engine_overloaded_error", "Busy"),
    (498, openai("Flex", "server_error", "capacity_exceeded"), "overloaded", "capacity_exceeded", "Flex"),
    (413, anthropic("request_too_large", "32 MB"), "client_error", "request_too_large", "32 MB"),
    (504, anthropic("timeout_error", "Slow"), "server_error", "timeout_error", "Slow"),
    (
        403,
        openai("input tokens + max_tokens", "invalid_request_error", None),
        "client_error",
        "invalid_request_error",
        "input tokens + max_tokens",
    ),
]


@pytest.mark.parametrize(("status", "body", "outcome", "kind", "message"), CASES)
def test_error_answers(status: int, body: bytes, outcome: str, kind: str, message: str | None) -> None:
    """Status and the API's own word decide: a rate is not money, and overload is neither."""
    found = classify(status, [], body)
    assert (found.outcome, found.error_type, found.error_message) == (outcome, kind, message)


def test_a_redirect_names_where_to() -> None:
    """Redirects are not followed: the base URL is to be corrected, so the message says to what."""
    found = classify(308, [(b"location", b"https://api.example/v1/")], b"")
    assert (found.outcome, found.error_type) == ("client_error", "redirect")
    assert "https://api.example/v1/" in (found.error_message or "")


def test_messages_are_bounded() -> None:
    """500 characters at most, of text and of JSON, and 64 KiB of body are enough to make them."""
    for body in (b"x" * 10**6, openai("y" * 60_000, "z" * 60_000, None), b"<p>" * 10**6):
        found = classify(400, [], body)
        assert len(found.error_message or "") <= 500
        assert len(found.error_type or "") <= 200


ODD: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 600), st.text(max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["error", "errors", "message", "type", "code", "status", "detail", "loc", "msg"]),
            inner,
            max_size=4,
        ),
    ),
)


@given(st.integers(100, 999), st.one_of(st.binary(max_size=200), ODD.map(orjson.dumps)))
def test_any_body_is_some_outcome(status: int, body: bytes) -> None:
    """No body raises, and every outcome is one of the contract's."""
    found = classify(status, [], body)
    assert found.outcome in OUTCOMES
    assert found.error_type
    assert found.error_message is None or found.error_message.encode()
