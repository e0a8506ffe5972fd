"""How true are the stamps? openloop against the simulator's log of its own writes, fixed TTFT 50 ms and ITL 10 ms, closed loop.

Client and simulator share the machine. Each transport is measured alone and with a CPU hog beside the worker: then openloop and the
hog are kept on CPU 1, the simulator on CPU 0. TTFT error is the stamp of a response's first token − the truth's write of it.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from benchmarks import harness, truth
from benchmarks.processes import closed_loop, hog, openloop, simulator, verdict_of

TTFT, ITL = "50ms", "10ms"
OUTPUT_TOKENS = 500
"""Long answers, so that 512 streams offer 51,000 tokens/s: 500 tokens in 5.04 s each."""


def one(folder: Path, transport: str, streams: int, seconds: float, beside: bool) -> harness.Row:
    """One run and its errors."""
    name = f"accuracy-{transport}-{streams}{'-hog' if beside else ''}"
    log = folder / f"{name}-truth"
    client_cpu, simulator_cpu = (1, 0) if beside else (None, None)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(simulator(log, cpu=simulator_cpu, ttft=TTFT, itl=ITL, jitter=0))
        if beside:
            stack.enter_context(hog(1))
        scenario = closed_loop(server["url"], streams, OUTPUT_TOKENS, seconds)
        client = openloop(scenario, name, folder, "--workers", "1", "--transport", transport, cpu=client_cpu)
    return {
        "transport": transport,
        "streams": streams,
        "beside": "a CPU hog" if beside else "nothing",
        **truth.stamps(client.run, log),
        "bytes_per_token_row": (client.run / "tokens.parquet").stat().st_size
        / truth.lost(client.run, log)["tokens_recorded"],
        "verdict": verdict_of(client.run),
    }


def measure() -> None:
    parser = harness.arguments(__doc__)
    parser.add_argument("--streams", type=int, nargs="+", default=[64, 512])
    parser.add_argument("--transports", nargs="+", default=["socket", "aiohttp"])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--no-hog", action="store_true", help="leave out the runs with a CPU hog")
    options = parser.parse_args()
    made = harness.machine()
    with harness.folder(options) as folder:
        rows = [
            one(folder, transport, streams, options.seconds, beside)
            for beside in ([False] if options.no_hog else [False, True])
            for streams in options.streams
            for transport in options.transports
        ]
    note = (
        "Errors are client's stamp − simulator's clock before its send(2). exact share leaves out each response's last token. "
        "any error: every stamp, exact or not. inexact outside: inexact stamps whose true time is not in the interval that they claim."
    )
    harness.finish(options, "Accuracy: stamps against the simulator's truth log", made, rows, note)


if __name__ == "__main__":
    harness.main(measure)
