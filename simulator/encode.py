"""The bytes of every answer: OpenAI chat completions over HTTP/1.1.

A token's event is ``size line + head + tail``: the head belongs to the answer (its id), size line and tail to the word.
Both are made ahead, so that a token costs two concatenations and no JSON.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import orjson

from simulator.ratelimit import NS_PER_S, Reading, Refusal, go_duration

# Most common first, all of plain letters.
_WORD_TEXT = """
the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which one you
were her all she there would their we him been has when who will more no if out so said what up its about into than them
can only other new some could time these two may then do first any my now such like our over man me even most made after
"""
WORDS = _WORD_TEXT.split()

POOL_SIZE = 1 << 10
POOL_MASK = POOL_SIZE - 1
ID_HEX_DIGITS = 16
_NS_PER_MS = 1_000_000
_REASONS = {
    200: b"OK",
    400: b"Bad Request",
    401: b"Unauthorized",
    404: b"Not Found",
    405: b"Method Not Allowed",
    413: b"Content Too Large",
    429: b"Too Many Requests",
    500: b"Internal Server Error",
    503: b"Service Unavailable",
}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

Headers = list[tuple[bytes, bytes]]


def response_id(number: int) -> str:
    """Always of one length, which the size lines rely on."""
    return f"chatcmpl-{number:0{ID_HEX_DIGITS}x}"


def head(status: int, headers: Headers) -> bytes:
    lines = [b"HTTP/1.1 %d %b" % (status, _REASONS[status]), b"server: openloop-simulator"]
    lines += [b"%b: %b" % header for header in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def chunk(payload: bytes) -> bytes:
    """One HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)


LAST_CHUNK = b"0\r\n\r\n"


def sse(event: Any) -> bytes:
    return b"data: %b\n\n" % orjson.dumps(event)


DONE = b"data: [DONE]\n\n"


def usage(input_tokens: int, output_tokens: int, reasoning_tokens: int) -> dict[str, Any]:
    return {
        "prompt_tokens": input_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": input_tokens + output_tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": reasoning_tokens},
    }


@dataclass(frozen=True, slots=True)
class Pool:
    """Ready-made events of one kind: ``words[i]`` is (size line, tail) of an event whose head is :meth:`Form.event_head`."""

    field: str
    words: list[tuple[bytes, bytes]]
    texts: list[str]


class Form:
    """The shape of one kind of stream: its model name, whether it ends with usage, its framing, tokens per event."""

    def __init__(self, model: str, include_usage: bool, chunked: bool, tokens_per_chunk: int, seed: int) -> None:
        self.model = model
        self.include_usage = include_usage
        self.chunked = chunked
        rng = random.Random(seed)
        self.texts = ["".join(" " + word for word in rng.choices(WORDS, k=tokens_per_chunk)) for _ in range(POOL_SIZE)]
        self.content = self._pool("content")
        self.reasoning = self._pool("reasoning")

    def _event(self, ident: str, created: int, choices: list[Any], **more: Any) -> dict[str, Any]:
        event = {
            "id": ident,
            "object": "chat.completion.chunk",
            "created": created,
            "model": self.model,
            "choices": choices,
        }
        return event | ({"usage": None} if self.include_usage else {}) | more

    def _choice(self, delta: dict[str, Any], finish_reason: str | None = None) -> list[Any]:
        return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]

    def framed(self, payload: bytes) -> bytes:
        return chunk(payload) if self.chunked else payload

    def _cut(self, ident: str, created: int, field: str, text: str) -> tuple[bytes, bytes]:
        """An event as (before its text, the text and what follows)."""
        before, mark, after = sse(self._event(ident, created, self._choice({field: "\0"}))).rpartition(
            b"\\u0000"
        )  # the last: a model name may hold one
        assert mark
        return before, orjson.dumps(text)[1:-1] + after

    def event_head(self, ident: str, created: int, pool: Pool) -> bytes:
        return self._cut(ident, created, pool.field, "")[0]

    def _pool(self, field: str) -> Pool:
        before, after = self._cut(response_id(0), 1_000_000_000, field, "")
        words = []
        for text in self.texts:
            tail = orjson.dumps(text)[1:-1] + after
            size = b"%x\r\n" % (len(before) + len(tail)) if self.chunked else b""
            words.append((size, tail + b"\r\n" if self.chunked else tail))
        return Pool(field, words, self.texts)

    def role(self, ident: str, created: int) -> bytes:
        return self.framed(sse(self._event(ident, created, self._choice({"role": "assistant", "content": ""}))))

    def text(self, ident: str, created: int, pool: Pool, text: str) -> bytes:
        """An event whose text is not of the pool: the last one of an answer may hold fewer words."""
        return self.framed(sse(self._event(ident, created, self._choice({pool.field: text}))))

    def end(self, ident: str, created: int, finish_reason: str, counts: dict[str, Any]) -> bytes:
        """Finish event, usage event where asked for, [DONE], end of the framing."""
        parts = [self.framed(sse(self._event(ident, created, self._choice({}, finish_reason))))]
        if self.include_usage:
            parts.append(self.framed(sse(self._event(ident, created, [], usage=counts))))
        parts.append(self.close(DONE))
        return b"".join(parts)

    def close(self, payload: bytes) -> bytes:
        """A last payload and the end of the framing."""
        return self.framed(payload) + (LAST_CHUNK if self.chunked else b"")


def completion(
    ident: str, created: int, model: str, content: str, reasoning: str, counts: dict[str, Any], finish_reason: str
) -> bytes:
    """The body of an answer that is not streamed."""
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if reasoning:
        message["reasoning"] = reasoning
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}
    return orjson.dumps(
        {
            "id": ident,
            "object": "chat.completion",
            "created": created,
            "model": model,
            "choices": [choice],
            "usage": counts,
        }
    )


def error(message: str, kind: str, code: str | None = None, param: str | None = None) -> bytes:
    """OpenAI's error body."""
    return orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})


def limit_headers(readings: dict[str, Reading | None]) -> Headers:
    found: Headers = []
    for dimension, reading in readings.items():
        if reading is not None:
            name = dimension.encode()
            found += [
                (b"x-ratelimit-limit-" + name, b"%d" % reading.limit),
                (b"x-ratelimit-remaining-" + name, b"%d" % reading.remaining),
                (b"x-ratelimit-reset-" + name, go_duration(reading.reset_ns).encode()),
            ]
    return found


def retry_headers(wait_ns: int) -> Headers:
    """Whole seconds, rounded up, and milliseconds beside them."""
    return [(b"retry-after", b"%d" % -(-wait_ns // NS_PER_S)), (b"retry-after-ms", b"%d" % -(-wait_ns // _NS_PER_MS))]


def refusal(model: str, refused: Refusal) -> tuple[bytes, Headers]:
    """A 429's body and its headers: ``(Used + Requested - Limit) / wait`` is the refill rate of a bucket."""
    kind = "requests" if refused.limit is None else refused.limit.dimension
    if refused.limit is None:
        name = "concurrent requests"
    else:
        name = f"{kind} per {go_duration(refused.limit.window_ns)}"
        name = {"requests per 1m0s": "requests per min (RPM)", "tokens per 1m0s": "tokens per min (TPM)"}.get(
            name, name
        )
    if refused.wait_ns < 0:
        message = f"Request too large for {model} on {name}: Limit {refused.amount}, Requested {refused.requested}."
        return error(message, kind, "rate_limit_exceeded"), []
    message = (
        f"Rate limit reached for {model} on {name}: Limit {refused.amount}, Used {refused.used}, "
        f"Requested {refused.requested}. Please try again in {go_duration(refused.wait_ns)}."
    )
    return error(message, kind, "rate_limit_exceeded"), retry_headers(refused.wait_ns)
