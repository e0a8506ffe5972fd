"""Real arrivals and lengths: minutes of the Azure conversation trace, sped up, against the simulator's batch model.

The trace (Patel et al., Splitwise, ISCA 2024; CC-BY-4.0) gives each request's time, input and output tokens. The simulator queues,
batches, prefills and decodes by its own model, so that TTFT and TPOT vary by request as a real server's do, and logs what it did.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks import harness, truth
from benchmarks.processes import ROOT, openloop, simulator

TRACE = ROOT / "scenarios" / "data" / "AzureLLMInferenceTrace_conv.csv.gz"
MODEL = {
    "timing": "batch",
    "max_batch": 256,
    "prefill_base": "4ms",
    "prefill_per_token": "8us",
    "decode_base": "6ms",
    "decode_per_sequence": "50us",
}
"""A model fast enough that the trace at five times its speed loads it without drowning it."""


def measure() -> None:
    parser = harness.arguments(__doc__)
    parser.add_argument("--trace", type=Path, default=TRACE)
    parser.add_argument("--minutes", type=float, default=5.0, help="of the trace's own time")
    parser.add_argument("--speed", type=float, default=5.0)
    options = parser.parse_args()
    made = harness.machine()
    window = {"from": "0s", "to": f"{options.minutes * 60:g}s"}
    with harness.folder(options) as folder:
        log = folder / "azure-truth"
        with simulator(log, None, **MODEL) as server:
            scenario = {
                "name": "azure-conversation",
                "seed": 42,
                "target": {"url": server["url"], "api": "openai-chat", "model": "simulated"},
                "steps": [{"trace": {"file": str(options.trace.resolve()), "speed": options.speed, "window": window}}],
            }
            client = openloop(scenario, "azure", folder, "--workers", "1")
        rows = truth.latencies(client.run, log)
        stamps = truth.stamps(client.run, log)
        lost = truth.lost(client.run, log)
        verdict = client.manifest()["verdict"]
    note = (
        f"{lost['requests_recorded']} requests recorded of {lost['requests_truth']} served, {lost['tokens_recorded']} token rows of "
        f"{lost['tokens_written']} written; {stamps['exact_share']:.2%} of the stamps exact (each response's last aside), off by "
        f"{stamps['exact_error_p50_us']:.0f} µs (p50), {stamps['exact_error_p99_us']:.0f} µs (p99); the run judged itself {verdict}. "
        "The truth's TTFT starts where the simulator had received the request."
    )
    harness.finish(options, "The Azure conversation trace against the batch model", made, rows, note)


if __name__ == "__main__":
    harness.main(measure)
