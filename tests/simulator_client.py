"""Helpers of the simulator's tests: start one, talk to it over a bare socket, read its truth log."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

ROOT = Path(__file__).parents[1]
Body = dict[str, Any]
TIMEOUT_S = 30.0
FAST = {"ttft": "2ms", "itl": "1ms", "jitter": 0}


@dataclass
class Running:
    process: subprocess.Popen[str]
    ready: dict[str, Any]
    truth: Path | None = None

    @property
    def port(self) -> int:
        return int(self.ready["port"])

    def connect(self, host: str = "127.0.0.1") -> socket.socket:
        return socket.create_connection((host, self.port), timeout=TIMEOUT_S)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(TIMEOUT_S)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Rows of ``truth-<table>-*.parquet``; stop the simulator first."""
        assert self.truth is not None
        return [
            row
            for path in sorted(self.truth.glob(f"truth-{table}-*.parquet"))
            for row in pq.read_table(path).to_pylist()
        ]


def command(**options: object) -> list[str]:
    flags = [word for key, value in options.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    return [sys.executable, "-m", "simulator", *flags]


@contextlib.contextmanager
def running(*flags: str, stdin: int = subprocess.DEVNULL, **options: object) -> Iterator[Running]:
    """A simulator with :data:`FAST` times unless said otherwise; killed at the end if it still runs."""
    options = {**FAST, **options}
    process = subprocess.Popen(
        [*command(**options), *flags],
        stdin=stdin,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        truth = options.get("truth")
        yield Running(process, json.loads(process.stdout.readline()), Path(str(truth)) if truth else None)
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=TIMEOUT_S)


def chat(
    tokens: int | None = 4,
    *,
    stream: bool = True,
    usage: bool = False,
    prompt: str = "three little words",
    **more: object,
) -> dict[str, Any]:
    body: dict[str, Any] = {"model": "m", "stream": stream, "messages": [{"role": "user", "content": prompt}], **more}
    if tokens is not None:
        body["max_tokens"] = tokens
    if usage:
        body["stream_options"] = {"include_usage": True}
    return body


def completion(
    tokens: int | None = 4, *, stream: bool = True, prompt: object = "three little words", **more: object
) -> Body:
    return _with({"model": "m", "stream": stream, "prompt": prompt, **more}, "max_tokens", tokens)


def response(
    tokens: int | None = 4, *, stream: bool = True, given: object = "three little words", **more: object
) -> Body:
    return _with({"model": "m", "stream": stream, "input": given, **more}, "max_output_tokens", tokens)


def message(tokens: int | None = 4, *, stream: bool = True, prompt: str = "three little words", **more: object) -> Body:
    body = {"model": "m", "stream": stream, "messages": [{"role": "user", "content": prompt}], **more}
    return _with(body, "max_tokens", tokens)


def _with(body: Body, name: str, tokens: int | None) -> Body:
    return body if tokens is None else body | {name: tokens}


ANTHROPIC = {"anthropic-version": "2023-06-01"}


def request(
    body: dict[str, Any] | bytes | None,
    headers: dict[str, str] | None = None,
    *,
    path: str = "/v1/chat/completions",
    method: str = "POST",
) -> bytes:
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "host: simulator", f"content-length: {len(data)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + data


@dataclass
class Response:
    """``ended``: clean (the framing ended), eof (the connection did, in the middle), reset, or broken (no valid framing)."""

    status: int
    headers: dict[str, str]
    chunks: list[bytes] = field(default_factory=list)
    ended: str = "clean"

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    def events(self) -> list[Any]:
        """Data of the body's events, JSON decoded where it is JSON."""
        return [data for _, data in self.named_events()]

    def named_events(self) -> list[tuple[str, Any]]:
        """(name, data) of each event; the name is empty where it has none."""
        found = []
        for event in self.body.decode().split("\n\n"):
            if event:
                *names, data = event.split("\n")
                assert data.startswith("data: ")
                assert all(line.startswith("event: ") for line in names)
                found.append((names[0].removeprefix("event: ") if names else "", _decoded(data.removeprefix("data: "))))
        return found

    def deltas(self, name: str = "content") -> list[str]:
        return [
            event["choices"][0]["delta"][name]
            for event in self.events()
            if isinstance(event, dict) and event.get("choices") and event["choices"][0]["delta"].get(name)
        ]


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


class Reader:
    """Answers off one socket, one after the other: a second implementation of the framing, simple enough to believe."""

    def __init__(self, sock: socket.socket) -> None:
        self._file = sock.makefile("rb")

    def response(self) -> Response:
        status, headers = self._head()
        found = Response(status, headers)
        try:
            if headers.get("transfer-encoding") == "chunked":
                self._chunks(found)
            elif "content-length" in headers:
                found.chunks.append(self._file.read(int(headers["content-length"])))
            else:
                found.chunks.append(self._file.read())
        except ConnectionResetError:
            found.ended = "reset"
        return found

    def _head(self) -> tuple[int, dict[str, str]]:
        status = int(self._file.readline().split()[1])
        headers = {}
        while (line := self._file.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return status, headers

    def _chunks(self, found: Response) -> None:
        while line := self._file.readline():
            try:
                size = int(line, 16)
            except ValueError:
                found.ended = "broken"
                return
            payload = self._file.read(size)
            assert self._file.read(2) == b"\r\n" or len(payload) < size
            if size == 0:
                return
            found.chunks.append(payload)
        found.ended = "eof"


def ask(
    server: Running, body: dict[str, Any] | bytes | None, headers: dict[str, str] | None = None, **more: str
) -> Response:
    """One request on a connection of its own."""
    with server.connect() as sock:
        sock.sendall(request(body, headers, **more))
        return Reader(sock).response()
