"""The probe: a few requests before the first step, which learn how many tokens the target counts for a synthetic prompt and
stop a run whose target refuses everything."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from generator.job import Correction, Length, Step
from generator.run_dir import RunDir
from generator.stream import Stream
from generator.workload import Workload, make

SHORT_TOKENS = 16
LONG_TOKENS = 256
ANSWER_TOKENS = 16

_HOPELESS = {
    401: "the key is refused",
    403: "the key may not do this",
    404: "no such path or model (a url is the base, for most servers up to /v1)",
}


def probe_workload(step: Step, run: RunDir, number: int, count: int) -> Workload:
    """Prompts for probe ``number`` of ``count``: short and long ones by turns, so that both the template's overhead and the
    tokens a word can be told; datasets and traces keep their own prompts."""
    length = SHORT_TOKENS if number % 2 == 0 and count > 1 else LONG_TOKENS
    spec = step.workload
    if spec.dataset is None:
        spec = replace(spec, input_tokens=Length("fixed", value=length), shared_prefix_tokens=0)
    answer = spec.output_tokens
    if answer is not None:
        spec = replace(spec, output_tokens=Length("fixed", value=ANSWER_TOKENS))
    return make(replace(step, workload=spec), run, Correction())


def summary(stream: Stream, outcome: str) -> dict[str, Any]:
    """What the coordinator needs to know of one probe."""
    return {
        "outcome": outcome,
        "status": stream.status,
        "unreachable": outcome == "connect_error" or (outcome == "timeout" and stream.sent_ns is None),
        "words": stream.prompt.words,
        "input_tokens": stream.answer.input_tokens if stream.answer is not None else None,
        "error": f"{stream.failure.error_type}: {stream.failure.error_message}" if stream.failure is not None else None,
    }


def correction(probes: list[dict[str, Any]]) -> Correction | None:
    """Overhead and tokens a word by least squares over the probes that were answered; None where nothing can be learned.

    With one length only the slope is taken as 1: the word list is made of words that are single tokens."""
    points = [(p["words"], p["input_tokens"]) for p in probes if p["words"] and p["input_tokens"]]
    if not points:
        return None
    mean_w = sum(w for w, _ in points) / len(points)
    mean_t = sum(t for _, t in points) / len(points)
    spread = sum((w - mean_w) ** 2 for w, _ in points)
    slope = sum((w - mean_w) * (t - mean_t) for w, t in points) / spread if spread else 1.0
    if slope <= 0:
        return None
    return Correction(overhead_tokens=mean_t - slope * mean_w, tokens_per_word=slope)


def hopeless(name: str, probes: list[dict[str, Any]]) -> str | None:
    """Why the run should not begin: every probe was refused in a way that more requests cannot mend. None to go on."""
    if not probes:
        return None
    if all(p["unreachable"] for p in probes):
        return f"target {name!r}: cannot be reached: {probes[0]['error']}"
    if all(p["status"] in _HOPELESS for p in probes):
        first = probes[0]
        return f"target {name!r}: HTTP {first['status']}, {_HOPELESS[first['status']]}: {first['error']}"
    return None
