"""One request and its response: instants and bytes come in from a transport, token rows and an outcome come out.

A transport calls ``connected``, ``response``, ``body``, ``ended`` or ``failed``, in the order that TRANSITIONS allows, and
never waits. Bodies are only queued here, with the time of the read that carried them; :meth:`Stream.decode` understands
them later, in slices, when reading has nothing to do. A chunk that is one more token like those before it needs no queue. The
outcome is decided once, after the last byte is decoded.
"""

from __future__ import annotations

import contextlib
import zlib
from typing import TYPE_CHECKING, Any

from generator.apis.api import Answer, Call, Decoder, Encoded, Failure, Limits, Read
from generator.apis.failures import classify
from generator.apis.limits import parse_limits

if TYPE_CHECKING:
    from generator.job import Cancel, Step, Target
    from generator.transport.intake import Intake
    from generator.workload import Prompt

NEW, WAITING, HEADERS, ENDED, FAILED, CLOSED = range(6)
"""Made; handed to a transport; header block complete; framing ended; given up; outcome decided."""

TRANSITIONS: dict[str, dict[int, int]] = {
    "handed": {NEW: WAITING},
    "connected": {WAITING: WAITING},
    "resent": {WAITING: WAITING},
    "response": {WAITING: HEADERS},
    "body": {HEADERS: HEADERS},
    "ended": {HEADERS: ENDED},
    "failed": {NEW: FAILED, WAITING: FAILED, HEADERS: FAILED},
    "closed": {ENDED: CLOSED, FAILED: CLOSED},
}
"""event → state → state. An event that a state does not list is a fault of ours: a KeyError."""

NEAR_READS = 4
"""An answer is about to end when so many reads are left of those that it will take if each brings one token."""

ERROR_BODY_BYTES = 65_536
"""What is kept of a non-2xx answer's body; no API says more about an error."""

_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


class _EachRead:
    """What each read looks at, side by side in memory: after a wait every line of the cache that it touches has to be fetched again, and slots
    lie in the order of their names, a base's first."""

    __slots__ = (
        "bytes_received",
        "decoder",
        "inflate",
        "last_byte_ns",
        "last_reads",
        "most_bytes",
        "pending_bytes",
        "queued_ns",
        "reads",
        "state",
    )


class Stream(_EachRead):
    """All that is known of one request. Fields are facts; ``None`` is "did not happen"."""

    __slots__ = (
        "answer",
        "arrival",
        "bytes_sent",
        "call",
        "cancel",
        "connected_ns",
        "connection",
        "connection_id",
        "done_ns",
        "encoded",
        "error_body",
        "failure",
        "first_byte_ns",
        "first_row_seen",
        "headers",
        "headers_ns",
        "in_flight",
        "inflated_bytes",
        "intake",
        "issued_ns",
        "keep_text",
        "last_read_before_ns",
        "limits",
        "merged_after_ns",
        "merged_read",
        "near_end",
        "pending",
        "phase",
        "prompt",
        "remote_addr",
        "request_id",
        "resent",
        "resent_ns",
        "scheduled_ns",
        "sent_ns",
        "slot",
        "stamp_source",
        "status",
        "step",
        "step_id",
        "target",
    )

    def __init__(
        self,
        intake: Intake,
        target: Target,
        step: Step | None,
        request_id: int,
        arrival: int,
        scheduled_ns: int,
        prompt: Prompt,
        call: Call,
        encoded: Encoded,
        phase: str,
        slot: int | None = None,
    ) -> None:
        self.intake = intake
        self.target = target
        self.step = step
        self.step_id = -1 if step is None else step.step_id
        self.request_id = request_id
        self.arrival = arrival
        self.slot = slot
        self.keep_text = False
        self.cancel: Cancel | None = None  # where the scenario gives this request up on purpose
        self.scheduled_ns = scheduled_ns
        self.issued_ns = 0  # until its time has come
        self.prompt = prompt
        self.call = call
        self.encoded = encoded
        self.phase = phase
        self.state = NEW
        self.sent_ns: int | None = None
        self.connected_ns: int | None = None
        self.first_byte_ns: int | None = None
        self.headers_ns: int | None = None
        self.done_ns: int | None = None
        self.last_byte_ns: int | None = None
        self.last_read_before_ns: int | None = None
        self.status: int | None = None
        self.headers: list[tuple[bytes, bytes]] = []
        self.connection: Any = None
        self.connection_id: int | None = None
        self.remote_addr: str | None = None
        self.merged_read: int | None = None  # the last read with several pieces of the framing in it
        self.merged_after_ns = 0  # when nothing of it had arrived yet
        self.stamp_source = "process"
        self.resent = False
        self.resent_ns: int | None = None
        self.reads = 0
        self.last_reads = last_reads(call.max_tokens)
        self.near_end = False  # it was seen to be about to end
        self.bytes_sent = 0
        self.bytes_received = 0
        self.most_bytes = target.max_response_bytes
        self.in_flight = 0
        self.pending: list[Read] = []
        self.pending_bytes = 0
        self.queued_ns = 0  # since when it is in the intake's queue; 0 when it is not
        self.decoder: Decoder | None = None
        self.inflate: Any = None
        self.inflated_bytes = 0
        self.error_body = b""
        self.answer: Answer | None = None
        self.failure: Failure | None = None
        self.limits: Limits | None = None
        self.first_row_seen = False

    # -- what a transport says --------------------------------------------------------------------------------------

    def handed(self, connection: Any) -> None:
        """A transport took the request."""
        self.state = TRANSITIONS["handed"][self.state]
        self.connection = connection

    def connected(self, t_ns: int) -> None:
        """A new connection, TLS included, is ready; not called on a reused one."""
        self.state = TRANSITIONS["connected"][self.state]
        self.connected_ns = t_ns

    def resend(self, connection: Any, t_ns: int) -> None:
        """A reused connection died before any byte of the answer: once more, on a new one."""
        self.state = TRANSITIONS["resent"][self.state]
        self.resent = True
        self.resent_ns = t_ns
        self.sent_ns = None
        self.connection = connection

    def response(self, status: int, headers: list[tuple[bytes, bytes]], t_ns: int) -> None:
        """The header block is complete. Names in lower case."""
        self.state = TRANSITIONS["response"][self.state]
        self.status = status
        self.headers = headers
        self.headers_ns = t_ns
        self._open_decoder(status, headers)

    def body(self, payload: bytes, t_ns: int, certain: bool) -> None:
        """Payload of the read that ``reads`` counts now. ``certain``: its stamp is that of its last byte."""
        self.pending.append((payload, t_ns, self.reads, certain))
        self.pending_bytes += len(payload)
        if not self.queued_ns:
            self.queued_ns = t_ns
            self.intake.queue.append(self)

    def chunk(self, data: bytes, at: int, t_ns: int, certain: bool) -> bool:
        """As :meth:`body`, of a read that is one chunk of HTTP/1.1, whose payload is ``data[at:-2]``. False if it is understood already
        and nothing of it is held: to fit the template costs less than to keep what is read, and to find it again when it is cold."""
        decoder = self.decoder
        if (
            not self.queued_ns
            and decoder is not None
            and self.inflate is None
            and decoder.take(data, at, t_ns, self.reads, certain)
        ):
            return False
        self.body(data[at:-2], t_ns, certain)
        return True

    def ended(self, t_ns: int) -> None:
        """The framing ended cleanly."""
        self.state = TRANSITIONS["ended"][self.state]
        self._leave(t_ns)

    def failed(self, outcome: str, error_type: str, message: str, t_ns: int) -> None:
        """Given up, by the transport, a time limit or a stop. What was received is still decoded and kept."""
        if self.state >= ENDED:
            return
        self.state = TRANSITIONS["failed"][self.state]
        self.failure = Failure(outcome, error_type, message[:500])
        self._leave(t_ns)

    def spoiled(self, outcome: str, error_type: str, message: str, t_ns: int) -> None:
        """As ``failed``, for what decoding finds: the framing may have ended by then, which leaves only the outcome to change."""
        if self.state == ENDED:
            self.failure = Failure(outcome, error_type, message[:500])
        else:
            self.failed(outcome, error_type, message, t_ns)

    # -- decoding ---------------------------------------------------------------------------------------------------

    def decode(self) -> int:
        """Understand all that is queued; the bytes that it took. Called by the intake only."""
        pending, size = self.pending, self.pending_bytes
        self.pending = []
        self.pending_bytes = 0
        decoder = self.decoder
        if decoder is None:
            self._keep_error_body(pending)
        elif self.inflate is not None:
            self._feed_inflated(decoder, pending)
        else:
            decoder.feed(pending)
        if decoder is not None and not self.first_row_seen:
            first = decoder.answer.first_row_read_index
            if first is not None:
                self.first_row_seen = True
                for _payload, t_ns, read_index, _certain in pending:
                    if read_index < first:
                        self.last_read_before_ns = t_ns
                if self.last_read_before_ns is None and first > 0:
                    self.last_read_before_ns = self.headers_ns
                if first == self.merged_read:
                    self.last_read_before_ns = max(self.last_read_before_ns or self.sent_ns or 0, self.merged_after_ns)
                self.intake.first_row(self, decoder.answer.first_row_ns or 0)
            elif pending:
                self.last_read_before_ns = pending[-1][1]
        return size

    def close(self) -> str:
        """Decide the outcome, once nothing is pending: one of ``schema.OUTCOMES``."""
        self.state = TRANSITIONS["closed"][self.state]
        if self.decoder is not None:
            self.answer = self.decoder.finish()
            self.decoder = None
            if self.answer.first_row_read_index is not None and not self.first_row_seen:
                # A row that only the end completed (a last line without its line end): which reads came before its own is forgotten.
                self.last_read_before_ns = self.headers_ns if self.answer.first_row_read_index else None
        elif self.inflate is not None:
            self.error_body = self._inflated_error_body()
        self.inflate = None
        if self.headers:
            self.limits = parse_limits(self.headers)
        if self.failure is None:
            self.failure = self._verdict()
        return self.failure.outcome if self.failure else "ok"

    def _verdict(self) -> Failure | None:
        """None is ok. Reached only when the framing ended cleanly."""
        status, answer = self.status or 0, self.answer
        if answer is None:
            return classify(status, self.headers, self.error_body)
        if answer.error_outcome is not None:
            return Failure(answer.error_outcome, answer.error_type, answer.error_message)
        if not answer.terminal:
            return Failure("truncated", "no_terminal_mark", "the body ended without the API's own end of the answer")
        return None

    def _leave(self, t_ns: int) -> None:
        self.done_ns = t_ns
        self.connection = None
        self.intake.left(self)

    def _open_decoder(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        content_type, encoding = "", ""
        for name, value in headers:
            if name == b"content-type":
                content_type = value.decode("latin-1").lower()
            elif name == b"content-encoding":
                encoding = value.decode("latin-1").strip().lower()
        if encoding in _WINDOW_BITS:
            self.inflate = zlib.decompressobj(_WINDOW_BITS[encoding])
        elif encoding not in ("", "identity"):
            self.inflate = _Refuse(encoding)
        if 200 <= status < 300:
            api = self.intake.apis[self.target.name]
            self.decoder = api.decoder(self.request_id, content_type, self.intake.sink, self.keep_text)

    def _feed_inflated(self, decoder: Decoder, pending: list[Read]) -> None:
        for payload, t_ns, read_index, certain in pending:
            try:
                plain = self.inflate.decompress(payload, self.most_bytes)
            except (zlib.error, ValueError) as e:
                self.intake.give_up(self, "stream_error", "content_encoding", str(e))
                return
            self.inflated_bytes += len(plain)
            if self.inflate.unconsumed_tail or self.inflated_bytes > self.most_bytes:
                self.intake.give_up(self, "stream_error", "response_too_large", "inflated beyond max_response_bytes")
                return
            if plain:
                decoder.feed([(plain, t_ns, read_index, certain)])

    def _inflated_error_body(self) -> bytes:
        """As far as it can be read: an error is told in any case."""
        with contextlib.suppress(zlib.error, ValueError):
            return bytes(self.inflate.decompress(self.error_body, ERROR_BODY_BYTES))
        return b""

    def _keep_error_body(self, pending: list[Read]) -> None:
        for payload, _t_ns, _read_index, _certain in pending:
            room = ERROR_BODY_BYTES - len(self.error_body)
            if room > 0:
                self.error_body += payload[:room]


def last_reads(max_tokens: int | None) -> int:
    """The read with which an answer of so many tokens begins to be about to end, counted from 1; 0, which no read has, where nobody knows."""
    return max(1, max_tokens - NEAR_READS) if max_tokens else 0


class _Refuse:
    """Of an encoding that was not asked for and cannot be read."""

    unconsumed_tail = b""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding

    def decompress(self, _data: bytes, _max_length: int) -> bytes:
        raise ValueError(f"content-encoding {self._encoding!r} was not asked for and cannot be read")
