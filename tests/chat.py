"""How tests feed a decoder, that of chat unless said, and how they compare what it understood."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from generator.apis.api import Answer, Api, Decoder, RowSink
from generator.apis.openai_chat import OpenAIChat
from generator.rows import TOKEN
from generator.schema import KINDS

GOLDEN = Path(__file__).parent / "golden"
SSE = "text/event-stream"
CHAT = OpenAIChat()
C, R, T, F = (KINDS.index(kind) for kind in ("content", "reasoning", "tool", "refusal"))


def run(
    reads: list[bytes], content_type: str = SSE, certain: bool = True, api: Api = CHAT, keep_text: bool = False
) -> tuple[list[tuple[Any, ...]], Answer]:
    """Rows as the fields of rows.TOKEN, reads stamped 1000, 1001, …; the same whether or not each read is a chunk of HTTP, offered first to
    the decoder's short cut."""
    fed = through(lambda sink: api.decoder(42, content_type, sink, keep_text), reads, certain)
    taken = through(lambda sink: api.decoder(42, content_type, sink, keep_text), reads, certain, chunked=True)
    assert taken == fed
    return fed


def through(
    make: Callable[[RowSink], Decoder], reads: list[bytes], certain: bool, chunked: bool = False
) -> tuple[list[tuple[Any, ...]], Answer]:
    """One decoder's rows and answer."""
    rows: list[bytes] = []
    decoder = make(rows.append)
    for n, payload in enumerate(reads):
        size = b"%x\r\n" % len(payload)
        if not (chunked and decoder.take(size + payload + b"\r\n", len(size), 1000 + n, n, certain)):
            decoder.feed([(payload, 1000 + n, n, certain)])
    answer = decoder.finish()  # which may make a last row
    return [TOKEN.unpack(row) for row in rows], answer


def meaning(reads: list[bytes], content_type: str = SSE, api: Api = CHAT, keep_text: bool = False) -> tuple[Any, ...]:
    """All that must not depend on how the bytes were read."""
    rows, answer = run(reads, content_type, api=api, keep_text=keep_text)
    facts = {
        name: getattr(answer, name)
        for name in Answer.__dataclass_fields__
        if name not in ("first_row_ns", "first_row_read_index", "last_row_ns")
    }
    return [(kind, chars, tokens, index) for _, _, index, _, chars, tokens, kind, _ in rows], facts


def bytewise(text: bytes) -> list[bytes]:
    return [text[i : i + 1] for i in range(len(text))]


def golden(name: str) -> bytes:
    return (GOLDEN / name).read_bytes()


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
    body = {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}
    return b"data: " + orjson.dumps(body) + b"\n\n"
