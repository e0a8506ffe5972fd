"""Prompts that hit their length exactly, or a run that does not begin: what the coordinator asks a target's tokenizer.

A prompt is made of words that are one token each, wherever they stand; so it has as many tokens as words, and no tokenizer is needed
while the load runs. Before it runs: the word list is cut to those words that are single tokens to this tokenizer; the probe learns what the
target's template adds; then the long text that prompts are cut from, and the first prompts of each step, are counted once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from generator.errors import OpenloopError, ScenarioError, TargetError
from generator.job import Correction, Plan, Step
from generator.run_dir import RunDir, write_whole
from generator.workload import lengths, synthetic, tokenizer
from generator.workload.make import make
from generator.workload.tokenizer import Tokenize

FEWEST_WORDS = 256
"""Of a vocabulary: with fewer, the beginning of a prompt that tells it from all others grows long."""

_CHUNK_WORDS = 2048
_SAMPLE = 8
_MOST_SAMPLES = 256
_LOOKED_AHEAD = 65_536
"""Lengths that are looked at before the run where nobody knows how many there will be."""

_ANCHOR = "the"


def learn(plan: Plan, run: RunDir) -> dict[str, int]:
    """Write ``run.words_path`` for all targets with a tokenizer; how many words each has. ``plan`` with its secrets. Raises ScenarioError,
    and TargetError where a target cannot be asked.
    """
    found: dict[str, list[str]] = {}
    for name, target in plan.targets.items():
        ids = tokenizer.of_target(target)
        if ids is None:
            continue
        found[name] = words = single_words(ids)
        if len(words) < FEWEST_WORDS:
            raise ScenarioError(
                f"target {name!r}: tokenizer: only {len(words)} of {len(synthetic.words()):,} English words are single tokens to it; "
                f"exact lengths need {FEWEST_WORDS}; leave tokenizer out, and the probe corrects the lengths"
            )
        _check_text(name, ids, synthetic.Synthetic(plan.steps[0].words_seed, 0, tuple(words)))
    if found:
        write_whole(run.words_path, orjson.dumps(found))
    return {name: len(words) for name, words in found.items()}


def single_words(ids: Tokenize) -> list[str]:
    """Those of words.txt that are one token both at the start of a text and after a space."""
    words = list(synthetic.words())
    first = _line_counts(ids, words) or [len(ids(word)) for word in words]
    spaced = [f" {word}" for word in words]
    alone = len(ids(_ANCHOR))
    later = _line_counts(ids, spaced) or [len(ids(_ANCHOR + word)) - alone for word in spaced]
    return [word for word, a, b in zip(words, first, later, strict=True) if a == b == 1]


def _line_counts(ids: Tokenize, lines: list[str]) -> list[int] | None:
    """Tokens of each line, by one call: lines part where the token of a line's end is. None for a tokenizer without such a token."""
    one, two = ids(_ANCHOR), ids(f"{_ANCHOR}\n{_ANCHOR}")
    if len(two) <= len(one) or two[: len(one)] != one:
        return None
    end = two[len(one)]
    counts = [0]
    for token in ids("\n".join(lines)):
        if token == end:
            counts.append(0)
        else:
            counts[-1] += 1
    return counts if len(counts) == len(lines) else None


def _check_text(name: str, ids: Tokenize, source: synthetic.Synthetic) -> None:
    """Every pair of neighbours that a slice of the long text can hold, counted."""
    words = source.everything().split(" ")
    for first in range(0, len(words), _CHUNK_WORDS):
        part = words[first : first + _CHUNK_WORDS]
        counted = len(ids(" ".join(part)))
        if counted != len(part):
            raise ScenarioError(
                f"target {name!r}: tokenizer: {len(part):,} words that are single tokens one by one come to {counted:,} together; "
                "lengths cannot be exact with it; leave tokenizer out, and the probe corrects them"
            )


def corrected(name: str, probes: list[dict[str, Any]]) -> Correction | None:
    """What the target's template adds, the same for each probe; None where it told no usage. Raises ScenarioError where the target
    counts otherwise than its tokenizer.
    """
    added = {p["input_tokens"] - p["words"] for p in probes if p["words"] and p["input_tokens"]}
    if not added:
        return None
    if len(added) > 1 or min(added) < 0:
        counts = ", ".join(f"{p['words']} as {p['input_tokens']}" for p in probes if p["words"] and p["input_tokens"])
        raise ScenarioError(
            f"target {name!r}: tokenizer: the target counts otherwise: prompts of so many tokens by the tokenizer came to, with its "
            f"template: {counts}; is it the model's own tokenizer?"
        )
    return Correction(overhead_tokens=float(added.pop()), tokens_per_word=1.0)


def verify(plan: Plan, run: RunDir, corrections: Mapping[str, Correction]) -> None:
    """Count the first prompts of each step, and look at all its lengths. ``plan`` with its secrets. Raises ScenarioError that names the
    step and the length that cannot be hit.
    """
    asked = {name: ids for name, target in plan.targets.items() if (ids := tokenizer.of_target(target)) is not None}
    steps = [alone for step in plan.steps for alone in step.alone() if alone.target in asked and _made_to_length(alone)]
    each = max(1, min(_SAMPLE, _MOST_SAMPLES // max(1, len(steps))))
    for step in steps:
        correction = corrections.get(step.target, Correction())
        try:
            _check_lengths(step, run, correction)
            workload = make(step, run, correction)
            for n in range(min(each, step.planned_arrivals or each)):
                prompt = workload.prompt(n)
                counted = len(asked[step.target](prompt.text))
                if counted != prompt.words:
                    raise ScenarioError(
                        f"a prompt of {prompt.input_tokens:,} tokens came to {counted + correction.overhead_tokens:,.0f} by the tokenizer"
                    )
        except TargetError:
            raise
        except OpenloopError as e:
            raise ScenarioError(f"step {step.name!r}: {e}") from None


def _made_to_length(step: Step) -> bool:
    return step.workload.dataset is None and step.workload.session is None


def _check_lengths(step: Step, run: RunDir, correction: Correction) -> None:
    """Raises ScenarioError where an arrival wants fewer tokens than the template alone has."""
    wanted = step.workload.input_tokens
    assert wanted is not None
    if wanted.law == "fixed":
        least = round(wanted.value)
    elif wanted.law == "trace":
        least = int(np.load(run.lengths_path(step.step_id), mmap_mode="r")[:, 0].min(initial=2**31 - 1))
    else:
        least = wanted.low
        if least < correction.overhead_tokens + 1:
            least = _least_drawn(step, run)
    if least < correction.overhead_tokens + 1:
        raise ScenarioError(
            f"a prompt of {least:,} tokens cannot be made: the target adds {correction.overhead_tokens:.0f} of its own; ask for "
            f"{correction.overhead_tokens + 1:.0f} at least (min: of a distribution)"
        )


def _least_drawn(step: Step, run: RunDir) -> int:
    wanted = step.workload.input_tokens
    assert wanted is not None
    table = np.load(run.plan_array_path(wanted.table)) if wanted.law == "empirical" else None
    drawn = lengths.Drawn(wanted, step.seed, lengths.INPUT, table)
    count = min(step.planned_arrivals or _LOOKED_AHEAD, 1_000_000)
    return min(int(drawn.block(b)[: count - b * lengths.BLOCK].min()) for b in range(-(-count // lengths.BLOCK)))
