"""One HTTP/1.1 connection on a bare non-blocking socket, whose reads the kernel stamps.

The hot path is ``_on_readable``: read, stamp, follow the framing (``framing.py``), queue the payload. Subtleness ahead: a stamp is that of
the read's last segment, so a payload is *certain* only if its last byte, and the framing that closes it, end the read.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import TYPE_CHECKING

import httptools

from generator import clock
from generator.stream import HEADERS, Stream
from generator.transport.framing import LONGEST, SIZE_LINES, Framing
from generator.transport.intake import STREAM_BYTES
from generator.transport.poller import READ, WRITE
from generator.transport.tls import TlsSession

if TYPE_CHECKING:
    from generator.transport.socket import SocketTransport

RECV_BYTES = 65_536
HEAD_BYTES = 262_144
ANCILLARY_BYTES = 64

LAG_SAMPLE = 15
"""Every sixteenth read is asked how long it waited."""

_TRUNCATED = int(socket.MSG_CTRUNC)  # as an enum it would cost more than the read's own framing
_timespec = struct.Struct("qq").unpack
_CONNECTING, _HANDSHAKE, _OPEN, _CLOSED = range(4)


class Connection:
    """Connects, sends one request at a time, reads its response. ``stream`` is whose turn it is, None when idle."""

    __slots__ = (
        "_between_chunks",
        "_broken",
        "_fd",
        "_framing",
        "_out",
        "_phase",
        "_read_lags",
        "_recvmsg",
        "_sock",
        "_tls",
        "_transport",
        "address",
        "connection_id",
        "idle_since_ns",
        "stream",
        "tried",
        "uses",
    )

    def __init__(
        self,
        transport: SocketTransport,
        connection_id: int,
        family: int,
        address: tuple[str, int],
        tls: TlsSession | None,
        tried: dict[tuple[str, int], str],
    ) -> None:
        self._transport = transport
        self.tried = tried  # addresses that refused its request before this one, and why
        self.connection_id = connection_id
        self.address = address
        self.stream: Stream | None = None
        self.uses = 0
        self.idle_since_ns = 0
        self._tls = tls
        self._out = b""
        self._broken: OSError | None = None
        self._framing = Framing()
        self._between_chunks = False  # what the framing says, where each read finds it
        self._phase = _CONNECTING
        self._read_lags = transport.read_lags
        self._sock = sock = transport.new_socket(family)
        self._fd = sock.fileno()
        self._recvmsg = sock.recvmsg

    # -- opening and sending -------------------------------------------------------------------------------------------

    def open(self, stream: Stream) -> None:
        """Start to connect for ``stream``, which is sent as soon as the connection stands."""
        self.stream = stream
        code = self._sock.connect_ex(self.address)
        if code not in (0, errno.EINPROGRESS):
            # Told from the loop, not from within send(): the issuer must not be re-entered.
            self._transport.soon(lambda: self._refused(code))
            return
        self._transport.poller.add(self._fd, WRITE, self._on_connecting)

    def send(self, stream: Stream) -> None:
        """Send on a connection that stands and is idle."""
        self.stream = stream
        self.uses += 1
        self._framing.begin()
        self._between_chunks = False
        stream.connection_id = self.connection_id
        stream.remote_addr = self.address[0]
        stream.stamp_source = self._transport.stamp_source
        data = self._transport.wire_bytes(stream)
        stream.bytes_sent = len(data)
        stream.sent_ns = clock.monotonic_ns()
        self._write(data if self._tls is None else self._tls.encrypt(data))

    def _write(self, data: bytes) -> None:
        """As much as the socket takes now, the rest when it is writable."""
        if self._out:
            self._out += data
            return
        try:
            n = self._sock.send(data)
        except BlockingIOError:
            n = 0
        except OSError as e:
            end = self._deaf if isinstance(e, ConnectionError) else self._lost
            end(e)
            return
        if n < len(data):
            self._out += data[n:]
            self._transport.poller.replace(self._fd, READ | WRITE, self._on_ready)

    def _deaf(self, error: OSError) -> None:
        """The target takes no more. What it said before (a 413, a TLS alert) may wait to be read; reading finds the end."""
        self._out = b""
        self._broken = error
        self._transport.poller.replace(self._fd, READ, self._on_readable)

    def _on_connecting(self, _mask: int) -> None:
        code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._refused(code)
            return
        self._transport.poller.replace(self._fd, READ, self._on_readable)
        if self._tls is None:
            self._ready()
            return
        self._phase = _HANDSHAKE
        self._handshake(b"")

    def _handshake(self, data: bytes) -> None:
        tls = self._tls
        assert tls is not None
        out, done, error = tls.handshake(data)
        if out:
            self._write(out)
        if error is not None:
            self._cut("connect_error", "tls", f"{self.address[0]} port {self.address[1]}: {error}")
        elif done:
            self._ready()

    def _ready(self) -> None:
        stream = self.stream
        if stream is None or self._phase == _CLOSED:
            return
        self._phase = _OPEN
        stream.connected(clock.monotonic_ns())
        self.send(stream)

    # -- reading -------------------------------------------------------------------------------------------------------

    def _on_ready(self, mask: int) -> None:
        """While something waits to be written; otherwise the poller calls ``_on_readable`` itself."""
        if mask & ~WRITE:
            self._on_readable(mask)
        if mask & WRITE and self._out and self._phase != _CLOSED:
            out, self._out = self._out, b""
            self._transport.poller.replace(self._fd, READ, self._on_readable)
            self._write(out)  # asks for WRITE again if this is not all of it

    def _on_readable(self, _mask: int) -> None:
        try:
            data, ancillary, flags, _ = self._recvmsg(RECV_BYTES, ANCILLARY_BYTES)
        except BlockingIOError:
            return
        except OSError as e:
            self._lost(e)
            return
        transport = self._transport
        if not data:
            self._end_of_file()
            return
        transport.reads += 1
        if ancillary and not flags & _TRUNCATED:
            seconds, nanoseconds = _timespec(ancillary[0][2])
            t_ns = seconds * 1_000_000_000 + nanoseconds - transport.offset.ns
            certain = len(data) < RECV_BYTES
            if not transport.reads & LAG_SAMPLE:
                self._read_lags.append(clock.monotonic_ns() - t_ns)
        else:
            t_ns = clock.monotonic_ns()
            transport.process_stamps += 1
            certain = False
        if self._tls is not None:
            data, certain = self._decrypted(self._tls, data, certain)
            if not data:
                return
        stream = self.stream
        if stream is None:
            self.close()  # an idle connection has nothing to say
            return
        size = len(data)
        stream.last_byte_ns = t_ns
        stream.bytes_received += size
        complete = False
        if self._between_chunks and size <= LONGEST and data.startswith(SIZE_LINES[size]) and data.endswith(b"\r\n"):
            held = stream.chunk(data, len(SIZE_LINES[size][0]), t_ns, certain)
        else:
            parsed = self._parse(stream, data, t_ns, certain)
            if parsed is None:
                return
            payload, certain = parsed
            if payload:
                stream.body(payload, t_ns, certain)
            held, complete = bool(payload), self._framing.complete
        if held:
            if stream.pending_bytes > STREAM_BYTES:
                stream.intake.relieve(stream)
        elif stream.bytes_received > stream.most_bytes and not complete:
            # Payload that is held is held to the limit where it is decoded.
            self._cut("stream_error", "response_too_large", f"more than {stream.most_bytes} bytes")
            return
        stream.reads += 1
        if stream.reads == stream.last_reads:
            stream.near_end = True
            transport.poller.gathering.ending += 1
        if complete:
            self._finished(stream, t_ns)

    def _parse(self, stream: Stream, data: bytes, t_ns: int, certain: bool) -> tuple[bytes, bool] | None:
        """Through the HTTP parser: the payload, and whether its stamp is that of its last byte. None where the answer was cut."""
        framing = self._framing
        try:
            framing.feed(data)
        except httptools.HttpParserError as e:
            if not framing.complete:
                self._unparsable(stream, t_ns, e)
                return None
            framing.keep = False  # bytes after the response: it stands, the connection is not to be trusted again
        self._between_chunks = framing.between_chunks
        if stream.state != HEADERS:
            self._before_body(stream, t_ns)
        bodies = framing.bodies
        if not bodies:
            return b"", False
        if len(bodies) == 1 and not framing.complete:
            payload = bodies[0]
        else:
            payload = b"".join(bodies)
            poller = self._transport.poller
            stream.merged_read = stream.reads
            stream.merged_after_ns = poller.quiet_ns
            poller.gathering.together(len(bodies), stream.reads, framing.complete, t_ns)
        bodies.clear()
        return payload, certain and framing.ends_with(data, payload)

    def _decrypted(self, tls: TlsSession, data: bytes, certain: bool) -> tuple[bytes, bool]:
        """Plaintext and whether its stamp can be that of its last byte; nothing while the handshake goes on, or at the end."""
        if self._phase == _HANDSHAKE:
            self._handshake(data)
            return b"", False
        plain, whole, end = tls.decrypt(data)
        if end is not None:
            if plain:
                self._transport.soon(lambda: self._tls_ended(end))  # after what was read with it
            else:
                self._tls_ended(end)
        return plain, certain and whole

    def _tls_ended(self, end: str) -> None:
        if end:
            # TLS 1.3 refuses a client's certificate after the request was sent: the alert is then the first thing said.
            said = self.stream is not None and self.stream.first_byte_ns is not None
            self._cut("truncated" if said else "connect_error", "tls", end)
        else:
            self._end_of_file()

    def _before_body(self, stream: Stream, t_ns: int) -> None:
        if stream.first_byte_ns is None:
            stream.first_byte_ns = t_ns
        framing = self._framing
        if not framing.headers_complete:
            if stream.bytes_received > HEAD_BYTES:
                self._cut("stream_error", "http_framing", f"a head of more than {HEAD_BYTES} bytes")
            return
        stream.response(*framing.head(), t_ns)

    def _finished(self, stream: Stream, t_ns: int) -> None:
        if stream.state != HEADERS:
            return  # given up while its last bytes were decoded
        reusable = self._framing.keep and self._broken is None and not self._out
        self._framing.complete = False
        self.stream = None
        if reusable and self._transport.reuse:
            self.idle_since_ns = clock.monotonic_ns()
            self._transport.idle.append(self)
        else:
            if self._tls is not None:
                self._transport.keep_session(self._tls.session)
            self.close()
        stream.ended(t_ns)

    # -- ends ----------------------------------------------------------------------------------------------------------

    def _end_of_file(self) -> None:
        stream = self.stream
        # Under TLS only a closing alert tells the end of such a body from a cut (RFC 9112, 9.8).
        whole = self._framing.close_delimited and (self._tls is None or self._tls.closed)
        if stream is not None and stream.state == HEADERS and whole:
            self.stream = None
            self.close()
            stream.ended(stream.last_byte_ns or clock.monotonic_ns())
            return
        self._lost(None)

    def _lost(self, error: OSError | None) -> None:
        """The peer closed or reset."""
        stream, self.stream, error = self.stream, None, error or self._broken
        self.close()
        if stream is None:
            return
        if self.uses > 1 and stream.first_byte_ns is None and not stream.resent:
            self._transport.resend(stream)
            return
        kind = "reset" if isinstance(error, ConnectionError) else "closed"
        text = str(error) if error is not None else "the target closed the connection"
        before = "" if stream.first_byte_ns is not None else " before any byte of the answer"
        outcome = "truncated" if stream.sent_ns is not None else "connect_error"
        stream.failed(outcome, kind, text + before, clock.monotonic_ns())

    def _unparsable(self, stream: Stream, t_ns: int, error: Exception) -> None:
        if stream.state != HEADERS:
            self._before_body(stream, t_ns)  # a head that was read with the fault is known all the same
        self._cut("stream_error", "http_framing", f"{type(error).__name__}: {error}")

    def _cut(self, outcome: str, error_type: str, message: str) -> None:
        """The answer cannot be followed any further."""
        stream, self.stream = self.stream, None
        self.close()
        if stream is not None:
            if stream.state == HEADERS and self._framing.bodies:
                stream.body(b"".join(self._framing.bodies), stream.last_byte_ns or 0, False)
            stream.failed(outcome, error_type, message, clock.monotonic_ns())

    def _refused(self, code: int) -> None:
        """No connection to this address; the transport may know another."""
        stream, self.stream = self.stream, None
        if stream is None or self._phase == _CLOSED:
            return  # dropped meanwhile
        self.close()
        self._transport.refused(stream, self, os.strerror(code))

    def close(self) -> None:
        """Close at once; the stream, if any, is the caller's business."""
        if self._phase == _CLOSED:
            return
        self._phase = _CLOSED
        self._transport.forget(self)
        self._transport.poller.remove(self._fd)
        self._sock.close()
