"""How tests feed a decoder of the plain HTTP API, and how they compare what it understood."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from generator.apis.api import Answer
from generator.apis.http_json import HttpJson
from generator.job import Http
from generator.rows import TOKEN

GOLDEN = Path(__file__).parent / "golden" / "http_json"
SSE, LINES, JSON = "text/event-stream", "application/x-ndjson", "application/json"
TYPES = {".sse": SSE, ".ndjson": LINES, ".json": JSON}


def run(
    spec: Http, reads: list[bytes], content_type: str = SSE, certain: bool = True, keep_text: bool = False
) -> tuple[list[tuple[Any, ...]], Answer]:
    """Rows as the fields of rows.TOKEN, reads stamped 1000, 1001, …"""
    rows: list[bytes] = []
    decoder = HttpJson(spec).decoder(42, content_type, rows.append, keep_text)
    for n, payload in enumerate(reads):
        decoder.feed([(payload, 1000 + n, n, certain)])
    answer = decoder.finish()  # which may make the last row
    return [TOKEN.unpack(row) for row in rows], answer


def meaning(spec: Http, reads: list[bytes], content_type: str = SSE, keep_text: bool = False) -> tuple[Any, ...]:
    """All that must not depend on how the bytes were read."""
    rows, answer = run(spec, reads, content_type, keep_text=keep_text)
    facts = {
        name: getattr(answer, name)
        for name in Answer.__dataclass_fields__
        if name not in ("first_row_ns", "first_row_read_index", "last_row_ns")
    }
    return [(kind, chars, tokens, index) for _, _, index, _, chars, tokens, kind, _ in rows], facts


def bytewise(text: bytes) -> list[bytes]:
    return [text[i : i + 1] for i in range(len(text))]
