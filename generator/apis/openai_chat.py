"""OpenAI Chat Completions, and the many servers that speak it each in a slightly other way.

``usage`` and ``choices`` are read independently of each other, because servers put ``usage`` on a chunk of its own (OpenAI), on
the one with the finish (Together), on every one (xAI, vLLM on request) or beside a choice without a payload (LiteLLM). One event
makes at most one row: a delta that carries both reasoning and content is one arrival, and two rows would invent a gap of
zero. Such a row is of the first kind that is not reasoning, and its characters are all of them.
"""

from __future__ import annotations

from typing import Any

import orjson

from generator.apis.api import Answer, Call, Decoder, Encoded, Failure, RowSink
from generator.apis.failures import in_stream, malformed
from generator.apis.fields import count, parse, total, word
from generator.apis.template import NO_TEMPLATE, Template, fit, learn
from generator.rows import CONTENT, REASONING, REFUSAL, TOKEN, TOOL, UNKNOWN
from generator.sse import EVENT_BYTES, SseParser

DOCUMENT_BYTES = 16 << 20
"""Most that an answer which is one JSON document may hold."""

_ROW_TOKENS_MAX = 2**15 - 1
_BLANK = b" \t\r\n\xef\xbb\xbf"

# How often a template may be learned in vain: four times in a row that it did not serve eight chunks.
_LEARN_TRIES = 4
_WORTH_HITS = 8

_pack = TOKEN.pack
_loads = orjson.loads


class OpenAIChat:
    """The API ``openai-chat``. A streaming call asks for usage unless ``call.body`` says otherwise."""

    name = "openai-chat"

    def encode(self, call: Call) -> Encoded:
        """``call.body`` is laid over ours: ``stream_options`` key by key, and null takes a field away."""
        body: dict[str, Any] = {"model": call.model, "messages": [{"role": "user", "content": call.prompt}]}
        if call.max_tokens is not None:
            body[call.max_tokens_field] = call.max_tokens
        if call.stream:
            body["stream"] = True
            body["stream_options"] = {"include_usage": True}
        if call.body:
            ours = body.get("stream_options", {})
            body |= call.body
            if isinstance(body.get("stream_options"), dict):
                body["stream_options"] = ours | body["stream_options"]
            body = {key: value for key, value in body.items() if value is not None}
        accept = "text/event-stream" if call.stream else "application/json"
        headers = (("content-type", "application/json"), ("accept", accept))
        return Encoded("POST", "/chat/completions", headers, orjson.dumps(body))

    def auth(self, key: str) -> tuple[str, str]:
        return "authorization", f"Bearer {key}"

    def decoder(self, request_id: int, content_type: str, sink: RowSink, keep_text: bool = False) -> Decoder:
        return ChatDecoder(request_id, content_type, sink)


class ChatDecoder:
    """See ``api.Decoder``. Nothing after the first error or after ``[DONE]`` is looked at."""

    __slots__ = (
        "_content_type",
        "_counted",
        "_document",
        "_finished",
        "_hits",
        "_kind",
        "_over",
        "_parser",
        "_read_after",
        "_read_before",
        "_reasoned",
        "_request_id",
        "_seen",
        "_sink",
        "_sniffed",
        "_template",
        "_tries",
        "_usage_final",
        "_usage_rows",
        "answer",
    )

    def __init__(self, request_id: int, content_type: str, sink: RowSink) -> None:
        self.answer = Answer(streamed="event-stream" in content_type)
        self._request_id = request_id
        self._content_type = content_type
        self._sink = sink
        self._parser = SseParser()
        self._document: bytearray | None = None  # an answer that is one JSON document gathers here
        self._sniffed = False
        self._over = False
        self._seen: set[int] = set()  # choices, by index
        self._finished: set[int] = set()
        self._reasoned = False  # a row of reasoning was seen, so that reasoning tokens are visible ones
        self._counted: int | None = 0  # visible tokens that usage told up to here; None once a row came without usage
        self._usage_rows = 0  # rows made when usage came last
        self._usage_final = False
        self._set(NO_TEMPLATE)
        self._kind = CONTENT
        self._hits = 0
        self._tries = _LEARN_TRIES

    def feed(self, payload: bytes, t_ns: int, read_index: int, certain: bool) -> None:
        if self._over:
            return
        if not self._sniffed:
            self._sniff(payload)
        if self._document is not None:
            self._gather(payload)
            return
        parser = self._parser
        before = self._read_before
        after = self._read_after
        size = len(payload)
        if payload.startswith(before) and payload.endswith(after) and parser.idle and size <= EVENT_BYTES:
            try:
                text: Any = _loads(payload[len(before) : size - len(after)])
            except ValueError:
                text = None
            if text.__class__ is str and text:
                # Most tokens end here. It is _row written out, for a call costs as much as all that it does.
                answer = self.answer
                row = answer.rows
                answer.rows = row + 1
                answer.last_row_ns = t_ns
                self._hits += 1
                self._sink(_pack(self._request_id, t_ns, row, read_index, len(text), UNKNOWN, self._kind, certain))
                return
        for data, end, name in parser.feed(payload):
            exact = certain and end == size
            chars = 0 if name else fit(data, self._template)
            if chars:
                self._hits += 1
                self._row(self._kind, chars, UNKNOWN, t_ns, read_index, exact)
            elif self._event(data, name, t_ns, read_index, exact):
                return
        if parser.error:
            self._fail(Failure("stream_error", "too_long", parser.error))

    def finish(self) -> Answer:
        """``token_source``: ``usage`` when it came with or after the end mark, ``chunk_usage`` when a cut stream's last row carried
        one, ``chunks`` (rows counted) when rows came after it or it never came.
        """
        answer = self.answer
        if self._document is not None and not self._over:
            self._read_document(bytes(self._document))
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

    def _row(self, kind: int, chars: int, tokens: int, t_ns: int, read_index: int, exact: bool) -> None:
        answer = self.answer
        row = answer.rows
        if not row:
            answer.first_row_ns = t_ns
            answer.first_row_read_index = read_index
        answer.rows = row + 1
        answer.last_row_ns = t_ns
        self._sink(_pack(self._request_id, t_ns, row, read_index, chars, tokens, kind, exact))

    def _event(self, data: bytes, name: bytes, t_ns: int, read_index: int, exact: bool) -> bool:
        """True when nothing after this event is to be looked at."""
        chunk = self._open(data, name)
        if chunk is None:
            return self._over
        choices = chunk.get("choices")
        kind, chars = self._read_choices(choices, "delta")
        usage = chunk.get("usage")
        tokens = UNKNOWN
        if usage.__class__ is dict:
            tokens = self._row_tokens(self._read_usage(usage))
            self._usage_final = not choices or self.answer.terminal
            if self._template is not NO_TEMPLATE:
                self._set(NO_TEMPLATE)
        if kind is not None:
            self._row(kind, chars, tokens, t_ns, read_index, exact)
        if usage.__class__ is dict:
            self._usage_rows = self.answer.rows
        elif kind is not None:
            self._counted = None
            if kind <= REASONING and "timings" not in chunk:
                self._learn(data, choices, kind)
        return False

    def _open(self, data: bytes, name: bytes) -> dict[str, Any] | None:
        """The chunk as an object, with what every chunk may carry read; None where there is nothing more to read."""
        if data[:1] != b"{":
            mark = data.strip()
            if mark == b"[DONE]":
                self._over = True
            if mark == b"[DONE]" or not mark:
                return None
        chunk = parse(data)
        if not isinstance(chunk, dict):
            self._fail(malformed(data))
            return None
        if chunk.get("error") or name == b"error" or chunk.get("object") == "error":
            self._fail(in_stream(chunk, data))
            return None
        answer = self.answer
        if answer.response_id is None:
            answer.response_id = word(chunk.get("id"))
        timings = chunk.get("timings")
        if isinstance(timings, dict):  # llama.cpp's own account of this answer
            answer.server_ms = total(timings.get("prompt_ms"), timings.get("predicted_ms"))
        return chunk

    def _read_choices(self, choices: Any, part: str) -> tuple[int | None, int]:
        """Kind and characters of what the choices carry, (None, 0) if nothing. ``part``: ``delta``, or ``message`` in a document."""
        kind: int | None = None
        chars = 0
        if choices.__class__ is not list:
            return None, 0
        for choice in choices:
            if choice.__class__ is not dict:
                continue
            index = choice.get("index")
            if index.__class__ is not int:
                index = 0
            if index not in self._seen:
                self._seen.add(index)
            finish = choice.get("finish_reason")
            if finish and finish.__class__ is str:
                self._finished.add(index)
                self.answer.finish_reason = self.answer.finish_reason or word(finish)
            delta = choice.get(part)
            if delta.__class__ is not dict:
                continue
            text = delta.get("content")
            if text and text.__class__ is str:
                chars += len(text)
                if kind is None or kind == REASONING:
                    kind = CONTENT
                if len(delta) == 1:
                    continue
            text = delta.get("reasoning") or delta.get("reasoning_content")
            if text and text.__class__ is str:
                chars += len(text)
                self._reasoned = True
                if kind is None:
                    kind = REASONING
            called = _call_chars(delta)
            if called:
                chars += called
                if kind is None or kind == REASONING:
                    kind = TOOL
            text = delta.get("refusal")
            if text and text.__class__ is str:
                chars += len(text)
                if kind is None or kind == REASONING:
                    kind = REFUSAL
        if self._finished:
            self.answer.terminal = self._finished >= self._seen
        return kind, chars

    def _read_usage(self, usage: dict[str, Any]) -> int | None:
        """Takes what usage tells; gives the visible completion tokens so far, None where it does not say."""
        answer = self.answer
        told = count(usage.get("prompt_tokens"))
        if told is not None:
            answer.input_tokens = told
        details = usage.get("prompt_tokens_details")
        told = count(
            details.get("cached_tokens") if details.__class__ is dict else usage.get("prompt_cache_hit_tokens")
        )
        if told is not None:
            answer.cached_tokens = told
        details = usage.get("completion_tokens_details")
        if details.__class__ is dict:
            told = count(details.get("reasoning_tokens"))
            if told is not None:
                answer.reasoning_tokens = told
        told = count(usage.get("completion_tokens"))
        if told is None:
            return None
        answer.output_tokens = told
        return told if self._reasoned else told - (answer.reasoning_tokens or 0)

    def _row_tokens(self, counted: int | None) -> int:
        """Tokens since the row before, from cumulative usage. Unknown with several choices, which some servers count apart."""
        before = self._counted
        self._counted = counted
        if counted is None or before is None or self._seen != {0}:
            return UNKNOWN
        tokens = counted - before
        return tokens if 0 < tokens <= _ROW_TOKENS_MAX else UNKNOWN

    def _learn(self, data: bytes, choices: Any, kind: int) -> None:
        """Makes this chunk the template of those to come, if it is one choice's text and nothing else."""
        if self._hits >= _WORTH_HITS:
            self._tries = _LEARN_TRIES
        if self._template is not NO_TEMPLATE:
            self._set(NO_TEMPLATE)
        self._hits = 0
        if not self._tries or len(choices) != 1 or choices[0].get("finish_reason") or b"\n" in data:
            return  # data of several lines is one event, but its bytes in a read are not those of the data
        self._tries -= 1
        delta = choices[0]["delta"]
        fields = [key for key, value in delta.items() if value and key != "role"]
        if len(fields) != 1 or fields[0] not in ("content", "reasoning", "reasoning_content"):
            return
        field = fields[0]
        self._kind = kind
        self._set(learn(data, delta[field], lambda chunk: chunk["choices"][0]["delta"][field]))

    def _set(self, template: Template) -> None:
        self._template = template
        self._read_before = b"data: " + template[0]
        self._read_after = template[1] + b"\n\n"

    def _read_document(self, data: bytes) -> None:
        chunk = self._open(data.strip(_BLANK), b"")
        if chunk is None:
            return
        self._read_choices(chunk.get("choices"), "message")
        usage = chunk.get("usage")
        if usage.__class__ is dict:
            self._read_usage(usage)
            self._usage_final = True

    def _fail(self, failure: Failure) -> None:
        self._over = True
        answer = self.answer
        answer.error_outcome = failure.outcome
        answer.error_type = failure.error_type
        answer.error_message = failure.error_message


def _call_chars(delta: dict[str, Any]) -> int:
    """Characters of function names and arguments; 0 for a delta that only opens a call."""
    calls = delta.get("tool_calls")
    if not calls and "function_call" not in delta:
        return 0
    functions = [call.get("function") for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    functions.append(delta.get("function_call"))
    return sum(
        len(text)
        for function in functions
        if isinstance(function, dict)
        for text in (function.get("name"), function.get("arguments"))
        if isinstance(text, str)
    )
