"""How tests feed a decoder of the plain HTTP API, and how they compare what it understood."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import chat

from generator.apis.api import Answer
from generator.apis.http_json import HttpJson
from generator.job import Http

GOLDEN = Path(__file__).parent / "golden" / "http_json"
SSE, LINES, JSON = "text/event-stream", "application/x-ndjson", "application/json"
TYPES = {".sse": SSE, ".ndjson": LINES, ".json": JSON}


def run(
    spec: Http, reads: list[bytes], content_type: str = SSE, certain: bool = True, keep_text: bool = False
) -> tuple[list[tuple[Any, ...]], Answer]:
    """See :func:`chat.run`."""
    return chat.run(reads, content_type, certain, HttpJson(spec), keep_text)


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
