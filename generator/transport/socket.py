"""The default transport: bare sockets, a keep-alive pool (last in, first out), and stamps from the kernel."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable, Iterator

from generator import clock
from generator.apis.api import Api
from generator.errors import TargetError
from generator.job import Target
from generator.stream import WAITING, Stream
from generator.transport.connection import Connection
from generator.transport.poller import Poller
from generator.transport.tls import TlsSession, context
from generator.transport.wire import Wire, port_of, split_url

SO_TIMESTAMPNS = 35
"""On 64-bit x86 and Arm Linux; Python has no name for it."""

IDLE_NS = 4_000_000_000
"""Servers commonly close an idle connection after 5 s; a request sent into that close would have to be sent again."""

RESOLVE_NS = 30_000_000_000

Address = tuple[int, tuple[str, int]]


class SocketTransport:
    """Connections to one target, numbered by ``ids``, which the transports of a worker share. See ``transport.Transport`` for what each
    method promises."""

    def __init__(
        self,
        target: Target,
        api: Api,
        run_id: str,
        poller: Poller,
        offset: clock.Offset,
        loop: asyncio.AbstractEventLoop,
        ids: Iterator[int],
    ) -> None:
        self.poller = poller
        self.offset = offset
        self.reuse = target.connections == "reuse"
        self.idle: list[Connection] = []
        self.reads = 0
        self.process_stamps = 0
        self.read_lags: list[int] = []
        self.stamp_source = "kernel" if clock.KERNEL_STAMPS else "process"
        self._loop = loop
        self._ids = ids
        self._target = target
        self._parts = split_url(target)
        self._wire = Wire(target, api, run_id, keep_alive=self.reuse)
        self._context = context(target.tls) if self._parts.scheme == "https" else None
        self._session: ssl.SSLSession | None = None
        self._connections: set[Connection] = set()
        self._addresses: list[Address] = []
        self._refused: set[tuple[str, int]] = set()  # left out until the next look-up; never all of them
        self._turn = 0
        self._resolved_ns = 0
        self._resolving: asyncio.Task[None] | None = None
        self._opening: set[asyncio.Task[None]] = set()
        # The kernel starts to stamp some time after the first socket asks for it; this one asks before any request.
        self._keeper = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._stamp(self._keeper)

    # -- what the issuer and the worker call ------------------------------------------------------------------------

    async def start(self) -> None:
        """Resolve the target's name. Raises TargetError when it has no address."""
        await self._resolve()

    def send(self, stream: Stream) -> None:
        """On an idle connection, else on a new one."""
        if self.idle:
            connection = self.idle.pop()
            stream.handed(connection)
            connection.send(stream)
        else:
            stream.handed(None)
            self._open(stream)

    def drop(self, stream: Stream) -> None:
        """Close the stream's connection without a word to the stream."""
        connection = stream.connection
        if connection is not None and connection.stream is stream:
            connection.stream = None
            connection.close()

    def sweep(self, now_ns: int) -> None:
        """Close what has been idle too long, oldest first; look the name up again when it is time."""
        idle = self.idle
        while idle and now_ns - idle[0].idle_since_ns > IDLE_NS:
            idle[0].close()
        if now_ns - self._resolved_ns > RESOLVE_NS and self._resolving is None:
            self._resolved_ns = now_ns
            self._resolving = self._loop.create_task(self._resolve_again())

    def take_read_lags_ns(self) -> list[int]:
        """How long sampled segments waited in the kernel since the last call."""
        lags = self.read_lags[:]
        self.read_lags.clear()
        return lags

    async def close(self) -> None:
        if self._resolving is not None:
            self._resolving.cancel()
        for opening in self._opening:
            opening.cancel()
        for connection in list(self._connections):
            connection.close()
        self._keeper.close()

    # -- what connections call --------------------------------------------------------------------------------------

    def new_socket(self, family: int) -> socket.socket:
        """One that never blocks, sends at once and has its reads stamped. Raises OSError where no descriptor is left."""
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stamp(sock)
        return sock

    def _stamp(self, sock: socket.socket) -> None:
        """Ask the kernel for receive stamps; where it has none, every read is counted as stamped in this process."""
        if self.stamp_source == "kernel":
            try:
                sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            except OSError:
                self.stamp_source = "process"

    def wire_bytes(self, stream: Stream) -> bytes:
        return self._wire.bytes_for(stream.encoded, stream.request_id)

    def resend(self, stream: Stream) -> None:
        """Once more, on a connection that cannot be stale."""
        stream.resend(None, clock.monotonic_ns())
        self._open(stream)

    def refused(self, stream: Stream, connection: Connection, why: str) -> None:
        """Nothing was sent: on to an address that has not refused, or the stream's end where each has."""
        tried = {**connection.tried, connection.address: why}
        self._refused.add(connection.address)
        if not self._left({}):
            self._refused.clear()
        if self._left(tried):
            self._open_now(stream, tried)
            return
        text = "; ".join(f"{host} port {port}: {why}" for (host, port), why in tried.items())
        stream.failed("connect_error", "connect", text, clock.monotonic_ns())

    def soon(self, act: Callable[[], None]) -> None:
        """From the loop, once whoever calls now is done; what it queues is decoded."""

        def turn() -> None:
            act()
            self.poller.wake()

        self._loop.call_soon(turn)

    def fail_soon(self, stream: Stream, error_type: str, message: str) -> None:
        self.soon(lambda: stream.failed("connect_error", error_type, message, clock.monotonic_ns()))

    def keep_session(self, session: ssl.SSLSession | None) -> None:
        """``per-request`` resumes TLS as any client with many connections does; ``cold`` does not."""
        if self._target.connections == "per-request":
            self._session = session

    def forget(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if connection in self.idle:
            self.idle.remove(connection)

    @property
    def connections(self) -> int:
        """Open now."""
        return len(self._connections)

    # -- inside ---------------------------------------------------------------------------------------------------------

    def _left(self, tried: dict[tuple[str, int], str]) -> list[Address]:
        """Addresses that may still answer a request that ``tried`` refused."""
        return [known for known in self._addresses if known[1] not in tried and known[1] not in self._refused]

    def _connect(self, tried: dict[tuple[str, int], str]) -> Connection:
        """A connection that has not started to connect; addresses take turns."""
        left = self._left(tried)
        family, address = left[self._turn % len(left)]
        self._turn += 1
        tls = None
        if self._context is not None:
            name = self._target.tls.server_name or self._parts.hostname or ""
            tls = TlsSession(self._context, name, self._session)
        connection = Connection(self, next(self._ids), family, address, tls, tried)
        self._connections.add(connection)
        return connection

    def _open(self, stream: Stream) -> None:
        """A new connection for ``stream``, which has none so far."""
        if self._target.connections == "cold":
            task = self._loop.create_task(self._open_cold(stream))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)
        else:
            self._open_now(stream)

    def _open_now(self, stream: Stream, tried: dict[tuple[str, int], str] | None = None) -> None:
        try:
            connection = self._connect(tried or {})
        except (OSError, ValueError) as e:  # no descriptor left; a server name that no certificate can have
            self.fail_soon(stream, "connect", str(e))
            return
        stream.connection = connection
        connection.open(stream)

    async def _open_cold(self, stream: Stream) -> None:
        """Cold means the name too: it is looked up for each request, as a client without any cache would."""
        try:
            await self._resolve()
        except TargetError as e:
            self.fail_soon(stream, "dns", str(e))
            return
        if stream.state == WAITING:
            self._open_now(stream)

    async def _resolve(self) -> None:
        host, port = self._parts.hostname or "", port_of(self._parts)
        self._resolved_ns = clock.monotonic_ns()
        try:
            found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        except (OSError, UnicodeError) as e:  # a label that is empty or too long is a UnicodeError
            why = getattr(e, "strerror", None) or e
            raise TargetError(f"target {self._target.name!r}: {host}: cannot be resolved: {why}") from e
        spoken = {family for family in {int(entry[0]) for entry in found} if _spoken(family)}
        addresses = [(int(f), (str(address[0]), int(address[1]))) for f, _, _, _, address in found if f in spoken]
        if not addresses:
            raise TargetError(f"target {self._target.name!r}: {host}: has no address")
        self._addresses = list(dict.fromkeys(addresses))
        self._refused.clear()

    async def _resolve_again(self) -> None:
        try:
            await self._resolve()
        except TargetError:
            pass  # the addresses that are known go on serving; a failure to connect says so by itself
        finally:
            self._resolving = None


def _spoken(family: int) -> bool:
    """Whether this machine makes sockets of that family: a name may have an IPv6 address where IPv6 is switched off."""
    try:
        socket.socket(family, socket.SOCK_STREAM).close()
    except OSError as e:
        return e.errno != errno.EAFNOSUPPORT
    return True
