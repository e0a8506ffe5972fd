"""What every API has in common that answers with server-sent events or with one JSON document: telling the two apart, gathering
the one within its bound, feeding the other through the short cut of ``template.py``, making rows, keeping texts, failing.

An API adds what one event means (``_event``) and what a document means (``_read_document``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from generator.apis.api import Answer, Failure, Read, RowSink
from generator.apis.failures import in_stream, malformed, storable
from generator.apis.fields import parse
from generator.apis.template import NO_TEMPLATE, Template, fit, learn
from generator.ndjson import LineParser
from generator.rows import CONTENT, TOKEN, UNKNOWN
from generator.sse import EVENT_BYTES, SseParser

DOCUMENT_BYTES = 16 << 20
"""Most that an answer which is one JSON document may hold."""

_BLANK = b" \t\r\n\xef\xbb\xbf"

# How often a template may be learned in vain: four times in a row that it did not serve eight events.
_LEARN_TRIES = 4
_WORTH_HITS = 8

# A chunk that is longer than a template and this holds several events, or is not worth the short cut.
_TEXT_BYTES = 256

_pack = TOKEN.pack


class EventDecoder:
    """See ``api.Decoder``. Nothing after the first error or after the end of the stream that the API tells is looked at."""

    LOOSE: tuple[str, ...] = ()
    """Fields of an event whose values vary and mean nothing to us."""

    PADDED = False
    """Whether events may end in blanks of varying number."""

    __slots__ = (
        "_chunk_after",
        "_chunk_most",
        "_chunk_stop",
        "_content_type",
        "_document",
        "_kind",
        "_learned_at",
        "_name",
        "_over",
        "_parser",
        "_read",
        "_read_before",
        "_read_start",
        "_request_id",
        "_sink",
        "_sniffed",
        "_template",
        "_tries",
        "_usage_final",
        "_usage_rows",
        "answer",
    )

    def __init__(self, request_id: int, content_type: str, sink: RowSink, keep_text: bool = False) -> None:
        self.answer = Answer(streamed="event-stream" in content_type, parts=[] if keep_text else None)
        self._request_id = request_id
        self._content_type = content_type
        self._sink = sink
        self._parser: SseParser | LineParser = SseParser()
        self._document: bytearray | None = None  # an answer that is one JSON document gathers here
        self._sniffed = False
        self._over = False
        self._usage_rows = 0  # rows made when usage came last
        self._usage_final = False  # it came with or after the end mark
        self._name = b""  # of the events that the template is for
        self._set(NO_TEMPLATE)
        self._kind = CONTENT
        self._learned_at = 0  # row
        self._tries = _LEARN_TRIES

    # -- what an API adds ----------------------------------------------------------------------------------------------

    def _event(self, data: bytes, name: bytes, t_ns: int, read_index: int, exact: bool) -> bool:
        """One event: state and rows. True when nothing after it is to be looked at."""
        raise NotImplementedError

    def _read_document(self, document: dict[str, Any], data: bytes) -> None:
        """An answer that is one document, parsed out of ``data``."""
        raise NotImplementedError

    def _loose(self, _event: dict[str, Any]) -> tuple[str, ...]:
        """``LOOSE``, or what an API learns of it from the events."""
        return self.LOOSE

    # -- what all share ------------------------------------------------------------------------------------------------

    def take(self, data: bytes, at: int, t_ns: int, read_index: int, certain: bool) -> bool:
        if not (data.startswith(self._read_before, at) and data.endswith(self._chunk_after)):
            return False
        if not self._parser.idle or self._over or len(data) - at > self._chunk_most:
            return False
        try:
            text: Any = self._read(data[at + self._read_start : self._chunk_stop])
        except ValueError:
            return False
        if text.__class__ is not str or not text:
            return False
        # Most tokens end here. It is _row written out, for a call costs as much as all that it does.
        answer = self.answer
        row = answer.rows
        answer.rows = row + 1
        answer.last_row_ns = t_ns
        self._sink(_pack(self._request_id, t_ns, row, read_index, len(text), UNKNOWN, self._kind, certain))
        return True

    def feed(self, reads: Sequence[Read]) -> None:
        for payload, t_ns, read_index, certain in reads:
            if self._over:
                return
            self._feed(payload, t_ns, read_index, certain)

    def _feed(self, payload: bytes, t_ns: int, read_index: int, certain: bool) -> None:
        """One read, whatever is in it."""
        if not self._sniffed:
            self._sniff(payload)
        if self._document is not None:
            self._gather(payload)
            return
        parser = self._parser
        size = len(payload)
        keeping = self.answer.parts is not None
        template, named = self._template, self._name
        if parser.idle and template is not NO_TEMPLATE and not keeping and payload[-2:] == b"\n\n":
            self._feed_blocks(payload, t_ns, read_index, certain)
            return
        for data, end, name in parser.feed(payload):
            text = fit(data, template) if template is not NO_TEMPLATE and name == named else ""
            if text:
                if keeping:
                    self._keep(self._kind, text)
                self._row(self._kind, len(text), UNKNOWN, t_ns, read_index, certain and end == size)
                continue
            if self._event(data, name, t_ns, read_index, certain and end == size):
                return
            template, named = self._template, self._name
        if parser.error:
            self._fail(Failure("stream_error", "too_long", parser.error))

    def _feed_blocks(self, payload: bytes, t_ns: int, read_index: int, certain: bool) -> None:
        """A read that ends in a blank line, of several events mostly. Bytes between two blank lines that fit the template are one event,
        if nothing is held of earlier bytes; the parser never sees them. It gets the others one by one, which is as good as at once.
        """
        parser, answer, sink = self._parser, self.answer, self._sink
        template, before, start = self._template, self._read_before, self._read_start
        size, end = len(payload), 0
        for block in payload[:-2].split(b"\n\n"):
            end += len(block) + 2
            if (
                block.startswith(before)
                and block.endswith(template.after)
                and parser.idle
                and len(block) <= EVENT_BYTES - 2
            ):
                try:
                    text = template.read(block[start : template.stop])
                except ValueError:
                    text = None
                if text.__class__ is str and text:
                    row = answer.rows
                    answer.rows = row + 1
                    answer.last_row_ns = t_ns
                    exact = certain and end == size
                    sink(_pack(self._request_id, t_ns, row, read_index, len(text), UNKNOWN, self._kind, exact))
                    continue
            for data, at, name in parser.feed(block + b"\n\n"):
                exact = certain and end == size and at == len(block) + 2
                if self._event(data, name, t_ns, read_index, exact):
                    return
            if parser.error:
                self._fail(Failure("stream_error", "too_long", parser.error))
                return
            template, before, start = self._template, self._read_before, self._read_start

    def finish(self) -> Answer:
        """``token_source``: ``usage`` when it came with or after the end mark, ``chunk_usage`` when a cut stream's last row carried
        one, ``chunks`` (rows counted) when rows came after it or it never came; None for a document that does not tell.
        """
        answer = self.answer
        if self._document is not None and not self._over:
            data = bytes(self._document).strip(_BLANK)
            document = self._open(data, b"")
            if document is not None:
                self._read_document(document, data)
        self._document = None
        source = None
        if answer.output_tokens is not None and self._usage_rows == answer.rows:
            source = "usage" if self._usage_final else "chunk_usage"
        elif answer.streamed:
            source = "chunks"
            answer.output_tokens = answer.rows
        answer.token_source = source
        return answer

    def _sniff(self, payload: bytes) -> None:
        """A target may answer a streaming request with one document, or with HTML; its content type does not always say so."""
        first = payload.lstrip(_BLANK)[:1]
        if not first:
            return
        self._sniffed = True
        kind = self._content_type
        if first in b"{[<" or ("event-stream" not in kind and ("json" in kind or "html" in kind)):
            self._document = bytearray()
        self.answer.streamed = self._document is None

    def _gather(self, payload: bytes) -> None:
        document = self._document
        if document is None:
            return
        if len(document) + len(payload) > DOCUMENT_BYTES:
            self._document = None
            self._fail(Failure("stream_error", "too_long", f"a document of more than {DOCUMENT_BYTES} bytes"))
        else:
            document += payload

    def _open(self, data: bytes, name: bytes) -> dict[str, Any] | None:
        """An event's data as an object; None where it is none: a blank one, ``[DONE]``, an error or bytes that are not the API's."""
        if data[:1] != b"{":
            mark = data.strip()
            if mark == b"[DONE]":
                self._over = True
            if mark == b"[DONE]" or not mark:
                return None
        event = parse(data)
        if not isinstance(event, dict):
            self._fail(malformed(data))
            return None
        # The search in the bytes spares every other event the look-ups.
        if name == b"error" or (data.find(b'"error"') >= 0 and _is_error(event)):
            self._fail(in_stream(event, data))
            return None
        return event

    def _row(self, kind: int, chars: int, tokens: int, t_ns: int, read_index: int, exact: bool) -> None:
        answer = self.answer
        row = answer.rows
        if not row:
            answer.first_row_ns = t_ns
            answer.first_row_read_index = read_index
        answer.rows = row + 1
        answer.last_row_ns = t_ns
        self._sink(_pack(self._request_id, t_ns, row, read_index, chars, tokens, kind, exact))

    def _keep(self, kind: int, text: str) -> None:
        """Remembers a payload's text, where that was asked for."""
        parts = self.answer.parts
        if parts is not None and text:
            parts.append((kind, storable(text)))

    def _learn(
        self, data: bytes, event: dict[str, Any], name: bytes, kind: int, text: str, read: Callable[[Any], Any]
    ) -> None:
        """Makes this event, whose only payload ``read`` takes out of it, the template of those to come. An empty ``text``: it cannot
        be one, and neither did the template of before serve it.
        """
        if self.answer.rows - self._learned_at > _WORTH_HITS:
            self._tries = _LEARN_TRIES
        self._forget()
        self._learned_at = self.answer.rows
        if not self._tries or not text or b"\n" in data:
            return  # data of several lines is one event, but its bytes in a read are not those of the data
        self._tries -= 1
        self._kind = kind
        self._name = name
        self._set(learn(data, event, text, read, self._loose(event), self.PADDED))

    def _forget(self) -> None:
        if self._template is not NO_TEMPLATE:
            self._set(NO_TEMPLATE)

    def _set(self, template: Template) -> None:
        self._template = template
        if self.answer.parts is not None:
            template = NO_TEMPLATE  # texts are kept on the longer way
        head = b"event: %b\ndata: " % self._name if self._name else b"data: "
        self._read_before = head + template.before
        self._read_start = len(head) + template.start
        self._chunk_after = template.after + b"\n\n\r\n"
        self._chunk_stop = template.stop - 4
        self._chunk_most = min(EVENT_BYTES, len(self._read_before) + len(self._chunk_after) + _TEXT_BYTES)
        self._read = template.read

    def _fail(self, failure: Failure) -> None:
        self._over = True
        answer = self.answer
        answer.error_outcome = failure.outcome
        answer.error_type = failure.error_type
        answer.error_message = failure.error_message


def _is_error(event: dict[str, Any]) -> bool:
    return bool(event.get("error")) or event.get("object") == "error" or event.get("type") == "error"
