"""Which requests keep their prompt and answer, and what is kept of them: one row of ``texts`` each. Nothing here runs a token."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from typing import Any

import orjson

from generator.job import Step, Texts
from generator.recording.request_row import Redactor
from generator.rows import CONTENT, REASONING, REFUSAL, TOOL
from generator.stream import Stream
from generator.workload import Prompt

_DRAW = struct.Struct("<qqq")
_LABEL = b"openloop text"  # keeps these draws apart from any others that hash the same numbers
_WIDTH = 2**64

Row = tuple[Any, ...]


def sampled(seed: tuple[int, int], arrival: int, first: int, share: float) -> bool:
    """Whether ``sample`` keeps this arrival: one of the ``first`` of its step, or drawn with probability ``share``.

    Pure in (seed, arrival): the same arrivals whatever the number of workers, and in both arms of a comparison.
    """
    if arrival < first:
        return True
    drawn = hashlib.blake2b(_DRAW.pack(*seed, arrival), digest_size=8, key=_LABEL).digest()
    return int.from_bytes(drawn, "little") < share * _WIDTH


class TextKeeper:
    """One worker's part of the texts: ``wants`` before a request is made, ``row`` when it ended. ``on_full`` is told once, when this
    worker's part of the run's ``max_bytes`` is spent; from then on nothing is kept.
    """

    def __init__(
        self, texts: Texts, run_id: str, workers: int, redactor: Redactor, on_full: Callable[[str], None]
    ) -> None:
        self._texts = texts
        self._run_id = run_id
        self._redactor = redactor
        self._on_full = on_full
        self._room_bytes = texts.max_bytes // workers
        self._full = False

    def wants(self, step: Step | None, arrival: int) -> bool:
        """``step`` None is a probe: there are few, and what they asked explains the rest."""
        if self._full:
            return False
        texts = self._texts
        return texts.keep == "all" or step is None or sampled(step.seed, arrival, texts.first, texts.share)

    def row(self, stream: Stream) -> Row | None:
        """The texts of a request that ended, in the schema's order; None where there is no room for them."""
        if self._full:
            return None
        answer = stream.answer
        texts: list[str | None] = [prompt_text(stream.prompt)]
        if answer is not None:
            texts += [answer.text(CONTENT, REFUSAL), answer.text(REASONING) or None, answer.text(TOOL) or None]
        else:
            texts += [stream.error_body.decode("utf-8", "replace") or None, None, None]
        truncated = any(text is not None and len(text) > self._texts.max_chars for text in texts)
        kept = [self._clean(text) for text in texts]
        size_bytes = sum(len(data) for data in kept if data is not None)
        if size_bytes > self._room_bytes:
            self._full = True
            self._on_full(
                f"texts: {self._texts.max_bytes} bytes (record.max_size) are spent; further prompts and answers are not kept"
            )
            return None
        self._room_bytes -= size_bytes
        return (self._run_id, stream.request_id, *(None if data is None else data.decode() for data in kept), truncated)

    def _clean(self, text: str | None) -> bytes | None:
        """Cut, without secrets. A lone surrogate, which JSON may spell and UTF-8 cannot, becomes ``?``."""
        if text is None:
            return None
        return (self._redactor.clean(text[: self._texts.max_chars]) or "").encode("utf-8", "replace")


def prompt_text(prompt: Prompt) -> str:
    """A prompt as one text: a conversation or a record of a dataset as JSON, else the text itself."""
    whole = prompt.messages if prompt.messages is not None else prompt.record if not prompt.text else None
    return prompt.text if whole is None else orjson.dumps(whole).decode()
