"""The service in tests: inside this process for quick questions, as `openloop serve` where processes are killed."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from fastapi.testclient import TestClient
from whole_runs import ENVIRONMENT, until

from console.web.app import create_app
from console.web.settings import Settings

QUICK = {
    "target": {"url": "simulator", "simulator": {"ttft": "5ms", "itl": "1ms"}},
    "workload": {"input_tokens": 16, "output_tokens": 8},
    "steps": [{"concurrency": 2, "requests": 6}],
    "probe": 1,
    "workers": 1,
}
"""Six requests of a few milliseconds."""

LONG = QUICK | {"steps": [{"rate": "20/s", "duration": "60s"}]}
"""Goes on until it is stopped."""


def settings(path: Path, **given: Any) -> Settings:
    return Settings(runs_dir=path / "runs", **given)


@contextmanager
def client(of: Settings, host: str = "127.0.0.1") -> Iterator[TestClient]:
    """The application with its queue at work; what still runs in the end is told to stop."""
    with TestClient(create_app(of), base_url=f"http://{host}", follow_redirects=False) as found:
        yield found


def submitted(c: Any, **form: Any) -> str:
    """The id of a benchmark that was taken."""
    answer = c.post("/benchmarks", json=form)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def one(c: Any, benchmark_id: str, size: int = 0) -> dict[str, Any]:
    answer = c.get(f"/benchmarks/{benchmark_id}", params={"size": size})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def reached(c: Any, benchmark_id: str, *states: str) -> dict[str, Any]:
    """The benchmark, once it is in one of these states."""

    def there() -> dict[str, Any] | None:
        found = one(c, benchmark_id)
        return found if found["state"] in states else None

    return dict(until(there, f"{benchmark_id} {' or '.join(states)}"))


def over(c: Any, benchmark_id: str) -> dict[str, Any]:
    return reached(c, benchmark_id, "completed", "failed", "stopped", "interrupted")


@dataclass
class Served:
    """``openloop serve`` in a process of its own."""

    process: subprocess.Popen[str]
    client: httpx.Client
    url: str

    def kill(self) -> None:
        """As a machine does that is out of memory: no word to anybody."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def children(self, module: str) -> list[psutil.Process]:
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if module in process.cmdline():
                    found.append(process)
            except psutil.NoSuchProcess:
                continue
        return found


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextmanager
def served(
    path: Path, *options: str, port: int | None = None, verify: ssl.SSLContext | None = None, **environment: str
) -> Iterator[Served]:
    """A service that answers, by https where ``verify`` knows its certificate. Whoever kills it may start another over the same ``path``."""
    port = port or free_port()
    code = "import sys; from console.cli import main; sys.exit(main())"
    words = ["serve", "--port", str(port), "--runs-dir", str(path / "runs"), *options]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        env={**ENVIRONMENT, **environment},
        stderr=subprocess.PIPE,
        text=True,
        cwd=os.sep,
    )
    url = f"{'https' if verify else 'http'}://127.0.0.1:{port}"
    with httpx.Client(base_url=url, timeout=60, verify=verify or False) as asking:
        found = Served(process, asking, url)
        try:
            until(lambda: process.poll() is not None or _answers(asking), "the service's start")
            assert process.poll() is None, process.communicate()[1]
            yield found
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    process.kill()
            process.communicate()


def _answers(asking: httpx.Client) -> bool:
    try:
        return asking.get("/health").status_code == 200
    except httpx.TransportError:
        return False
