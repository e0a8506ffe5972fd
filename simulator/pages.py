"""The small routes that take no model's time: ``/models``, ``/tokenize`` as vLLM has it, ``/metrics`` for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from zlib import crc32

import orjson
from prometheus_client import CollectorRegistry, Metric, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

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


class Metrics:
    """``/metrics``: vLLM's names for what the model does, and the usual ones of the process (CPU, memory, descriptors)."""

    def __init__(self, model: str, totals: Totals, under_way: Collection[Answer], waiting: Callable[[], int]) -> None:
        self._model = model
        self._totals = totals
        self._under_way = under_way
        self._waiting = waiting
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """Prometheus' text format, of this moment."""
        return bytes(generate_latest(self._registry))

    def collect(self) -> Iterator[Metric]:
        """What prometheus_client asks a collector for."""
        waiting, totals = self._waiting(), self._totals
        generated = totals.generation_tokens + sum(answer.generated() for answer in self._under_way)
        yield self._gauge("num_requests_running", "Requests in the model.", len(self._under_way) - waiting)
        yield self._gauge("num_requests_waiting", "Requests in the queue before it.", waiting)
        yield self._counter("prompt_tokens", "Input tokens of admitted requests.", {(): totals.prompt_tokens})
        yield self._counter("generation_tokens", "Tokens generated.", {(): generated})
        ended: dict[tuple[str, ...], int] = {(reason,): count for reason, count in totals.ended.items()}
        yield self._counter("request_success", "Requests that ended, by reason.", ended, "finished_reason")

    def _gauge(self, name: str, help_text: str, value: int) -> Metric:
        found = GaugeMetricFamily(f"vllm:{name}", help_text, labels=["model_name"])
        found.add_metric([self._model], value)
        return found

    def _counter(self, name: str, help_text: str, values: dict[tuple[str, ...], int], *labels: str) -> Metric:
        found = CounterMetricFamily(f"vllm:{name}", help_text, labels=["model_name", *labels])
        for of, value in values.items():
            found.add_metric([self._model, *of], value)
        return found
