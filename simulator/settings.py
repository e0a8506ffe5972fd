"""What a simulator can be told: one frozen value, and the table of options that makes it from text."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator import units
from simulator.faults import FAULTS, FaultLaw
from simulator.limit_headers import DIALECTS
from simulator.ratelimit import CHARGES, LAWS, Limit

NO_FAULTS = FaultLaw()
MS = 1_000_000
US = 1_000


class SettingsError(ValueError):
    """An option is unknown, or its value is wrong. The text names the option and the nearest valid one; ``key`` is it, where one alone
    is to blame."""

    def __init__(self, text: str, key: str | None = None) -> None:
        super().__init__(text)
        self.key = key


@dataclass(frozen=True, slots=True)
class Settings:
    """Times in ns. The defaults feel like a small model on one GPU: first token after 80 ms, 83 tokens a second, 10 % jitter."""

    host: str = "127.0.0.1"
    port: int = 0
    base: str = "/v1"
    processes: int = 1
    model: str = "simulated"
    api_key: str | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    truth: Path | None = None
    seed: int = 1

    timing: str = "fixed"
    jitter: float = 0.1
    jitter_law: str = "gamma"
    drift: float = 0.0
    ttft_ns: int = 80 * MS
    ttft_per_token_ns: int = 0
    itl_ns: int = 12 * MS
    max_batch: int = 32
    queue_max: int | None = None
    prefill_base_ns: int = 15 * MS
    prefill_per_token_ns: int = 40 * US
    prefill_tokens_max: int = 8_192
    decode_base_ns: int = 8 * MS
    decode_per_sequence_ns: int = 100 * US

    output_tokens: int = 128
    output_tokens_max: int = 131_072
    template_tokens: int = 8
    tokens_per_word: float = 1.0
    tokens_per_chunk: int = 1
    reasoning: float = 0.0
    cached: float = 0.0
    cache_written: float = 0.0
    usage: str = "own"
    body: str = "chunked"
    head: str = "first-token"
    keep_alive_ns: int | None = None

    limits: tuple[Limit, ...] = ()
    concurrency: int | None = None
    charge: str = "max(max_tokens,input)"
    limit_headers: str = "auto"
    faults: FaultLaw = NO_FAULTS

    def __post_init__(self) -> None:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise SettingsError("tls_cert and tls_key belong together: give both or neither")
        if self.cached + self.cache_written > 1:
            raise SettingsError("cached and cache_written are shares of the same input tokens: together at most 100%")
        if self.processes > 1 and (self.limits or self.concurrency is not None or self.timing == "batch"):
            raise SettingsError(
                "rate limits, the concurrency limit and timing=batch are the state of one process: with processes="
                f"{self.processes} each would keep its own. Use processes=1"
            )


@dataclass(frozen=True, slots=True)
class Option:
    """``help`` says what it is; ``parse`` takes text or what YAML makes of it and raises ValueError."""

    parse: Callable[[object], Any]
    help: str
    field: str = ""


def _choice(*names: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if str(value) not in names:
            raise ValueError(f"{value!r} is none of {', '.join(names)}{_near(str(value), names)}")
        return str(value)

    return parse


def _growth(value: object) -> float:
    """``"150%"`` or ``1.5``; unlike a share it may be more than the whole."""
    text = str(value).strip()
    return units.factor(text[:-1].rstrip()) / 100 if text.endswith("%") else units.factor(text)


def _base(value: object) -> str:
    return "/" + str(value).strip("/") if str(value).strip("/") else ""


def _port(value: object) -> int:
    try:
        found = units.count(value)
    except ValueError:
        found = -1
    if not 0 <= found <= 65_535:
        raise ValueError(f"{value!r} is no port; they go from 1 to 65535, and 0 lets the system choose")
    return found


def _path(value: object) -> Path:
    return Path(str(value)).expanduser()


def _faults(value: object) -> FaultLaw:
    """``reset=0.01,500=2%``."""
    shares = []
    for item in filter(None, (part.strip() for part in str(value).split(","))):
        name, equals, share = (part.strip() for part in item.partition("="))
        if not equals:
            raise ValueError(f"{item!r} has no share; write it like {name}=0.01")
        if name not in FAULTS:
            raise ValueError(f"no fault is called {name!r}{_near(name, FAULTS)}; there are {', '.join(FAULTS)}")
        shares.append((name, units.share(share)))
    return FaultLaw(tuple(shares))


_LIMIT = re.compile(r"(\w+)\s+(requests|tokens)\s+([\d_]+)\s*/\s*(\S+)")


def _limits(value: object) -> tuple[Limit, ...]:
    """``bucket requests 600/60s, sliding tokens 10000/1s``."""
    found = []
    for item in filter(None, (part.strip() for part in str(value).split(","))):
        match = _LIMIT.fullmatch(item)
        if match is None:
            raise ValueError(f"{item!r} is not a limit; write it like: bucket requests 600/60s")
        law, dimension, amount, window = match.groups()
        if law not in LAWS:
            raise ValueError(f"{law!r} is no law of a limit; there are {', '.join(LAWS)}{_near(law, LAWS)}")
        found.append(Limit(dimension, units.positive(amount), units.duration_ns(window), law))
    return tuple(found)


OPTIONS: dict[str, Option] = {
    "host": Option(units.text, "address to listen on; a colon in it means IPv6"),
    "port": Option(_port, "0: a free one"),
    "base": Option(_base, "path before /chat/completions, /messages and their like"),
    "processes": Option(units.positive, "processes that share the port; limits and batch want 1"),
    "model": Option(units.text, "name that /models lists; requests may name any"),
    "api_key": Option(units.text, "answer 401 to whoever does not send this key, as bearer token or x-api-key"),
    "tls_cert": Option(_path, "PEM file; with tls_key, speak TLS"),
    "tls_key": Option(_path, "PEM file"),
    "truth": Option(_path, "folder for the truth log; none without it"),
    "seed": Option(units.count, "of jitter, faults and text"),
    "timing": Option(_choice("fixed", "batch"), "fixed: ttft and itl; batch: a queue, prefill and decode iterations"),
    "jitter": Option(units.share, "coefficient of variation of every wait; 0 for none"),
    "jitter_law": Option(_choice("gamma", "normal", "uniform"), "law of the jitter"),
    "drift": Option(
        _growth,
        "share by which first tokens (fixed) or iterations (batch) take longer with each minute after the first request",
    ),
    "ttft": Option(units.duration_ns, "fixed: from the request to the first token", "ttft_ns"),
    "ttft_per_token": Option(units.duration_ns, "fixed: added to ttft for each input token", "ttft_per_token_ns"),
    "itl": Option(units.duration_ns, "fixed: from one content chunk to the next", "itl_ns"),
    "max_batch": Option(units.positive, "batch: sequences that run at once"),
    "queue_max": Option(units.positive, "batch: answer 503 when so many wait; no bound without it"),
    "prefill_base": Option(units.duration_ns, "batch: a prefill iteration", "prefill_base_ns"),
    "prefill_per_token": Option(units.duration_ns, "batch: added for each input token in it", "prefill_per_token_ns"),
    "prefill_tokens_max": Option(units.positive, "batch: input tokens of one prefill; a longer one goes alone"),
    "decode_base": Option(units.duration_ns, "batch: a decode iteration", "decode_base_ns"),
    "decode_per_sequence": Option(units.duration_ns, "batch: added for each sequence in it", "decode_per_sequence_ns"),
    "output_tokens": Option(units.positive, "length of an answer whose request names no max_tokens"),
    "output_tokens_max": Option(units.positive, "a request for more gets 400"),
    "template_tokens": Option(units.count, "added to the words of a prompt to make its input tokens"),
    "tokens_per_word": Option(units.factor, "input tokens of a word of the prompt"),
    "tokens_per_chunk": Option(units.positive, "tokens that come in one event, one word each"),
    "reasoning": Option(units.share, "share of the output tokens that come first, as reasoning or thinking"),
    "cached": Option(
        units.share, "share of the input tokens that usage tells as read from a cache; takes no less time"
    ),
    "cache_written": Option(units.share, "share that Anthropic's usage tells as written to the cache"),
    "usage": Option(
        _choice("own", "with-finish", "growing"),
        "where a completions stream has its usage: an event of its own, beside the finish as Together, or growing on every "
        "event as xAI and vLLM; growing gives Anthropic's a second message_delta",
    ),
    "body": Option(_choice("chunked", "close"), "framing of a stream: chunks, or until the connection closes"),
    "head": Option(
        _choice("first-token", "at-once"),
        "when status line, headers and role chunk go: right before the first token, or at once",
    ),
    "keep_alive": Option(
        units.duration_ns, "close connections that were idle for so long; never without it", "keep_alive_ns"
    ),
    "rpm": Option(units.positive, "requests a minute"),
    "tpm": Option(units.positive, "tokens a minute"),
    "limit_law": Option(_choice(*LAWS), "law of rpm and tpm"),
    "limit_window": Option(units.duration_ns, "window of rpm and tpm: 1s enforces 600 a minute as 10 a second"),
    "limits": Option(_limits, "more limits, as in: fixed requests 10/1s, sliding tokens 90000/60s"),
    "concurrency": Option(units.positive, "requests in flight; one more gets 429"),
    "charge": Option(_choice(*CHARGES), "what a request takes from a token limit"),
    "limit_headers": Option(
        _choice("auto", *DIALECTS),
        "whose rate-limit headers and refusals; auto: those of the API, none for the plain service",
    ),
    "fault": Option(_faults, "faults by share of requests, as in: reset=0.01,500=2%", "faults"),
}
"""Key → option. ``field`` is the name in :class:`Settings` where it differs; rpm, tpm, limit_law and limit_window become ``limits``."""

_MINUTE_NS = 60_000_000_000
_LIMIT_KEYS = ("rpm", "tpm", "limit_law", "limit_window", "limits")


def _near(name: str, names: Mapping[str, object] | tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, list(names), n=1)
    return f" (nearest: {near[0]})" if near else ""


def _windowed(parsed: Mapping[str, Any]) -> tuple[Limit, ...]:
    window_ns = parsed.get("limit_window", _MINUTE_NS)
    law = parsed.get("limit_law", "bucket")
    found = []
    for key, dimension in (("rpm", "requests"), ("tpm", "tokens")):
        if key in parsed:
            amount = parsed[key] * window_ns // _MINUTE_NS
            if amount == 0:
                raise SettingsError(f"limit_window is too short for {key}={parsed[key]}: not one fits into it")
            found.append(Limit(dimension, amount, window_ns, law))
    if not found and ("limit_law" in parsed or "limit_window" in parsed):
        raise SettingsError("limit_law and limit_window say how rpm and tpm are kept; give one of those")
    return (*found, *parsed.get("limits", ()))


def from_options(values: Mapping[str, object]) -> Settings:
    """``{"ttft": "50ms", "rpm": 600}`` → settings. Keys may have - for _. Raises :class:`SettingsError`."""
    parsed: dict[str, Any] = {}
    for given, value in values.items():
        key = str(given).replace("-", "_")
        option = OPTIONS.get(key)
        if option is None:
            raise SettingsError(
                f"simulator: no option is called {given!r}{_near(key, OPTIONS)}; there are {', '.join(OPTIONS)}",
                str(given),
            )
        if value is None:
            continue
        try:
            parsed[key] = option.parse(value)
        except ValueError as error:
            raise SettingsError(f"simulator: {key}: {error}", str(given)) from None
    limits = _windowed(parsed)
    named = {OPTIONS[key].field or key: value for key, value in parsed.items() if key not in _LIMIT_KEYS}
    return Settings(**named, limits=limits)
