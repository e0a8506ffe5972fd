"""``python -m console.web.boxed``: the inside of a box. Limits itself, does one job of ``jobs.py``, answers, ends."""

from __future__ import annotations

import os
import resource
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from console.web import redaction
from generator.errors import OpenloopError

_CODE_BYTES = 1_700_000_000
"""Address space that Python with DuckDB, Arrow, two threads and two arenas maps before it holds a single row: 1.5 GB, and some room."""


def main() -> int:
    told = orjson.loads(sys.stdin.buffer.read())
    _limit(told)
    from console.web import jobs  # late: what it imports counts against the limits, too

    head: dict[str, Any]
    body = b""
    try:
        head, body = jobs.do(told["job"])
    except OpenloopError as e:
        head = {"error": str(e), "kind": type(e).__name__}
    except MemoryError:
        head = {"error": "it takes more memory than an answer may take", "kind": "QueryError"}
    except Exception as e:  # noqa: BLE001 - whatever else it is must reach the server as an answer, not as silence
        head = {"error": f"{type(e).__name__}: {e}", "kind": "fault", "trace": traceback.format_exc()}
    for name in ("error", "trace"):
        if name in head:
            head[name] = redaction.without_given(head[name])
    sys.stdout.buffer.write(orjson.dumps(head, default=str) + b"\n" + body)
    sys.stdout.buffer.flush()
    os._exit(0)  # a thread of a library that still runs is nothing to wait for


def _limit(told: dict[str, Any]) -> None:
    os.nice(10)
    resource.setrlimit(resource.RLIMIT_CPU, (told["cpu_s"] * 2, told["cpu_s"] * 2 + 2))
    with suppress(OSError):
        # Where memory runs out all the same, the kernel is to end this process, not the service or a run.
        Path("/proc/self/oom_score_adj").write_text("1000")
    if told["maps_bytes"] is not None:
        resource.setrlimit(resource.RLIMIT_AS, (_CODE_BYTES + told["maps_bytes"],) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if told["job"].get("writes_nothing"):
        # Not a byte into any file, whatever SQL finds: pipes are no files.
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


if __name__ == "__main__":
    sys.exit(main())
