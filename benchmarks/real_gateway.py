"""A real gateway in front of a target: LiteLLM's proxy, from package registries alone.

``python -m benchmarks.real_gateway`` installs it into ``.targets/litellm`` (an environment of its own, about 740 MB). Whoever needs it
calls :func:`gateway`, which raises :class:`BenchmarkError` where it is absent.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.processes import STOP_S, BenchmarkError
from benchmarks.real_target import FOLDER, NAME, free_port

PACKAGE = "litellm[proxy]"
COMMAND = FOLDER / "litellm" / "bin" / "litellm"
READY_S = 120.0


@dataclass(frozen=True, slots=True)
class Gateway:
    """``url`` is the base with ``/v1``; ``key`` is what it wants as bearer token, drawn anew each time."""

    url: str
    key: str


def absent() -> str | None:
    """Why the gateway cannot be used, or None when it can."""
    return None if COMMAND.exists() else "the gateway is not installed: python -m benchmarks.real_gateway"


def install() -> None:
    FOLDER.mkdir(exist_ok=True)
    python = FOLDER / "litellm" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(FOLDER / "litellm")], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", PACKAGE], check=True)


def version() -> str:
    command = [str(COMMAND.with_name("pip")), "show", "litellm"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return next(line.split()[1] for line in said.splitlines() if line.startswith("Version:"))


def config(upstream: str, model: str = NAME) -> dict[str, Any]:
    """The proxy's own file: one model, passed on to ``upstream`` (a base URL that speaks OpenAI's chat)."""
    route = {"model": f"openai/{model}", "api_base": upstream, "api_key": "none"}
    return {
        "model_list": [{"model_name": model, "litellm_params": route}],
        # Without it /v1/messages goes to the upstream's Responses API.
        "litellm_settings": {"use_chat_completions_url_for_anthropic_messages": True, "num_retries": 0},
    }


@contextlib.contextmanager
def gateway(upstream: str, folder: Path, model: str = NAME) -> Iterator[Gateway]:
    """A proxy in front of ``upstream``."""
    with serving(config(upstream, model), folder) as made:
        yield made


@contextlib.contextmanager
def serving(settings: dict[str, Any], folder: Path) -> Iterator[Gateway]:
    """A proxy with these settings; they and its log lie in ``folder``."""
    if reason := absent():
        raise BenchmarkError(reason)
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / "litellm.yaml"
    written.write_text(yaml.safe_dump(settings))
    made = Gateway(f"http://127.0.0.1:{free_port()}/v1", f"sk-{secrets.token_hex(24)}")
    port = made.url.removesuffix("/v1").rpartition(":")[2]
    command = [str(COMMAND), "--config", str(written), "--host", "127.0.0.1", "--port", port, "--telemetry", "False"]
    environment = os.environ | {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MASTER_KEY": made.key}
    with (folder / "litellm.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait(process, made.url.removesuffix("/v1"), folder / "litellm.log")
            yield made
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], root: str, log: Path) -> None:
    end_s = time.monotonic() + READY_S
    while time.monotonic() < end_s and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            urllib.request.urlopen(f"{root}/health/liveliness", timeout=2).close()
            return
        time.sleep(0.5)
    raise BenchmarkError(f"the gateway did not get ready; it said: {log.read_text(errors='replace')[-2000:]}")


if __name__ == "__main__":
    install()
    print(f"litellm {version()} is installed")
