"""``run --prometheus PORT``: a thread of the coordinator's process that answers scrapes on the loopback while runs last.

The coordinator hands over its last look four times a second; a scrape reads that and nothing else, so workers notice nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import ThreadingWSGIServer, choose_encoder

from console.monitoring import Collector, Moment
from generator.errors import MachineError
from generator.progress import Progress

HOST = "127.0.0.1"
_NAMES = (HOST, "localhost")
_PROTOBUF = "io.prometheus.client.MetricFamily"

Watch = Callable[[Progress], None]


class Board:
    """The last look at the run that lasts; ``source`` for a Collector. ``port`` is where it is shown."""

    def __init__(self) -> None:
        self.port = 0
        self._last: tuple[Moment, ...] = ()

    def post(self, scenario: str, progress: Progress) -> None:
        # One assignment, so a scrape in another thread sees this look or the one before, never half of one.
        self._last = (({"run": progress.run_id, "scenario": scenario}, progress),)

    def source(self) -> Iterable[Moment]:
        return self._last

    def watching(self, scenario: str, watch: Watch) -> Watch:
        """``watch``, with each look posted first."""

        def both(progress: Progress) -> None:
            self.post(scenario, progress)
            watch(progress)

        return both


def answer(collector: Collector, accept: str | None) -> tuple[str, bytes]:
    """(content type, body) in the form that a scraper accepts: protobuf with native histograms where it asks for that and the
    package protobuf is there, else OpenMetrics or Prometheus text.
    """
    if accept and _PROTOBUF in accept:
        try:
            from console import native
        except ImportError:  # the extra `monitoring` is not installed: text has the classic histograms
            pass
        else:
            return native.CONTENT_TYPE, native.encode(collector.collect_native())
    registry = CollectorRegistry()
    registry.register(collector)
    encode, content_type = choose_encoder(accept or "")
    return content_type, encode(registry)


@contextmanager
def exposing(port: int) -> Iterator[Board]:
    """A board whose metrics http://127.0.0.1:PORT/metrics shows until the end (0: any free port).

    Raises MachineError where the port is taken.
    """
    board = Board()
    try:
        server = make_server(HOST, port, _app(Collector(board.source)), ThreadingWSGIServer, handler_class=_Silent)
    except OSError as e:
        raise MachineError(f"--prometheus: port {port} of {HOST}: {e.strerror or e}; choose another") from e
    board.port = server.server_port
    threading.Thread(target=server.serve_forever, name="prometheus", daemon=True).start()
    try:
        yield board
    finally:
        server.shutdown()
        server.server_close()


def _app(collector: Collector) -> Callable[..., list[bytes]]:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        name = environ.get("HTTP_HOST", HOST).partition(":")[0]
        if name not in _NAMES:  # a page whose own name was made to lead here (DNS rebinding)
            start_response("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"ask by a name of the loopback\n"]
        if environ["REQUEST_METHOD"] != "GET" or environ["PATH_INFO"] != "/metrics":
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"GET /metrics\n"]
        content_type, body = answer(collector, environ.get("HTTP_ACCEPT"))
        start_response("200 OK", [("Content-Type", content_type), ("Content-Length", str(len(body)))])
        return [body]

    return app


class _Silent(WSGIRequestHandler):
    """Standard error is the live view's."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Nothing."""
