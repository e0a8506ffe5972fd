"""The floor of the language: what the C reader (``native/reader.c``) does, in as little Python as can do it.

    python -m benchmarks.bare_reader PORT STREAMS SECONDS TOKENS

One epoll loop, one ``recvmsg`` and one stamp a read, tokens counted, the body's end looked for; no HTTP parser, no JSON, no table, no file.
Its line of JSON is that of the C reader.
"""

from __future__ import annotations

import gc
import json
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

from generator.transport.socket import SO_TIMESTAMPNS

EVENTS = 256
BUFFER_BYTES = 65_536
ANCILLARY_BYTES = 64
DRAIN_NS = 30_000_000_000
END = b"0\r\n\r\n"
KEY = b'"content":"'
EMPTY = b'"content":""'

_timespec = struct.Struct("qq").unpack


def request(tokens: int, mark: str) -> bytes:
    words = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    body = {
        "model": "simulated",
        "messages": [{"role": "user", "content": words}],
        "max_tokens": tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    payload = json.dumps(body).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"accept: text/event-stream\r\nx-request-id: {mark}\r\ncontent-length: {len(payload)}\r\n\r\n"
    )
    return head.encode() + payload


def connect(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock.setblocking(False)
    return sock


def read(port: int, streams: int, seconds: float, tokens: int) -> dict[str, Any]:
    """One run. Raises SystemExit where an answer is no 200 or does not end."""
    poll = select.epoll()
    socks = [connect(port) for _ in range(streams)]
    by_fd: dict[int, tuple[Callable[..., Any], int]] = {}
    for n, sock in enumerate(socks):
        by_fd[sock.fileno()] = sock.recvmsg, n
        poll.register(sock.fileno(), select.EPOLLIN)
    gc.disable()
    clock = time.monotonic_ns
    start_ns = clock()
    stop_ns = start_ns + int(seconds * 1e9)
    spread_ns = int(min(1.0, seconds * 0.05) * 1e9)
    records: list[tuple[int, int, int]] = []
    first_ns = first_cpu_ns = last_ns = last_cpu_ns = 0
    counted = started = active = responses = unstamped = 0
    while started < streams or active:
        while started < streams and clock() >= start_ns + spread_ns * started // streams:
            socks[started].send(request(tokens, f"bare-{started}-0"))
            started += 1
            active += 1
        if clock() > stop_ns + DRAIN_NS:
            raise SystemExit(f"{active} answers had not ended {DRAIN_NS // 10**9} s after the stop")
        for fd, _ in poll.poll(0.001 if started < streams else 1.0, EVENTS):
            recvmsg, n = by_fd[fd]
            data, ancillary, _, _ = recvmsg(BUFFER_BYTES, ANCILLARY_BYTES)
            if ancillary:
                whole, part = _timespec(ancillary[0][2])
                records.append((whole * 1_000_000_000 + part, n, len(data)))
            else:
                unstamped += 1
                records.append((time.time_ns(), n, len(data)))
            if not first_ns:
                first_ns, first_cpu_ns = clock(), time.process_time_ns()
            counted += data.count(KEY) - data.count(EMPTY)
            if data.endswith(END):
                responses += 1
                last_ns, last_cpu_ns = clock(), time.process_time_ns()
                if last_ns < stop_ns:
                    socks[n].send(request(tokens, f"bare-{n}-{responses}"))
                else:
                    active -= 1
            elif data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"not a 200: {data[:200]!r}")
            elif not data:
                raise SystemExit("the connection ended")
    return {
        "tokens": counted,
        "reads": len(records),
        "responses": responses,
        "unstamped": unstamped,
        "first_ns": first_ns,
        "last_ns": last_ns,
        "cpu_s": (last_cpu_ns - first_cpu_ns) / 1e9,
    }


if __name__ == "__main__":
    port, streams, seconds, tokens = sys.argv[1:]
    print(json.dumps(read(int(port), int(streams), float(seconds), int(tokens))))
