"""What a rate limit says of itself, in the dialects of the providers: headers on every answer, and a refusal's words.

OpenAI's resets are Go durations until nothing counts as used. Groq spells them with hundredths of a second, and sends ``retry-after``
only with a refusal. Anthropic's are instants in RFC 3339, to the second. Together tells seconds, and its refusals say ``dynamic``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from simulator import troubles
from simulator.ratelimit import NS_PER_S, Reading, Refusal, go_duration
from simulator.wire import Headers

_NS_PER_MS = 1_000_000
_NS_PER_CS = 10_000_000
_USUAL_WINDOWS = {
    "requests per 1m0s": "requests per min (RPM)",
    "tokens per 1m0s": "tokens per min (TPM)",
    "requests per 24h0m0s": "requests per day (RPD)",
}

Readings = dict[str, Reading | None]
"""By dimension: requests, tokens."""


def _openai(readings: Readings, _unix_s: int) -> Headers:
    return _ratelimit(readings, go_duration)


def _groq(readings: Readings, _unix_s: int) -> Headers:
    return _ratelimit(readings, hundredths)


def _ratelimit(readings: Readings, spelled: Callable[[int], str]) -> Headers:
    found: Headers = []
    for dimension, reading in readings.items():
        if reading is not None:
            name = dimension.encode()
            found += [
                (b"x-ratelimit-limit-" + name, b"%d" % reading.limit),
                (b"x-ratelimit-remaining-" + name, b"%d" % reading.remaining),
                (b"x-ratelimit-reset-" + name, spelled(reading.reset_ns).encode()),
            ]
    return found


def _anthropic(readings: Readings, unix_s: int) -> Headers:
    found: Headers = []
    for dimension, reading in readings.items():
        if reading is not None:
            instant = datetime.fromtimestamp(unix_s + _seconds(reading.reset_ns), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            name = b"anthropic-ratelimit-" + dimension.encode()
            found += [
                (name + b"-limit", b"%d" % reading.limit),
                (name + b"-remaining", b"%d" % reading.remaining),
                (name + b"-reset", instant.encode()),
            ]
    return found


def _together(readings: Readings, _unix_s: int) -> Headers:
    found: Headers = []
    for dimension, name in (("requests", b"x-ratelimit"), ("tokens", b"x-tokenlimit")):
        reading = readings.get(dimension)
        if reading is not None:
            found += [(name + b"-limit", b"%d" % reading.limit), (name + b"-remaining", b"%d" % reading.remaining)]
            if dimension == "requests":
                found.append((name + b"-reset", b"%d" % _seconds(reading.reset_ns)))
    return found


DIALECTS: dict[str, Callable[[Readings, int], Headers]] = {
    "openai": _openai,
    "anthropic": _anthropic,
    "together": _together,
    "groq": _groq,
    "none": lambda _readings, _unix_s: [],
}
"""Name → headers, from readings and the Unix time in seconds."""

USUAL = {troubles.OPENAI: "openai", troubles.ANTHROPIC: "anthropic", troubles.PLAIN: "none"}
"""The dialect of each shape of API, where none was asked for."""


def headers(dialect: str, readings: Readings, unix_s: int) -> Headers:
    return DIALECTS[dialect](readings, unix_s)


def retry(dialect: str, wait_ns: int) -> Headers:
    """When to come again: whole seconds, rounded up; OpenAI has milliseconds beside them, Together a header of its own."""
    seconds = b"%d" % _seconds(wait_ns)
    if dialect == "together":
        return [(b"x-ratelimit-reset", seconds)]
    found = [(b"retry-after", seconds)]
    return [*found, (b"retry-after-ms", b"%d" % -(-wait_ns // _NS_PER_MS))] if dialect == "openai" else found


def refusal(shape: str, dialect: str, model: str, refused: Refusal, request_id: str | None = None) -> bytes:
    """A 429's body. In OpenAI's words ``(Used + Requested - Limit) / wait`` is the refill rate of a bucket."""
    dimension = "requests" if refused.limit is None else refused.limit.dimension
    if refused.limit is None:
        name = "concurrent requests"
    else:
        name = f"{dimension} per {go_duration(refused.limit.window_ns)}"
        name = _USUAL_WINDOWS.get(name, name)
    if refused.wait_ns < 0:
        message = f"Request too large for {model} on {name}: Limit {refused.amount}, Requested {refused.requested}."
    else:
        spelled = hundredths if dialect == "groq" else go_duration
        message = (
            f"Rate limit reached for {model} on {name}: Limit {refused.amount}, Used {refused.used}, "
            f"Requested {refused.requested}. Please try again in {spelled(refused.wait_ns)}."
        )
    if shape == troubles.ANTHROPIC:
        message = f"This request would exceed the rate limit of {refused.amount} {name}."
        return troubles.body(shape, troubles.RATE, message, request_id=request_id)
    kind = f"dynamic_{dimension.removesuffix('s')}_limited" if dialect == "together" else dimension
    return troubles.body(shape, troubles.RATE, message, error_type=kind)


def hundredths(ns: int) -> str:
    """As Groq prints a duration: ``7.66s``, ``2m59.56s``; rounded up to 10 ms."""
    minutes, centiseconds = divmod(-(-ns // _NS_PER_CS), 6_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{centiseconds / 100:.2f}".rstrip("0").rstrip(".") + "s"
    return f"{hours}h{minutes}m{seconds}" if hours else f"{minutes}m{seconds}" if minutes else seconds


def _seconds(ns: int) -> int:
    return -(-ns // NS_PER_S)
