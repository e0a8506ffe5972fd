"""Prompts of wanted lengths as records of a dataset: what a run with the same seed would send, without the run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from generator import run_dir
from generator.errors import ScenarioError
from generator.job import TOKENIZER_ENDPOINT, Correction
from generator.planning import plan
from generator.scenario import reading
from generator.scenario.target import SIMULATOR
from generator.workload import exact, make, tokenizer


def records(count: int, flags: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """``count`` objects with ``prompt``, ``input_tokens`` and, where the flags say one, ``output_tokens``. ``flags`` as ``scenario_flags``
    takes them: input_tokens, output_tokens, lengths, shared_prefix, seed, tokenizer. Lengths are those of the text alone, by the tokenizer's
    count, or in words where there is none. Raises ScenarioError; before the first record for all that can be known by then.
    """
    sized = any(flags.get(key) is not None for key in ("output_tokens", "lengths"))
    read = reading.load(None, {"target": SIMULATOR, **flags, "requests": count}, [])
    planned = plan.make(read, "prompts", 1)
    (target,) = planned.plan.targets.values()
    if target.tokenizer == TOKENIZER_ENDPOINT:
        raise ScenarioError("--tokenizer: a tokenizer.json is wanted; there is no target to ask")
    ids = tokenizer.of_target(target)
    with tempfile.TemporaryDirectory(prefix="openloop-prompts-") as folder:
        run = run_dir.create(Path(folder), "prompts")
        plan.write(planned, run)
        exact.learn(planned.plan, run)
        exact.verify(planned.plan, run, {})
        workload = make(planned.plan.steps[0], run, Correction())
        for n in range(count):
            prompt = workload.prompt(n)
            if ids is not None and len(ids(prompt.text)) != prompt.input_tokens:
                raise ScenarioError(f"prompt {n + 1}: {prompt.input_tokens:,} tokens cannot be hit with this tokenizer")
            record = {"prompt": prompt.text, "input_tokens": prompt.input_tokens}
            yield record | ({"output_tokens": prompt.output_tokens} if sized else {})
