"""The small routes that take no model's time: ``/models``, ``/tokenize`` as vLLM has it, ``/metrics`` for Prometheus."""

from __future__ import annotations

import resource
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

import orjson

from simulator import words
from simulator.answer import Answer
from simulator.asked import BadRequestError, conversation, json_object
from simulator.settings import Settings

METRICS_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
_VOCABULARY = 50_000


def models(settings: Settings) -> bytes:
    entry = {"id": settings.model, "object": "model", "created": 0, "owned_by": "openloop"}
    return orjson.dumps({"object": "list", "data": [entry]})


def tokenize(body: bytes, settings: Settings) -> bytes:
    """As vLLM answers ``{"prompt"}`` or ``{"messages"}``, of which only the second has the chat template's tokens on top."""
    asked = json_object(body)
    prompt, more = asked.get("prompt"), 0
    if "messages" in asked:
        found = conversation(asked["messages"]).words
        prompt, more = "", settings.template_tokens
    elif isinstance(prompt, str):
        found = len(prompt.split())
    else:
        raise BadRequestError("give 'prompt', a text, or 'messages'", "prompt")
    count = words.tokens(found, settings.tokens_per_word) + more
    numbers = [crc32(word.encode("utf-8", "replace")) % _VOCABULARY for word in prompt.split()]
    numbers = (numbers + [0] * count)[:count]
    return orjson.dumps({"count": count, "max_model_len": settings.output_tokens_max, "tokens": numbers})


@dataclass(slots=True)
class Totals:
    """What has come and gone since the start, by the answers that are over; those under way are added when somebody asks."""

    prompt_tokens: int = 0
    generation_tokens: int = 0
    ended: dict[str, int] = field(default_factory=lambda: {"stop": 0, "length": 0, "abort": 0})

    def over(self, answer: Answer, outcome: str) -> None:
        self.generation_tokens += answer.generated()
        reason = "abort" if outcome != "ok" else "stop" if answer.shape.stopped else "length"
        self.ended[reason] += 1


def metrics(model: str, totals: Totals, under_way: Iterable[Answer], waiting: int) -> bytes:
    """Prometheus text under vLLM's names; the process's own CPU and memory under the usual ones of Prometheus clients."""
    answers = list(under_way)
    generated = totals.generation_tokens + sum(answer.generated() for answer in answers)
    used = resource.getrusage(resource.RUSAGE_SELF)
    of_model = {"model_name": model}
    lines: list[str] = []

    def add(name: str, kind: str, help_text: str, *samples: tuple[dict[str, Any], float]) -> None:
        lines.append(f"# HELP {name} {help_text}")
        lines.append(f"# TYPE {name} {kind}")
        for labels, value in samples:
            inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
            lines.append(f"{name}{{{inside}}} {value}" if inside else f"{name} {value}")

    running = len(answers) - waiting
    add("vllm:num_requests_running", "gauge", "Requests in the model.", (of_model, running))
    add("vllm:num_requests_waiting", "gauge", "Requests in the queue before it.", (of_model, waiting))
    add("vllm:prompt_tokens_total", "counter", "Input tokens of admitted requests.", (of_model, totals.prompt_tokens))
    add("vllm:generation_tokens_total", "counter", "Tokens generated.", (of_model, generated))
    ended = [(of_model | {"finished_reason": reason}, count) for reason, count in totals.ended.items()]
    add("vllm:request_success_total", "counter", "Requests that ended, by reason.", *ended)
    add("process_cpu_seconds_total", "counter", "User and system time.", ({}, used.ru_utime + used.ru_stime))
    add("process_resident_memory_bytes", "gauge", "Resident memory.", ({}, _resident_bytes()))
    return ("\n".join(lines) + "\n").encode()


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
