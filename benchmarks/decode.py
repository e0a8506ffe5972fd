"""CPU of decoding, ns a token: a whole ``feed`` with SSE, JSON, packing and the sink, over the shapes that servers send.

    python benchmarks/decode.py [--repeats 9] [--tokens 20000]

Each answer has 200 chunks and is fed to a decoder of its own. "one": one event a read; "many": ten events a read; "bytes.split" is
the floor: the same bytes split into events and nothing else. Medians of alternating repeats, of CPU time of this process.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

from generator.apis.openai_chat import OpenAIChat
from generator.sse import SseParser

CHUNKS = 200
SHAPES = {
    "openai": b'{"id":"chatcmpl-C2xLpZ7","object":"chat.completion.chunk","created":1767225600,"model":"gpt-4o-mini-2024-07-18",'
    b'"service_tier":"default","system_fingerprint":"fp_560af6e559","choices":[{"index":0,"delta":{"content":"%s"},'
    b'"logprobs":null,"finish_reason":null}],"usage":null}',
    "obfuscated": b'{"id":"chatcmpl-C2xLpZ7","object":"chat.completion.chunk","created":1767225600,"model":"gpt-4o-mini-2024-07-18",'
    b'"choices":[{"index":0,"delta":{"content":"%s"},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"%d"}',
    "vllm usage": b'{"id":"chatcmpl-1f","object":"chat.completion.chunk","created":1767225600,"model":"m","choices":[{"index":0,"delta":'
    b'{"content":"%s"},"logprobs":null,"finish_reason":null}],"usage":{"prompt_tokens":17,"total_tokens":30,"completion_tokens":%d}}',
    "llama.cpp": b'{"choices":[{"finish_reason":null,"index":0,"delta":{"content":"%s"}}],"created":1767225600,"id":"chatcmpl-x7",'
    b'"model":"smollm2","system_fingerprint":"b1-a","object":"chat.completion.chunk"}',
}
WORDS = (b" the", b" of", b" \xe2\x82\xac", b" quick", b",", b" \\n", b" generator", b"s")


def answer(shape: bytes) -> list[bytes]:
    """The events of one answer."""
    both = shape.count(b"%") > 1
    events = []
    for n in range(CHUNKS):
        word = WORDS[n % len(WORDS)]
        events.append(b"data: " + shape % ((word, n + 1) if both else (word,)) + b"\n\n")
    return events


def joined(events: list[bytes], size: int) -> list[bytes]:
    return [b"".join(events[i : i + size]) for i in range(0, len(events), size)]


def decode(reads: list[bytes]) -> None:
    rows: list[bytes] = []
    decoder = OpenAIChat().decoder(7, "text/event-stream", rows.append)
    for n, payload in enumerate(reads):
        decoder.feed(payload, 1_000_000 + n, n, True)
    if len(rows) != CHUNKS:
        raise SystemExit(f"{len(rows)} rows of {CHUNKS}")


def parse(reads: list[bytes]) -> None:
    parser = SseParser()
    for payload in reads:
        parser.feed(payload)


def split(reads: list[bytes]) -> None:
    for payload in reads:
        payload.split(b"\n\n")


def cpu_ns(work: Callable[[list[bytes]], None], reads: list[bytes], answers: int) -> float:
    begun = time.process_time_ns()
    for _ in range(answers):
        work(reads)
    return (time.process_time_ns() - begun) / (answers * CHUNKS)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--repeats", type=int, default=9)
    options.add_argument("--tokens", type=int, default=20_000)
    chosen = options.parse_args()
    answers = max(1, chosen.tokens // CHUNKS)
    cases: dict[tuple[str, str], tuple[Callable[[list[bytes]], None], list[bytes]]] = {}
    for shape, text in SHAPES.items():
        events = answer(text)
        cases[shape, "decode, one"] = decode, events
        cases[shape, "decode, many"] = decode, joined(events, 10)
        cases[shape, "sse, one"] = parse, events
        cases[shape, "bytes.split, one"] = split, events
    found: dict[tuple[str, str], list[float]] = {case: [] for case in cases}
    for _ in range(chosen.repeats):
        for case, (work, reads) in cases.items():
            found[case].append(cpu_ns(work, reads, answers))
    columns = list(dict.fromkeys(column for _, column in cases))
    print(f"{'CPU ns a token':16}" + "".join(f"{column:>18}" for column in columns))
    for shape in SHAPES:
        print(f"{shape:16}" + "".join(f"{statistics.median(found[shape, column]):18.0f}" for column in columns))


if __name__ == "__main__":
    main()
