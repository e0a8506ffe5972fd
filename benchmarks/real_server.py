"""Serves a GGUF file with llama.cpp's own HTTP server, inside this process, until its standard input closes.

Runs under the interpreter of ``.targets/real``, never the project's: nothing but xllamacpp and the standard library may be
imported here. Prints one line of JSON with the base URL and its process id when it is ready; llama.cpp's log goes to standard error.

    real_server.py MODEL PORT [embeddings]

With ``embeddings`` it gives vectors, the mean of the tokens', and nothing else: llama.cpp does one or the other.
"""

from __future__ import annotations

import json
import os
import sys

import xllamacpp  # type: ignore[import-not-found, unused-ignore]  # installed in the target's own environment only

SLOTS = 4


def main() -> None:
    model, port = sys.argv[1], int(sys.argv[2])
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.n_ctx = 8192
    params.n_parallel = SLOTS
    # One thread: two of them spin against any neighbour on a small machine.
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.model_alias = {"smollm2"}
    params.endpoint_metrics = True
    params.warmup = False
    if sys.argv[3:] == ["embeddings"]:
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    server = xllamacpp.Server(params)
    print(json.dumps({"url": f"http://127.0.0.1:{port}/v1", "pids": [os.getpid()]}), flush=True)
    sys.stdin.read()
    del server


if __name__ == "__main__":
    main()
