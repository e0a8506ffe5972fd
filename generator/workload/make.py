"""Arrival number → prompt: the one thing that a worker asks of a workload. Pure in (step.seed, n); numpy and stdlib alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from generator.apis.api import Messages
from generator.job import Correction, Length, Step, WorkloadSpec
from generator.run_dir import RunDir
from generator.workload import lengths
from generator.workload.dataset import Dataset
from generator.workload.synthetic import CODE_WORDS, Synthetic


@dataclass(frozen=True, slots=True)
class Prompt:
    """``input_tokens`` is what the text is meant to come to (None: a dataset's own), ``output_tokens`` what to ask for (None: the
    target's own limit), ``words`` those of a synthetic text; ``messages`` and ``record`` as in ``api.Call``. ``spec`` is the workload that
    made it where a step has several; ``session_id``, ``turn`` (from 1) and ``keep_text`` (the answer is part of the next turn) are a
    conversation's.
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
        return int(self._column[n])


@dataclass(frozen=True, slots=True)
class _SyntheticWorkload:
    source: Synthetic
    correction: Correction
    input_tokens: _Tokens
    output_tokens: _Tokens | None

    def prompt(self, n: int) -> Prompt:
        wanted = self.input_tokens[n]
        words = self.correction.words_for(wanted)
        return Prompt(self.source.text(n, words), wanted, self.output_tokens[n] if self.output_tokens else None, words)


@dataclass(frozen=True, slots=True)
class _DatasetWorkload:
    source: Dataset
    output_tokens: _Tokens | None

    def prompt(self, n: int) -> Prompt:
        return Prompt(self.source.text(n), None, self.output_tokens[n] if self.output_tokens else None, None)


def make(step: Step, run: RunDir, correction: Correction) -> Workload:
    """The workload of ``step``. Raises ScenarioError where a dataset's file has gone since the plan."""
    spec = step.workload
    output = None if spec.output_tokens is None else _tokens(spec.output_tokens, run, step, lengths.OUTPUT)
    if spec.dataset is not None:
        return _DatasetWorkload(Dataset(Path(spec.dataset)), output)
    assert spec.input_tokens is not None
    # The prefix is inside the wanted length, and the template's overhead inside neither.
    prefix = round(spec.shared_prefix_tokens / correction.tokens_per_word)
    return _SyntheticWorkload(
        Synthetic(step.seed, prefix), correction, _tokens(spec.input_tokens, run, step, lengths.INPUT), output
    )


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
    return lengths.Drawn(length, step.seed, stream)
