"""CPU of decoding, ns a token: ``take`` or else a whole ``feed``, with SSE, JSON, packing and the sink, over the shapes that servers send.

    python -m benchmarks.decode [--repeats 9] [--tokens 20000] [--json]

Each answer has 200 events with a token and is fed to a decoder of its own. "one": one event a read, as tokens come; "many": ten
events a read; "sse" is the floor: the same bytes split into events and nothing else. Medians of alternating repeats, of CPU
time of this process. "ratio": to openai-chat's first shape, read alike, in the same run.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator

from benchmarks.harness import arguments, finish, machine, main
from generator.apis.anthropic_messages import AnthropicMessages
from generator.apis.api import Api
from generator.apis.http_json import HttpJson
from generator.apis.openai_chat import OpenAIChat
from generator.apis.openai_completions import OpenAICompletions
from generator.apis.openai_responses import OpenAIResponses
from generator.job import Http
from generator.sse import SseParser

CHUNKS = 200
WORDS = (" the", " of", " €", " quick", ",", "\\n", " generator", "s")

Shape = Callable[[str, int], str]
"""A token as JSON spells it and its number → the event's bytes without the blank line."""

Chunk = tuple[bytes, int, bytes]
"""A read that is a chunk of HTTP/1.1, where its payload begins, and the payload."""

_CHAT = '"created":1767225600,"model":"gpt-4o-mini-2024-07-18"'
_DELTA = '"choices":[{"index":0,"delta":{"content":"%s"},"logprobs":null,"finish_reason":null}]'
_ITEM = '"item_id":"msg_67c9fdcf37fc8190ba82116e33fb28c507b8b0ad4e5eb654","output_index":0,"content_index":0'


def _chat(head: str, tail: str = "") -> Shape:
    return lambda word, n: "data: {" + head + (_DELTA % word) + (tail.replace("#", str(n)) + "}")


SHAPES: dict[tuple[str, str], Shape] = {
    ("openai-chat", "openai"): _chat(
        f'"id":"chatcmpl-C2xLpZ7","object":"chat.completion.chunk",{_CHAT},"service_tier":"default",'
        '"system_fingerprint":"fp_560af6e559",',
        ',"usage":null',
    ),
    ("openai-chat", "obfuscated"): _chat(f'"id":"chatcmpl-C2xLpZ7",{_CHAT},', ',"usage":null,"obfuscation":"x#"'),
    ("openai-chat", "vllm usage"): _chat(
        '"id":"chatcmpl-1f","object":"chat.completion.chunk","created":1767225600,"model":"m",',
        ',"usage":{"prompt_tokens":17,"total_tokens":30,"completion_tokens":#}',
    ),
    ("openai-completions", "openai"): lambda word, _: (
        f'data: {{"id":"cmpl-C2xLpZ7","object":"text_completion",{_CHAT},"choices":[{{"text":"{word}","index":0,"logprobs":null,'
        '"finish_reason":null}],"usage":null}'
    ),
    ("openai-responses", "openai"): lambda word, n: (
        f'event: response.output_text.delta\ndata: {{"type":"response.output_text.delta","sequence_number":{n + 3},{_ITEM},'
        f'"delta":"{word}","logprobs":[]}}'
    ),
    ("openai-responses", "obfuscated"): lambda word, n: (
        f'event: response.output_text.delta\ndata: {{"type":"response.output_text.delta","sequence_number":{n + 3},{_ITEM},'
        f'"delta":"{word}","logprobs":[],"obfuscation":"x{n}"}}'
    ),
    ("anthropic-messages", "anthropic"): lambda word, n: (
        'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta",'
        f'"text":"{word}"}}' + " " * (n * 5 % 14) + "}"
    ),
    ("http-json", "numbered"): lambda word, n: f'data: {{"index":{n},"output":{{"text":"{word}"}}}}',
    ("http-json", "$.output.text"): lambda word, _: (
        f'data: {{"id":"7f3c5a52","model":"summaries-2","output":{{"text":"{word}","finish":null}},"usage":null}}'
    ),
}
_HTTP = HttpJson(Http(answer="$.output.text"))
APIS: dict[str, Api] = {
    api.name: api for api in (OpenAIChat(), OpenAICompletions(), OpenAIResponses(), AnthropicMessages(), _HTTP)
}
BASE = ("openai-chat", "openai")


def answer(shape: Shape) -> list[bytes]:
    """The events of one answer."""
    return [f"{shape(WORDS[n % len(WORDS)], n + 1)}\n\n".encode() for n in range(CHUNKS)]


def joined(events: list[bytes], size: int) -> list[Chunk]:
    return [chunked(b"".join(events[i : i + size])) for i in range(0, len(events), size)]


def chunked(payload: bytes) -> Chunk:
    line = b"%x\r\n" % len(payload)
    return line + payload + b"\r\n", len(line), payload


def decode(api: Api, reads: list[Chunk]) -> None:
    """As a stream does: each read is offered to the short cut first."""
    rows: list[bytes] = []
    decoder = api.decoder(7, "text/event-stream", rows.append)
    for n, (data, at, payload) in enumerate(reads):
        if not decoder.take(data, at, 1_000_000 + n, n, True):
            decoder.feed([(payload, 1_000_000 + n, n, True)])
    if len(rows) != CHUNKS:
        raise SystemExit(f"{api.name}: {len(rows)} rows of {CHUNKS}")


def parse(_: Api, reads: list[Chunk]) -> None:
    parser = SseParser()
    for _data, _at, payload in reads:
        parser.feed(payload)


def cpu_ns(work: Callable[[Api, list[Chunk]], None], api: Api, reads: list[Chunk], answers: int) -> float:
    begun = time.process_time_ns()
    for _ in range(answers):
        work(api, reads)
    return (time.process_time_ns() - begun) / (answers * CHUNKS)


def cases() -> Iterator[tuple[tuple[str, str], str, Callable[[Api, list[Chunk]], None], list[Chunk]]]:
    for shape, make in SHAPES.items():
        events = answer(make)
        yield shape, "one_ns", decode, joined(events, 1)
        yield shape, "many_ns", decode, joined(events, 10)
        yield shape, "sse_one_ns", parse, joined(events, 1)


def measure() -> None:
    options = arguments(__doc__)
    options.add_argument("--repeats", type=int, default=9)
    options.add_argument("--tokens", type=int, default=20_000)
    chosen = options.parse_args()
    answers = max(1, chosen.tokens // CHUNKS)
    made = machine()
    found: dict[tuple[str, str], dict[str, list[float]]] = {shape: {} for shape in SHAPES}
    gc.disable()  # as in a worker, which collects when nothing waits
    for _ in range(chosen.repeats):
        for shape, column, work, reads in cases():
            found[shape].setdefault(column, []).append(cpu_ns(work, APIS[shape[0]], reads, answers))
        gc.collect()
    median = {shape: {c: statistics.median(times) for c, times in columns.items()} for shape, columns in found.items()}
    rows = [
        {
            "api": api,
            "shape": shape,
            **columns,
            "ratio_one": columns["one_ns"] / median[BASE]["one_ns"],
            "ratio_many": columns["many_ns"] / median[BASE]["many_ns"],
        }
        for (api, shape), columns in median.items()
    ]
    finish(chosen, "Decoding, CPU a token", made, rows)


if __name__ == "__main__":
    main(measure)
