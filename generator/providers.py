"""Provider presets, one table: what a target says of itself once its provider is named. Plain values; nothing is looked up.

Facts are from the providers' SDKs and documentation, read in November 2026; docs/providers.md is this table for people. A preset
only fills what a scenario leaves open (``scenario_provider``), so that every value can be written out instead.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

CHAT, COMPLETIONS, RESPONSES = "openai-chat", "openai-completions", "openai-responses"
MESSAGES, EMBEDDINGS = "anthropic-messages", "openai-embeddings"

DAY_S, MINUTE_S, SECOND_S = 86_400.0, 60.0, 1.0


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a provider tells its limits. ``headers`` are names as ``apis.limits`` reads them; a window None is not told or varies.
    ``reset`` says what the reset columns count down to.
    """

    headers: str = "none"
    requests_window_s: float | None = None
    tokens_window_s: float | None = None
    reset: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Preset:
    """``url`` may hold {names} of ``parts``, keys of the target's ``azure``. ``key`` is the environment variable; a key that is not
    ``key_needed`` is sent only where that variable is set. ``auth``: the header that carries the key, None for the API's own.
    ``apis``: what it speaks, the default first. ``body``: API → fields that each request carries; those under ``stream_options`` only
    where answers are streamed. ``max_tokens``: API → the body's name for the answer's length where it is not the API's usual one.
    ``exact``: API → body fields that make every answer as long as was asked for, none where the provider has no such thing.
    ``prices``: its id in genai-prices, None where nothing is to be paid or known.
    """

    name: str
    url: str
    key: str
    apis: tuple[str, ...]
    limits: Dialect
    usage: str
    key_needed: bool = True
    auth: str | None = None
    parts: tuple[str, ...] = ()
    request_id_header: str = "x-request-id"
    max_tokens: dict[str, str] = field(default_factory=dict)
    body: dict[str, dict[str, Any]] = field(default_factory=dict)
    exact: dict[str, dict[str, Any]] = field(default_factory=dict)
    prices: str | None = None
    notes: tuple[str, ...] = ()


_OPENAI_USAGE = "streamed: a chunk of its own before [DONE], `choices: []`; `prompt_tokens_details.cached_tokens`, `completion_tokens_details.reasoning_tokens`"
_NO_PADDING: dict[str, Any] = {"stream_options": {"include_obfuscation": False}}
_SILENT = Dialect(note="tells no limits")
_EXACT: dict[str, dict[str, Any]] = {CHAT: {"ignore_eos": True}, COMPLETIONS: {"ignore_eos": True}}

_ALL = (
    Preset(
        name="openai",
        url="https://api.openai.com/v1",
        key="OPENAI_API_KEY",
        apis=(CHAT, COMPLETIONS, RESPONSES, EMBEDDINGS),
        limits=Dialect(
            "x-ratelimit-…-requests, x-ratelimit-…-tokens, retry-after, retry-after-ms",
            MINUTE_S,
            MINUTE_S,
            "full again, as a Go duration (6m0s)",
            "tokens are charged at admission: the larger of max_tokens and an estimate from characters; refused requests count, too",
        ),
        usage=_OPENAI_USAGE,
        request_id_header="X-Client-Request-Id",
        max_tokens={CHAT: "max_completion_tokens"},
        body={CHAT: _NO_PADDING, COMPLETIONS: _NO_PADDING, RESPONSES: _NO_PADDING},
        prices="openai",
        notes=(
            "include_obfuscation: false leaves out the padding of each delta, which costs bytes and parsing",
            "reasoning models refuse max_tokens and hide their reasoning: TTFT holds the time that it takes",
        ),
    ),
    Preset(
        name="together",
        url="https://api.together.xyz/v1",
        key="TOGETHER_API_KEY",
        apis=(CHAT, COMPLETIONS, EMBEDDINGS),
        limits=Dialect(
            "x-ratelimit-reset; older: x-ratelimit-limit, x-tokenlimit-limit and their like, also -dynamic",
            SECOND_S,
            SECOND_S,
            "the suggested retry, in seconds",
            "a dynamic limit: above it 429 dynamic_request_limited or dynamic_token_limited; at or below it failures are 503, their capacity",
        ),
        usage="on the chunk that carries finish_reason, beside its choice",
        prices="together",
        notes=("a prompt and max_tokens that together pass the context are refused with 403",),
    ),
    Preset(
        name="anthropic",
        url="https://api.anthropic.com/v1",
        key="ANTHROPIC_API_KEY",
        apis=(MESSAGES,),
        limits=Dialect(
            "anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-…, retry-after",
            MINUTE_S,
            MINUTE_S,
            "full again, as an instant (RFC 3339, whole seconds)",
            "token buckets, refilled all the time; max_tokens is not charged; a sharp rise may be refused, too (429)",
        ),
        usage="message_start has the input, message_delta the output so far: the last one counts; input is the sum of plain, written and read",
        prices="anthropic",
        notes=("max_tokens is required", "a spend cap or an empty balance is quota, though its status is 400 or 429"),
    ),
    Preset(
        name="groq",
        url="https://api.groq.com/openai/v1",
        key="GROQ_API_KEY",
        apis=(CHAT, RESPONSES),
        limits=Dialect(
            "x-ratelimit-…-requests, x-ratelimit-…-tokens; retry-after on 429 alone",
            DAY_S,
            MINUTE_S,
            "full again, as a Go duration (2m59.56s)",
            "requests are per day, tokens per minute; cached tokens are not charged; a single request above the limit is a 413",
        ),
        usage=_OPENAI_USAGE,
        prices="groq",
        notes=("498 is overload of the flex tier",),
    ),
    Preset(
        name="azure",
        url="https://{resource}.openai.azure.com/openai/deployments/{deployment}?api-version={api_version}",
        key="AZURE_OPENAI_API_KEY",
        apis=(CHAT, COMPLETIONS, EMBEDDINGS),
        limits=Dialect(
            "x-ratelimit-…-requests, x-ratelimit-…-tokens, retry-after, retry-after-ms",
            MINUTE_S,
            MINUTE_S,
            "full again, in seconds",
            "requests are held against windows of 1 or 10 s; tokens are an estimate from prompt and max_tokens; -1/0 says nothing",
        ),
        usage=_OPENAI_USAGE,
        auth="api-key",
        parts=("resource", "deployment", "api_version"),
        max_tokens={CHAT: "max_completion_tokens"},
        prices="azure",
        notes=("a first chunk may carry content filter results and no choice",),
    ),
    Preset(
        name="fireworks",
        url="https://api.fireworks.ai/inference/v1",
        key="FIREWORKS_API_KEY",
        apis=(CHAT, COMPLETIONS, RESPONSES, EMBEDDINGS),
        limits=Dialect(
            "x-ratelimit-…-tokens-prompt, -tokens-cache-adjusted-prompt, -tokens-generated",
            None,
            MINUTE_S,
            "",
            "three adaptive limits on tokens, of which the columns hold the first; 503 is overload",
        ),
        usage="on the chunk that carries finish_reason",
        prices="fireworks",
    ),
    Preset(
        name="deepseek",
        url="https://api.deepseek.com/v1",
        key="DEEPSEEK_API_KEY",
        apis=(CHAT,),
        limits=Dialect(note="tells no limits; queues rather than refuses, and sends `: keep-alive` meanwhile"),
        usage="streamed: a chunk of its own before [DONE]; `prompt_cache_hit_tokens`",
        prices="deepseek",
        notes=("reasoning comes as delta.reasoning_content", "402 is an empty balance: quota"),
    ),
    Preset(
        name="vllm",
        url="http://127.0.0.1:8000/v1",
        key="VLLM_API_KEY",
        apis=(CHAT, COMPLETIONS, RESPONSES, EMBEDDINGS, MESSAGES),
        limits=_SILENT,
        usage="streamed: a chunk of its own before [DONE]; on every chunk with `stream_options: {continuous_usage_stats: true}`",
        key_needed=False,
        exact=_EXACT,
        notes=("may take x-request-id as its own", "reasoning comes as delta.reasoning since 0.11"),
    ),
    Preset(
        name="sglang",
        url="http://127.0.0.1:30000/v1",
        key="SGLANG_API_KEY",
        apis=(CHAT, COMPLETIONS, EMBEDDINGS),
        limits=_SILENT,
        usage="streamed: a chunk of its own before [DONE]",
        key_needed=False,
        exact=_EXACT,
    ),
    Preset(
        name="ollama",
        url="http://127.0.0.1:11434/v1",
        key="OLLAMA_API_KEY",
        apis=(CHAT, COMPLETIONS, EMBEDDINGS),
        limits=_SILENT,
        usage="streamed: a chunk of its own before [DONE]",
        key_needed=False,
    ),
    Preset(
        name="litellm",
        url="http://127.0.0.1:4000/v1",
        key="LITELLM_API_KEY",
        apis=(CHAT, COMPLETIONS, RESPONSES, EMBEDDINGS, MESSAGES),
        limits=Dialect(
            "llm_provider-…, the upstream's own, under that prefix",
            None,
            None,
            "",
            "its own 429s carry llm_provider-retry-after at most",
        ),
        usage="beside a choice without a payload, or on a chunk of its own",
        key_needed=False,
        prices="litellm",
        notes=("a price is known only for models named with their provider, such as openai/gpt-4o",),
    ),
)

PRESETS: dict[str, Preset] = {preset.name: preset for preset in _ALL}
NAMES = tuple(PRESETS)
