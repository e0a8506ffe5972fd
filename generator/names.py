"""The words and numbers of the run folder's contract, apart from ``schema`` so that a plan is made without pyarrow."""

from __future__ import annotations

OUTCOMES = (
    "ok",  # the API's own terminal mark was seen and the body's framing ended cleanly
    "rate_limited",  # 429 about a rate
    "quota",  # 402, or a 400, 403 or 429 about money or a spent allowance, never a rate
    "overloaded",  # 503, 529, Groq's 498, or an overload told in a 429 or inside a stream
    "server_error",  # any other 5xx
    "client_error",  # any other 4xx, or an answer that no 2xx can carry
    "timeout",  # connect, first token, idle or total time ran out; error_type says which
    "connect_error",  # DNS, TCP or TLS failed before a byte was sent
    "truncated",  # the body ended, cleanly or not, without the API's terminal mark
    "stream_error",  # an error event inside a 2xx answer, or bytes that are not the API's
    "cancelled",  # cut by the end of the drain, by an interrupt, or by the scenario
    "dropped",  # due, but the scenario's in-flight cap was reached: never sent
    "lost",  # dealt to a worker that died before it recorded the end
)
"""Every value of ``requests.outcome``; the position is the code that workers count by."""

USUAL_ATTAINMENT = 0.99
"""Share of requests that must be good where an SLO does not say: that of MLPerf's server scenarios. Whoever uses it tells so."""

PHASES = ("probe", "warmup", "main")
KINDS = ("content", "reasoning", "tool", "refusal")
TOKEN_SOURCES = ("usage", "chunk_usage", "tokenizer", "chunks")

PROBE_STEP = -1
"""``step_id`` of probe requests, whose ``request_id`` is negative."""

REQUESTS_A_STEP = 1_000_000_000
"""request_id = step_id · 10⁹ + arrival number."""

TABLE_NAMES = ("steps", "requests", "tokens", "health")
"""Keys of ``schema.TABLES``."""
