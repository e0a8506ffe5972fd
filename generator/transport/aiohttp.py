"""The other transport: a whole HTTP client, for proxies and for what a bare socket does not do.

The same records as the socket transport makes, with these differences, each for want of a place to look:
stamps are read in this process when a coroutine gets the bytes (``stamp_source`` is ``process``); ``first_byte_ns`` is
``headers_ns``; ``bytes_received`` leaves out the framing of chunks; ``connection_id`` and ``remote_addr`` stay NULL where the whole
answer came with its head; and ``max_response_bytes`` is held against payload alone: for heads and trailers aiohttp has bounds of its
own, and what else is framing without end (a chunk's extension, interim answers) it keeps nothing of and leaves to the time limits.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import urllib.request
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import aiohttp
from yarl import URL

from generator import clock
from generator.apis.api import Api
from generator.errors import ScenarioError, TargetError
from generator.job import Target
from generator.stream import ENDED, Stream
from generator.transport.intake import STREAM_BYTES
from generator.transport.poller import Poller
from generator.transport.tls import context
from generator.transport.wire import Wire, fixed_headers, port_of, split_url

IDLE_S = 4.0
"""As long as the socket transport keeps an idle connection."""

RESOLVE_S = 30
READ_BYTES = 65_536


class _FramingError(Exception):
    """The body's framing cannot be followed. aiohttp closes the connection over it and leaves the body's reader waiting."""


class _DiedError(Exception):
    """The connection ended before the answer's head; ``cause`` is what aiohttp says of it."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


# The first that fits: what aiohttp raises → outcome and error_type, as the socket transport would tell it.
_FAULTS: tuple[tuple[type[Exception], str, str], ...] = (
    (aiohttp.ClientHttpProxyError, "connect_error", "proxy"),
    (aiohttp.ClientProxyConnectionError, "connect_error", "proxy"),
    (aiohttp.ClientSSLError, "connect_error", "tls"),
    (aiohttp.ClientConnectorDNSError, "connect_error", "dns"),
    (aiohttp.ClientConnectorError, "connect_error", "connect"),
    (aiohttp.ClientPayloadError, "truncated", "closed"),
    (aiohttp.ClientResponseError, "stream_error", "http_framing"),
    (_FramingError, "stream_error", "http_framing"),
    (aiohttp.ServerDisconnectedError, "truncated", "closed"),
    (OSError, "truncated", "reset"),
    (Exception, "stream_error", "client"),
)


class AiohttpTransport:
    """One client session to one target. ``ids`` number its connections: the transports of a worker share them. See
    ``transport.Transport`` for what each method promises."""

    def __init__(
        self,
        target: Target,
        api: Api,
        run_id: str,
        poller: Poller,
        loop: asyncio.AbstractEventLoop,
        ids: Iterator[int],
    ) -> None:
        self.reads = 0
        self.process_stamps = 0
        self._target = target
        self._poller = poller
        self._loop = loop
        self._ids = ids
        self._run_id = run_id
        self._reuse = target.connections == "reuse"
        self._parts = split_url(target)
        self._proxy = proxy_for(target)
        self._ssl: ssl.SSLContext | bool = context(target.tls) if self._parts.scheme == "https" else True
        self._fixed = fixed_headers(target, api, self._reuse)
        self._taken = {name.lower() for name, _ in self._fixed}
        self._wire = Wire(target, api, run_id, self._reuse)
        host = self._parts.hostname or ""
        place = f"[{host}]" if ":" in host else host
        self._origin = f"{self._parts.scheme}://{place}:{port_of(self._parts)}"
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None  # never reuses a connection: what is sent again goes here
        self._known: WeakKeyDictionary[Any, int] = WeakKeyDictionary()

    async def start(self) -> None:
        """Make the session; resolve the name unless a proxy will. Raises TargetError when it has no address."""
        if self._proxy is None:
            host = self._parts.hostname or ""
            try:
                await self._loop.getaddrinfo(host, port_of(self._parts), type=socket.SOCK_STREAM)
            except OSError as e:
                raise TargetError(f"target {self._target.name!r}: {host}: cannot be resolved: {e.strerror or e}") from e
        self._fresh = self._make_session(reuse=False)
        self._session = self._make_session(reuse=True) if self._reuse else self._fresh

    def send(self, stream: Stream) -> None:
        task = self._loop.create_task(self._run(stream))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        stream.handed(task)

    def drop(self, stream: Stream) -> None:
        """Cancels the exchange, which closes its connection, for its answer is not read to the end."""
        if stream.connection is not None:
            stream.connection.cancel()

    def sweep(self, now_ns: int) -> None:
        """Aiohttp looks after idle connections itself."""

    def take_read_lags_ns(self) -> list[int]:
        """None: only the kernel knows when a segment came."""
        return []

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for session in {self._session, self._fresh} - {None}:
            assert session is not None
            await session.close()

    # -- inside ----------------------------------------------------------------------------------------------------------

    def _make_session(self, reuse: bool) -> aiohttp.ClientSession:
        cold = self._target.connections == "cold"
        keep: dict[str, Any] = {"keepalive_timeout": IDLE_S} if reuse else {"force_close": True}
        connector = aiohttp.TCPConnector(
            limit=0, ssl=self._ssl, use_dns_cache=not cold, ttl_dns_cache=None if cold else RESOLVE_S, **keep
        )
        traces = aiohttp.TraceConfig()
        traces.on_connection_create_end.append(_on_connected)
        traces.on_connection_reuseconn.append(_on_reused)
        return aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # the worker's sweep keeps the time limits
            auto_decompress=False,  # Stream does, so that both transports hand it the same bytes
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            trace_configs=[traces],
            middlewares=(_once,),
            read_bufsize=READ_BYTES,
        )

    async def _run(self, stream: Stream) -> None:
        """One request to its end, sent a second time where a reused connection died before any byte of the answer."""
        assert self._session is not None
        assert self._fresh is not None
        try:
            try:
                await self._exchange(self._session, stream)
            except _DiedError:
                if stream.sent_ns is None or stream.connected_ns is not None or stream.headers_ns is not None:
                    raise
                stream.resend(stream.connection, clock.monotonic_ns())
                await self._exchange(self._fresh, stream)
        except Exception as e:  # noqa: BLE001 - whatever a library raises is the end of this request, and is told as such
            e = e.cause if isinstance(e, _DiedError) else e
            outcome, error_type = next((outcome, word) for kind, outcome, word in _FAULTS if isinstance(e, kind))
            if outcome == "truncated" and stream.sent_ns is None:
                outcome = "connect_error"
            stream.failed(outcome, error_type, f"{type(e).__name__}: {e}", clock.monotonic_ns())
        self._poller.wake()

    async def _exchange(self, session: aiohttp.ClientSession, stream: Stream) -> None:
        encoded = stream.encoded
        headers = self._fixed + [pair for pair in encoded.headers if pair[0].lower() not in self._taken]
        if self._target.request_id_header:
            headers.append((self._target.request_id_header, f"{self._run_id}-{stream.request_id}"))
        stream.bytes_sent = len(self._wire.bytes_for(encoded, stream.request_id))
        async with session.request(
            encoded.method,
            URL(self._origin + self._wire.path_of(encoded), encoded=True),
            data=encoded.body or None,
            headers=headers,
            allow_redirects=False,
            proxy=self._proxy,
            server_hostname=self._target.tls.server_name if self._parts.scheme == "https" else None,
            trace_request_ctx=stream,
        ) as response:
            self._on_head(stream, response)
            await self._read_body(stream, response.content)
        if stream.state < ENDED:
            stream.ended(clock.monotonic_ns())

    def _on_head(self, stream: Stream, response: aiohttp.ClientResponse) -> None:
        now_ns = clock.monotonic_ns()
        head = [(name.lower(), value) for name, value in response.raw_headers]
        stream.first_byte_ns = stream.last_byte_ns = now_ns
        # "HTTP/1.1 200 ", the reason, and line ends; each header with its colon, space and line end
        stream.bytes_received = 17 + len(response.reason or "") + sum(len(n) + len(v) + 4 for n, v in head)
        connection = response.connection
        if connection is not None and connection.protocol is not None:
            protocol = connection.protocol
            if protocol.closed is not None:
                protocol.closed.add_done_callback(partial(_wake_reader, response.content))
            if protocol not in self._known:
                self._known[protocol] = next(self._ids)
            stream.connection_id = self._known[protocol]
            peer = connection.transport.get_extra_info("peername") if connection.transport is not None else None
            stream.remote_addr = peer[0] if peer else None
        stream.response(response.status, head, now_ns)

    async def _read_body(self, stream: Stream, content: aiohttp.StreamReader) -> None:
        most_bytes = self._target.max_response_bytes
        while payload := await content.readany():
            now_ns = clock.monotonic_ns()
            self.reads += 1
            self.process_stamps += 1
            stream.last_byte_ns = now_ns
            stream.bytes_received += len(payload)
            stream.body(payload, now_ns, False)
            stream.reads += 1
            if stream.pending_bytes > STREAM_BYTES:
                stream.intake.relieve(stream)
            if stream.bytes_received > most_bytes:
                stream.intake.give_up(stream, "stream_error", "response_too_large", f"more than {most_bytes} bytes")
            if stream.state >= ENDED:
                return


def proxy_for(target: Target) -> str | None:
    """The scenario's proxy, else the environment's for this URL (``HTTPS_PROXY`` and its like, unless ``NO_PROXY`` names the host).

    Raises ScenarioError for a kind of proxy that aiohttp does not speak to. ``.netrc`` is not read: it would add credentials
    that the scenario does not know of.
    """
    parts = split_url(target)
    proxy = target.proxy
    if not proxy:
        if urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
            return None
        known = urllib.request.getproxies()
        proxy = known.get(parts.scheme) or known.get("all")
    if not proxy:
        return None
    scheme = urlsplit(proxy if "://" in proxy else f"http://{proxy}").scheme
    if scheme not in ("http", "https"):
        raise ScenarioError(
            f"target {target.name!r}: proxy: {scheme}:// is not spoken here; give an http:// or https:// proxy"
        )
    return proxy if "://" in proxy else f"http://{proxy}"


def _wake_reader(content: aiohttp.StreamReader, closed: asyncio.Future[None]) -> None:
    """Aiohttp (3.14) ends a body with its connection, or fails it, unless its own parser gave up in the middle of the body."""
    if not closed.cancelled():
        closed.exception()  # looked at, so that asyncio does not complain that nobody did
    if not content.is_eof() and content.exception() is None:
        content.set_exception(_FramingError("malformed framing inside the body"))


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Around each exchange: aiohttp sends an idempotent request again by itself, without a word, where it sees one of these errors. Behind
    one of ours they pass it by, so that every method is sent again as POST is: once, where a reused connection died, and marked."""
    try:
        return await handler(request)
    except (aiohttp.ServerDisconnectedError, OSError) as e:
        raise _DiedError(e) from e


# Subtleness ahead: aiohttp has no hook right before its first write. The connection is ready at these two, and nothing is
# awaited between them and the write.


async def _on_connected(_session: aiohttp.ClientSession, traced: SimpleNamespace, _: Any) -> None:
    stream: Stream = traced.trace_request_ctx
    now_ns = clock.monotonic_ns()
    stream.connected(now_ns)
    stream.sent_ns = now_ns


async def _on_reused(_session: aiohttp.ClientSession, traced: SimpleNamespace, _: Any) -> None:
    stream: Stream = traced.trace_request_ctx
    stream.sent_ns = clock.monotonic_ns()
