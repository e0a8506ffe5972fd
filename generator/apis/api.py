"""The seam between an API and everything else: what a call is, what its bytes are, what its answer means. No socket, no clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Headers = list[tuple[bytes, bytes]]
"""Names in lower case."""

Messages = tuple[dict[str, Any], ...]
"""A conversation as OpenAI's chat API spells it: ``{"role": ..., "content": ...}``."""


@dataclass(frozen=True, slots=True)
class Call:
    """One thing to ask. ``max_tokens`` None leaves the length to the target; ``max_tokens_field`` None is the API's own name for it.
    ``messages`` is a whole conversation (``role`` and
    ``content`` each), of which ``prompt`` then is the last turn's text; ``record`` the dataset's own object, for APIs that send one.
    """

    model: str
    prompt: str
    max_tokens: int | None
    stream: bool
    max_tokens_field: str | None = None
    body: dict[str, Any] | None = None
    messages: Messages | None = None
    record: Any = None


@dataclass(frozen=True, slots=True)
class Encoded:
    """An HTTP request without its connection: ``path`` is appended to the base URL's path."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(slots=True)
class Answer:
    """What the decoder has understood so far. ``terminal``: the API's own end mark was seen. ``error_type`` set means an error
    inside a 2xx answer; ``error_outcome`` says which outcome that is. ``parts`` is None unless the decoder was told to keep texts:
    then (kind, text) of each row, and of a document's payloads.
    """

    terminal: bool = False
    streamed: bool = False
    error_outcome: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    finish_reason: str | None = None
    response_id: str | None = None
    server_ms: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    token_source: str | None = None
    rows: int = 0
    first_row_ns: int | None = None
    first_row_read_index: int | None = None
    last_row_ns: int | None = None
    parts: list[tuple[int, str]] | None = None

    def text(self, *kinds: int) -> str | None:
        """What was kept of these ``rows`` kinds, in order; None where nothing was kept."""
        return None if self.parts is None else "".join(text for kind, text in self.parts if kind in kinds)


RowSink = Callable[[bytes], object]
"""Takes one packed ``rows.TOKEN``; a bound ``list.append`` in a worker."""


Read = tuple[bytes, int, int, bool]
"""Payload of one read (framing removed), its arrival, its number within the response, and whether its stamp can be exact at all: a
kernel stamp on a read that did not fill its buffer."""


class Decoder(Protocol):
    """Body bytes of one 2xx answer, as they were read, → token rows and an :class:`Answer`.

    ``take`` is offered one read that is a chunk of HTTP/1.1, whose payload is ``data[at:-2]``. If it is another event of the kind
    that came most, it becomes a row; otherwise nothing is done, the answer is False, and it is for ``feed``.
    ``feed`` takes what was read since it was last called. It never raises on bytes: what is not the API's becomes
    ``answer.error_outcome = "stream_error"``. ``finish`` is called once, when the framing ended; it makes the answer's counts final.
    Reads of a byte each or one of all give the same rows but for ``read_index``, ``t_ns`` and ``exact``.
    """

    answer: Answer

    def take(self, data: bytes, at: int, t_ns: int, read_index: int, certain: bool) -> bool: ...

    def feed(self, reads: Sequence[Read]) -> None: ...

    def finish(self) -> Answer: ...


class Api(Protocol):
    """One API. ``decoder`` gets the request_id for its rows, the answer's content type, where rows go, and whether to keep texts."""

    name: str

    def encode(self, call: Call) -> Encoded: ...

    def auth(self, key: str) -> tuple[str, str]:
        """The header that carries the key: name in lower case, and value."""
        ...

    def decoder(self, request_id: int, content_type: str, sink: RowSink, keep_text: bool = False) -> Decoder: ...


@dataclass(frozen=True, slots=True)
class Stated:
    """What a refusal's message states of the limit that was hit, in its own words (``dimension``: ``TPM``, ``tokens per min``)."""

    dimension: str | None = None
    limit: int | None = None
    used: int | None = None
    requested: int | None = None
    wait_s: float | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A non-2xx answer, understood: ``outcome`` is one of ``schema.OUTCOMES``."""

    outcome: str
    error_type: str | None
    error_message: str | None
    stated: Stated | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Rate-limit headers in the contract's columns; None where absent or meaningless (-1)."""

    retry_after_s: float | None = None
    limit_requests: int | None = None
    remaining_requests: int | None = None
    reset_requests_s: float | None = None
    limit_tokens: int | None = None
    remaining_tokens: int | None = None
    reset_tokens_s: float | None = None
    server_ms: float | None = None
    server_request_id: str | None = None
