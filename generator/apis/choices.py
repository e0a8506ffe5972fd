"""The two OpenAI APIs whose chunks hold ``choices`` and ``usage``, chat and completions: ends, counts, and which server says them where.

``usage`` and ``choices`` are read independently of each other, because servers put ``usage`` on a chunk of its own (OpenAI), on
the one with the finish (Together), on every one (xAI, vLLM on request) or beside a choice without a payload (LiteLLM). One event
makes at most one row: a chunk that carries both reasoning and content is one arrival, and two rows would invent a gap of
zero. Such a row is of the first kind that is not reasoning, and its characters are all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from generator.apis.api import RowSink
from generator.apis.events import EventDecoder
from generator.apis.fields import count, timings_ms, word
from generator.apis.template import NO_TEMPLATE
from generator.rows import REASONING, UNKNOWN

_ROW_TOKENS_MAX = 2**15 - 1

Place = tuple[str, Callable[[Any], Any]]
"""A chunk's only text, and how to take it out of the parsed chunk."""

NOWHERE: Place = ("", lambda _: None)


class ChoicesDecoder(EventDecoder):
    """An API adds what one choice carries: ``_payload`` and ``_place``."""

    LOOSE = ("obfuscation",)

    __slots__ = ("_counted", "_finished", "_reasoned", "_seen")

    def __init__(self, request_id: int, content_type: str, sink: RowSink, keep_text: bool = False) -> None:
        super().__init__(request_id, content_type, sink, keep_text)
        self._seen: set[int] = set()  # choices, by index
        self._finished: set[int] = set()
        self._reasoned = False  # a row of reasoning was seen, so that reasoning tokens are visible ones
        self._counted: int | None = 0  # visible tokens that usage told up to here; None once a row came without usage

    # -- what an API adds ----------------------------------------------------------------------------------------------

    def _payload(self, choice: dict[str, Any], whole: bool) -> tuple[int | None, int]:
        """Kind and characters of what a choice carries, (None, 0) if nothing. ``whole``: of a document, not of a chunk."""
        raise NotImplementedError  # each API's own

    def _place(self, choice: dict[str, Any]) -> Place:
        """Where the choice has its text, if that is all that it carries; else NOWHERE."""
        raise NotImplementedError  # each API's own

    # -- what both share -----------------------------------------------------------------------------------------------

    def _event(self, data: bytes, name: bytes, t_ns: int, read_index: int, exact: bool) -> bool:
        chunk = self._open(data, name)
        if chunk is None:
            return self._over
        if self.answer.response_id is None or "timings" in chunk:
            self._read_facts(chunk)
        choices: Any = chunk.get("choices")
        kind, chars = self._read_choices(choices, False)
        usage = chunk.get("usage")
        tokens = UNKNOWN
        if usage.__class__ is dict:
            tokens = self._row_tokens(self._read_usage(usage))
            self._usage_final = not choices or self.answer.terminal
            if self._template is not NO_TEMPLATE:
                self._forget()
        if kind is not None:
            self._row(kind, chars, tokens, t_ns, read_index, exact)
        if usage.__class__ is dict:
            self._usage_rows = self.answer.rows
        elif kind is not None:
            self._counted = None
            if kind <= REASONING and "timings" not in chunk:
                alone = len(choices) == 1 and not choices[0].get("finish_reason")
                text, read = self._place(choices[0]) if alone else NOWHERE
                self._learn(data, chunk, name, kind, text, read)
        return False

    def _read_document(self, document: dict[str, Any], data: bytes) -> None:  # noqa: ARG002 - other APIs quote it in errors
        self._read_facts(document)
        self._read_choices(document.get("choices"), True)
        usage = document.get("usage")
        if usage.__class__ is dict:
            self._read_usage(usage)
            self._usage_final = True

    def _read_facts(self, chunk: dict[str, Any]) -> None:
        answer = self.answer
        if answer.response_id is None:
            answer.response_id = word(chunk.get("id"))
        if "timings" in chunk:
            answer.server_ms = timings_ms(chunk["timings"])

    def _read_choices(self, choices: Any, whole: bool) -> tuple[int | None, int]:
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
            told, size = self._payload(choice, whole)
            if told is not None:
                chars += size
                if kind is None or kind == REASONING:
                    kind = told
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
        if details.__class__ is dict:
            told = count(details.get("cached_tokens"))
            if told is not None:
                answer.cached_tokens = told
            if "cache_write_tokens" in details:
                answer.cache_write_tokens = count(details["cache_write_tokens"])
        elif "prompt_cache_hit_tokens" in usage:
            answer.cached_tokens = count(usage["prompt_cache_hit_tokens"])
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
