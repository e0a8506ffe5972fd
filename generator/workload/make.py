"""Arrival number → prompt: the one thing that a worker asks of a workload. Pure in (step.seed, n), and cheap: it runs in the loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import orjson

from generator.apis.api import Messages
from generator.errors import ScenarioError
from generator.job import Correction, Length, Step, WorkloadSpec
from generator.run_dir import RunDir
from generator.workload import dataset, lengths
from generator.workload.dataset import Dataset
from generator.workload.prefixes import Blocks, Groups
from generator.workload.synthetic import CODE_WORDS, Synthetic


@dataclass(frozen=True, slots=True)
class Prompt:
    """``input_tokens`` is what the text is meant to come to (None: a dataset's own), ``output_tokens`` what to ask for (None: the
    target's own limit), ``words`` those of a synthetic text; ``messages`` and ``record`` as in ``api.Call``. ``spec`` is the workload that
    made it where a step has several; ``session_id``, ``turn`` (from 1) of ``turns`` and ``keep_text`` (the answer is part of the next
    turn) are a conversation's.
    """

    text: str
    input_tokens: int | None
    output_tokens: int | None
    words: int | None
    messages: Messages | None = None
    record: Any = None
    spec: WorkloadSpec | None = None
    session_id: int | None = None
    turn: int | None = None
    turns: int | None = None
    keep_text: bool = False


class Workload(Protocol):
    def prompt(self, n: int) -> Prompt: ...


class _Tokens(Protocol):
    def __getitem__(self, n: int, /) -> int: ...


class _Recorded:
    """A column of a trace's lengths, by arrival number."""

    def __init__(self, run: RunDir, step: Step, column: int) -> None:
        self._column = np.load(run.lengths_path(step.step_id), mmap_mode="r")[:, column]

    def __getitem__(self, n: int) -> int:
        return int(self._column[n % len(self._column)])


class _Text(Protocol):
    def text(self, n: int, count: int, /) -> str: ...


@dataclass(frozen=True, slots=True)
class _SyntheticWorkload:
    """``exact``: a tokenizer has told the words, so a length that cannot be had is an error; else it is had as nearly as it can be."""

    source: _Text
    correction: Correction
    input_tokens: _Tokens
    output_tokens: _Tokens | None
    exact: bool

    def prompt(self, n: int) -> Prompt:
        wanted = self.input_tokens[n]
        if self.exact and wanted - self.correction.overhead_tokens < 1:
            raise ScenarioError(
                f"a prompt of {wanted:,} tokens cannot be made: the target adds {self.correction.overhead_tokens:.0f} of its own; "
                f"ask for {self.correction.overhead_tokens + 1:.0f} at least"
            )
        words = self.correction.words_for(wanted)
        return Prompt(self.source.text(n, words), wanted, self.output_tokens[n] if self.output_tokens else None, words)


@dataclass(frozen=True, slots=True)
class _DatasetWorkload:
    source: Dataset
    output_tokens: _Tokens | None

    def prompt(self, n: int) -> Prompt:
        record = self.source.record(n)
        picked = self.source.pick(record)
        wanted = self.source.output_tokens(record)
        if wanted is None and self.output_tokens is not None:
            wanted = self.output_tokens[n]
        return Prompt(picked.text, None, wanted, None, picked.messages, record)


def make(step: Step, run: RunDir, correction: Correction) -> Workload:
    """The workload of ``step``. Raises ScenarioError where a dataset's file has gone or changed since the plan."""
    spec = step.workload
    output = None if spec.output_tokens is None else _tokens(spec.output_tokens, run, step, lengths.OUTPUT)
    if spec.dataset is not None:
        return _DatasetWorkload(dataset.planned(spec, run, step.seed), output)
    assert spec.input_tokens is not None
    vocabulary = vocabulary_of(run, step.target)
    return _SyntheticWorkload(
        _text(step, run, correction, vocabulary),
        correction,
        _tokens(spec.input_tokens, run, step, lengths.INPUT),
        output,
        vocabulary is not None,
    )


def _text(step: Step, run: RunDir, correction: Correction, vocabulary: tuple[str, ...] | None) -> _Text:
    spec = step.workload
    # The prefix is inside the wanted length, and the template's overhead inside neither.
    prefix = round(spec.shared_prefix_tokens / correction.tokens_per_word)
    if not (spec.block_tokens or spec.prefix_groups) or not prefix + spec.block_tokens:
        return Synthetic(step.words_seed, prefix, vocabulary)
    source = Synthetic(step.words_seed, 0, vocabulary)
    if spec.block_tokens:
        ids, ends = (np.load(run.plan_array_path(f"{name}-{step.step_id}"), mmap_mode="r") for name in BLOCK_TABLES)
        return Blocks(source, step.words_seed, ids, ends, round(spec.block_tokens / correction.tokens_per_word))
    return Groups(source, step.words_seed, spec.prefix_groups, spec.prefix_prompts, prefix, dealt=step.seed)


BLOCK_TABLES = ("blocks", "block-ends")
"""Arrays of a step that replays hash ids: all ids in a row, and where each arrival's end."""


def vocabulary_of(run: RunDir, target: str) -> tuple[str, ...] | None:
    """The words that are single tokens to a target's tokenizer; None where it has named none."""
    if not run.words_path.exists():
        return None
    words = orjson.loads(run.words_path.read_bytes()).get(target)
    return None if words is None else tuple(words)


def too_short(step: Step, correction: Correction) -> str | None:
    """A warning where the target's template alone, which the probe has measured, leaves no room for the wanted length."""
    wanted = step.workload.input_tokens
    if wanted is None or wanted.law == "trace" or step.workload.dataset is not None:
        return None
    least = round(wanted.value) if wanted.law == "fixed" else wanted.low
    room = (least - correction.overhead_tokens) / correction.tokens_per_word
    if room >= CODE_WORDS:
        return None
    return (
        f"step {step.name!r} wants prompts of {least} tokens; the target adds {correction.overhead_tokens:.0f} of its own, so "
        f"{'none that short can be sent' if room < 1 else 'they have fewer than six words and may repeat'}"
    )


def _tokens(length: Length, run: RunDir, step: Step, stream: int) -> _Tokens:
    if length.law == "trace":
        return _Recorded(run, step, stream - lengths.INPUT)
    table = np.load(run.plan_array_path(length.table), mmap_mode="r") if length.law == "empirical" else None
    return lengths.Drawn(length, step.seed, stream, table)
