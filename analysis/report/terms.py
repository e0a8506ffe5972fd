"""What each figure of a report means, one sentence or two each, in the words of docs/metrics.md."""

from __future__ import annotations

TERMS = {
    "TTFT": "Time to first token: arrival of the first chunk with text, reasoning, a tool call or a refusal, less the moment that the "
    "request was due. Chunks that carry only a role, or nothing, do not count.",
    "TTFT from send": "The same chunk, less the moment before the first byte of the request was handed to the socket.",
    "TTFO": "Time to first output: as TTFT, for the first chunk that is not reasoning.",
    "TPOT": "Time per output token: last chunk less first chunk, over the visible output tokens less those of the first chunk.",
    "ICL": "Inter-chunk latency: the gaps between chunks, pooled over requests. It is called ITL, inter-token latency, only where chunks "
    "carry at most 1.05 tokens on average.",
    "E2E": "End-to-end latency: the last chunk less the moment that the request was due. Without streaming, the end of the body.",
    "Lateness": "The moment that the generator issued a request, less the moment that it was due: the generator's own error. It is part of "
    "TTFT, so that a slow generator cannot hide behind it.",
    "Due": "Open loop: the arrival's place in a schedule that was drawn before the run began and waits for no answer. Closed loop: "
    "the moment that the slot became free, plus think time.",
    "Percentiles": "Linear interpolation between order statistics, over requests of the main phase that ended ok. A percentile "
    "that so few requests cannot bound from above is withheld.",
    "Adjusted percentiles": "The same with every failure, and every request that the drain cancelled, counted as infinitely late.",
    "Output, tokens/s": "Tokens that arrived inside the measurement window, over its length: neither ramp nor drain is in it.",
    "Per user": "1 / TPOT: the speed at which one reader sees text appear; the median over requests.",
    "Success rate": "Requests of the main phase that ended ok, over all of them but those that the scenario gives up on purpose. Ok means that the API's own terminal mark was seen "
    "and the body ended cleanly.",
    "Offered and achieved": "Arrivals that were due, and requests that were sent, per second of the measurement window.",
    "Measurement window": "From the start of a step, after its warm-up, until the last arrival could be due. Answers that come later "
    "count for latency, not for throughput.",
    "Exact stamps": "Chunks whose last byte ended its read, so that the kernel's time stamp is theirs alone. Any other lies between the "
    "arrival before it and its own stamp.",
    "VALID, INVALID": "Whether the generator kept to its schedule and its clocks well enough for the figures to describe the target. "
    "An INVALID run keeps and shows all its data.",
}
