"""``http-json``: any HTTP service that takes JSON, or nothing, and answers with JSON, lines of JSON, or server-sent events.

What it is told (``job.Http``) are templates and JSONPaths; the rest is HTTP. There is no end mark that all such services share, so
a 2xx answer is whole where its framing ended cleanly. What is not JSON is no error either: it matches no JSONPath, and
``answer_required`` makes an error of that. An event named ``error``, and a match of ``error``, always are one.
"""

from __future__ import annotations

from typing import Any

from generator.apis import http_template
from generator.apis.api import Answer, Call, Decoder, Encoded, Failure, RowSink
from generator.apis.events import EventDecoder
from generator.apis.failures import in_stream
from generator.apis.fields import count, parse
from generator.apis.json_path import MISSING, JsonPath
from generator.apis.template import Template
from generator.job import Http
from generator.ndjson import LineParser
from generator.rows import CONTENT, UNKNOWN

_LINES = ("ndjson", "jsonl", "json-lines", "jsonlines", "stream+json")
"""What content types of lines of JSON have in their names."""

BOM = b"\xef\xbb\xbf"
"""Which some servers put before their JSON, though RFC 8259 forbids it."""

_ACCEPT = "application/json, */*"
_ACCEPT_STREAM = "text/event-stream, application/x-ndjson, application/json, */*"


class HttpJson:
    """The API of one target. Raises ValueError where a template or a JSONPath is none; scenarios are checked before."""

    name = "http-json"

    def __init__(self, spec: Http) -> None:
        self._spec = spec
        self._path = http_template.path(spec.path)
        self._body = None if spec.body is None else http_template.compiled(spec.body)
        self._payload = None if spec.payload is None else JsonPath(spec.payload)
        self._wants = Wants(spec)

    def encode(self, call: Call) -> Encoded:
        """``call.body`` is laid over a body that is an object; null takes a key away. GET and DELETE have a body only where it is
        written out.
        """
        values, _ = self.values(call)
        path = self._path(values)
        accept = ("accept", _ACCEPT_STREAM if call.stream else _ACCEPT)
        if self._body is None and self._spec.method in http_template.BODILESS:
            return Encoded(self._spec.method, path, (accept,), b"")
        body = values["payload"] if self._body is None else self._body(values)
        if body is MISSING:
            body = None
        if call.body and isinstance(body, dict):
            removed = {key for key, value in call.body.items() if value is None}
            body = {key: value for key, value in (body | call.body).items() if key not in removed}
        headers = (("content-type", "application/json"), accept)
        return Encoded(self._spec.method, path, headers, http_template.dumps(body))

    def auth(self, key: str) -> tuple[str, str]:
        return "authorization", f"Bearer {key}"

    def decoder(self, request_id: int, content_type: str, sink: RowSink, keep_text: bool = False) -> Decoder:
        if "event-stream" in content_type:
            return EventsDecoder(self._wants, request_id, sink, keep_text)
        if any(word in content_type for word in _LINES):
            return LinesDecoder(self._wants, request_id, sink, keep_text)
        return DocumentDecoder(self._wants, request_id, sink, keep_text)

    def values(self, call: Call) -> tuple[dict[str, Any], bool]:
        """What placeholders stand for, and whether ``payload`` matched the record."""
        record = call.record
        if record is None:
            record = {"prompt": call.prompt}
            if call.max_tokens is not None:
                record[call.max_tokens_field or "max_tokens"] = call.max_tokens
        payload = MISSING if self._payload is None else self._payload.first(record)
        values = {
            "prompt": call.prompt,
            "record": record,
            "payload": record if payload is MISSING else payload,
            "messages": list(call.messages) if call.messages else [{"role": "user", "content": call.prompt}],
            "stream": call.stream,
        }
        if call.model:
            values["model"] = call.model
        if call.max_tokens is not None:
            values["max_tokens"] = call.max_tokens
        return values, payload is not MISSING


class Wants:
    """What is to be taken out of an answer, and how: the compiled half of ``job.Http`` that is about answers."""

    __slots__ = ("answer", "answer_required", "error", "fields", "input_tokens", "looks", "output_tokens", "plain")

    def __init__(self, spec: Http) -> None:
        def path(text: str | None) -> JsonPath | None:
            return None if text is None else JsonPath(text)

        self.answer = path(spec.answer)
        self.answer_required = spec.answer_required
        self.error = path(spec.error)
        self.input_tokens = path(spec.input_tokens)
        self.output_tokens = path(spec.output_tokens)
        paths = [p for p in (self.answer, self.error, self.input_tokens, self.output_tokens) if p is not None]
        self.looks = bool(paths)
        # With names and indices alone, what a query gives depends on the bytes around the answer's string, never on the string.
        self.plain = self.answer is not None and all(p.keys is not None for p in paths)
        self.fields = {p.keys[0] for p in paths if p.keys}  # of the outermost object: what else it has means nothing

    def text(self, document: Any) -> str:
        """All that ``answer`` matches, strings as they are and other values as JSON; null is nothing."""
        return "" if self.answer is None else "".join(map(http_template.text, self.answer.all(document)))

    def failure(self, document: Any) -> Failure | None:
        """The error that the document carries by the user's own word."""
        if self.error is None:
            return None
        found = [value for value in self.error.all(document) if value]
        if not found:
            return None
        return in_stream({"error": found[0]}, http_template.text(found[0]).encode("utf-8", "replace"))

    def usage(self, document: Any, answer: Answer) -> bool:
        """Takes the counts; True where output tokens were told."""
        if self.input_tokens is not None and (told := count(self.input_tokens.first(document))) is not None:
            answer.input_tokens = told
        if self.output_tokens is None or (told := count(self.output_tokens.first(document))) is None:
            return False
        answer.output_tokens = told
        return True

    def finish(self, answer: Answer, matched: bool) -> None:
        """The end of a 2xx answer, as far as its bytes can tell: whether the framing ended cleanly is the stream's to say."""
        answer.terminal = True
        if self.answer_required and not matched and answer.error_outcome is None and self.answer is not None:
            answer.error_outcome, answer.error_type = "stream_error", "no_answer"
            answer.error_message = f"nothing in the answer matches {self.answer.text}"


class DocumentDecoder(EventDecoder):
    """An answer that is one document: no rows. See ``api.Decoder``."""

    __slots__ = ("_wants",)

    def __init__(self, wants: Wants, request_id: int, sink: RowSink, keep_text: bool) -> None:
        super().__init__(request_id, "", sink, keep_text)
        self._wants = wants
        self._sniffed = True
        self._document = bytearray()

    def finish(self) -> Answer:
        answer, wants = self.answer, self._wants
        if not self._over:
            data = bytes(self._document or b"").removeprefix(BOM)
            document = parse(data) if wants.looks else None
            if (failure := wants.failure(document)) is not None:
                self._fail(failure)
            source = "usage" if wants.usage(document, answer) else None
            answer.token_source = source
            text = data.decode("utf-8", "replace") if wants.answer is None else wants.text(document)
            self._keep(CONTENT, text)
            wants.finish(answer, bool(text))
        return answer

    def _gather(self, payload: bytes) -> None:
        if self._wants.looks or self.answer.parts is not None:
            super()._gather(payload)


class EventsDecoder(EventDecoder):
    """Server-sent events: one row for each that has an answer. See ``api.Decoder``.

    Without ``answer`` the event's data is the answer, whatever it is; ``[DONE]``, which many send last, never is.
    """

    __slots__ = ("_previous", "_varying", "_wants")

    def __init__(self, wants: Wants, request_id: int, sink: RowSink, keep_text: bool) -> None:
        super().__init__(request_id, "text/event-stream", sink, keep_text)
        self._wants = wants
        self._previous: dict[str, Any] = {}  # the event that was learned last
        self._varying: set[str] = set()
        self._sniffed = True  # the content type is believed: what the events hold may be anything

    def finish(self) -> Answer:
        answer = super().finish()
        self._wants.finish(answer, answer.rows > 0)
        return answer

    def _event(self, data: bytes, name: bytes, t_ns: int, read_index: int, exact: bool) -> bool:
        wants = self._wants
        if not data or data == b"[DONE]":
            return False
        if name == b"error":
            self._fail(in_stream(parse(data), data))
            return True
        if not wants.looks:
            text = data.decode("utf-8", "replace")
            self._keep(CONTENT, text)
            self._row(CONTENT, len(text), UNKNOWN, t_ns, read_index, exact)
            return False
        document = parse(data)
        if (failure := wants.failure(document)) is not None:
            self._fail(failure)
            return True
        text = data.decode("utf-8", "replace") if wants.answer is None else wants.text(document)
        if text:
            self._keep(CONTENT, text)
            self._row(CONTENT, len(text), UNKNOWN, t_ns, read_index, exact)
        if wants.usage(document, self.answer):
            self._usage_rows = self.answer.rows
            self._usage_final = not text  # beside the last row it is that row's own count
            self._forget()
        elif text and wants.plain and wants.answer is not None and isinstance(document, dict):
            whole = wants.answer.first(document) is text  # one string, not several put together or a number's text
            self._learn(data, document, name, CONTENT, text if whole else "", wants.answer.first)
        return False

    def _loose(self, event: dict[str, Any]) -> tuple[str, ...]:
        """Fields that no path leads into and that were seen to vary, such as a counter."""
        before, self._previous = self._previous, event
        self._varying |= {
            name for name, value in event.items() if before.get(name, value) != value
        } - self._wants.fields
        return tuple(self._varying)


class LinesDecoder(EventsDecoder):
    """Lines of JSON, each of which is an event."""

    __slots__ = ("_last", "_lines")

    def __init__(self, wants: Wants, request_id: int, sink: RowSink, keep_text: bool) -> None:
        super().__init__(wants, request_id, sink, keep_text)
        self._parser = self._lines = LineParser()
        self._last = (0, 0, False)

    def _feed(self, payload: bytes, t_ns: int, read_index: int, certain: bool) -> None:
        self._last = (t_ns, read_index, certain)
        super()._feed(payload, t_ns, read_index, certain)

    def finish(self) -> Answer:
        # The last line may lack its end. One that was cut is no JSON, but for a number, and then nobody could tell.
        if not self._over and (rest := self._lines.rest()) and parse(rest) is not None:
            self._event(rest, b"", *self._last)
        return super().finish()

    def _set(self, template: Template) -> None:
        super()._set(template)
        self._read_before = template.before
        self._read_start = template.start
        self._chunk_after = template.after + b"\n\r\n"
        self._chunk_stop = template.stop - 3
