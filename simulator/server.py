"""The loop of one process: sockets, epoll, one timer, and every write at the time that the model says.

Nothing here waits for anything but epoll. The truth of a token is the clock read right before its ``send(2)``; everything
else that an event costs comes before that reading.
"""

from __future__ import annotations

import gc
import select
import socket
import ssl
from typing import Any

from simulator import model, troubles, wire, words
from simulator.answer import Answer
from simulator.api import Endpoint
from simulator.clock import Timer, now_ns
from simulator.connection import BadHttpError, Connection, HttpRequest
from simulator.faults import ENDS, FAULTS, GOES_ON, RESETS, STALLS
from simulator.settings import Settings
from simulator.truth import TOKEN, Log

ACCEPTS_AT_ONCE = 64
_TICK_NS = 500_000_000
_COLLECT_NS = 10_000_000_000
_NS_PER_MS = 1_000_000


class Server:
    """Serves ``listener`` until ``control`` (any descriptor) becomes readable."""

    def __init__(
        self, settings: Settings, listener: socket.socket, control: int, process: int, log: Log | None
    ) -> None:
        self._listener = listener
        self._control = control
        self._log = log
        self._tls = _tls(settings)
        self._model = model.from_settings(settings, process)
        self._endpoint = Endpoint(settings, process, self._model)
        self._timer = Timer()
        self._epoll = select.epoll()
        self._connections: dict[int, Connection] = {}
        self._accepted = 0
        self._full = False
        self._tick_ns = 0
        self._collect_ns = 0
        self._keep_alive_ns = settings.keep_alive_ns

    def run(self) -> None:
        """Returns when told to stop; what is under way is then cut, and recorded as ``stopped``."""
        epoll = self._epoll
        epoll.register(self._listener.fileno(), select.EPOLLIN)
        epoll.register(self._control, select.EPOLLIN)
        epoll.register(self._timer.fd, select.EPOLLIN | select.EPOLLET)
        # Connections break their cycles when they close; a collection in the middle of a stream would only be late tokens.
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            while self._turn():
                pass
        finally:
            for connection in list(self._connections.values()):
                self._drop(connection, "stopped")
            epoll.close()
            self._timer.close()
            gc.enable()

    def _turn(self) -> bool:
        """One wake-up: read everything that came, write everything that is due, and set the timer for the rest."""
        connections = self._connections
        for fd, events in self._epoll.poll(self._sleep(), 256):
            connection = connections.get(fd)
            if connection is not None:
                if events & select.EPOLLOUT:
                    self._flush(connection)
                if events & ~select.EPOLLOUT and connections.get(fd) is connection:
                    self._read(connection)
            elif fd == self._timer.fd:
                self._timer.fired()
            elif fd == self._listener.fileno():
                self._accept()
            elif fd == self._control:
                return False
        self._write_due()
        return True

    def _sleep(self) -> float:
        """Sets the timer; seconds for epoll: 0 if something is due already."""
        now = now_ns()
        if now >= self._tick_ns:
            self._tick(now)
        at_ns = self._model.next_ns()
        if at_ns is not None and at_ns <= now:
            return 0
        self._timer.arm(self._tick_ns if at_ns is None else min(at_ns, self._tick_ns))
        return -1

    def _tick(self, now: int) -> None:
        self._tick_ns = now + _TICK_NS
        if self._log is not None:
            self._log.turn(now)
        if self._model.next_ns() is None and now >= self._collect_ns:
            self._collect_ns = now + _COLLECT_NS
            gc.collect()
        if self._keep_alive_ns is not None:
            idle = [
                c
                for c in self._connections.values()
                if c.answer is None and now - c.idle_since_ns > self._keep_alive_ns
            ]
            for connection in idle:
                self._drop(connection, "gone")

    def _write_due(self) -> None:
        # Hot: once a token. Locals, no calls but those that an event needs.
        due = self._model.due(now_ns())
        packed = None if self._log is None else self._log.tokens
        pack = TOKEN.pack
        mask = words.POOL_MASK
        clock = now_ns
        for due_ns, _, sequence in due:
            answer: Any = sequence.key
            index = answer.index
            connection = answer.connection
            if index == answer.special or connection.out:
                self._write_special(answer, due_ns)
                continue
            size, tail = answer.words[(answer.word + index) & mask]
            data = size + answer.head + tail
            write_ns = clock()
            try:
                sent = connection.send(data)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                sent = 0
            except OSError:
                self._drop(connection, "gone")
                continue
            complete = sent == len(data)
            if packed is not None:
                packed += pack(answer.number, due_ns, write_ns, index, complete)
            answer.index = index + 1
            if not complete:
                connection.keep(data[sent:])

    def _write_special(self, answer: Answer, due_ns: int) -> None:
        """An event at which something besides itself happens, or one whose connection is full."""
        connection = answer.connection
        if connection.answer is not answer:
            return  # it ended earlier in this very batch of due events
        try:
            if answer.index == answer.special:
                if answer.index == answer.shape.fault_at and self._break(answer):
                    return
                between = answer.turn()
                if answer.shape.streamed:
                    self.send_head(answer)
            else:
                between = b""
            if answer.shape.streamed:
                data = between + answer.event()
                write_ns = now_ns()
                complete = connection.write(data)
                if self._log is not None:
                    self._log.tokens += TOKEN.pack(answer.number, due_ns, write_ns, answer.index, complete)
            answer.index += 1
            if answer.last() and not (answer.shape.fault_at >= answer.index and self._break(answer)):
                self._finish(answer)
        except OSError:
            self._drop(connection, "gone")

    def send_head(self, answer: Answer) -> None:
        if not answer.head_sent:
            answer.head_sent = True
            first_ns = now_ns()
            data = answer.stream_head((first_ns - answer.row["received_ns"]) // _NS_PER_MS)
            answer.row["first_write_ns"] = now_ns()
            answer.row["status"] = 200
            answer.connection.write(data)

    def _finish(self, answer: Answer) -> None:
        shape, row = answer.shape, answer.row
        if shape.streamed:
            data = answer.stream_end()
            row["done_ns"] = now_ns()
        else:
            data = answer.whole((now_ns() - row["received_ns"]) // _NS_PER_MS)
            row["first_write_ns"] = row["done_ns"] = now_ns()
            row["status"] = 200
        answer.connection.write(data)
        self._end(answer, "ok" if row["fault"] is None else "fault")

    def _break(self, answer: Answer) -> bool:
        """Makes the answer's fault; True if nothing more of the answer will come."""
        shape, connection = answer.shape, answer.connection
        if shape.fault is None:
            return False
        fault = FAULTS[shape.fault]
        if not (shape.streamed or fault.unstreamed):
            return False
        answer.row["fault"] = shape.fault
        if shape.streamed and (data := answer.broken()):
            if fault.then == ENDS:
                answer.row["done_ns"] = now_ns()
            connection.write(data)
        if fault.then == GOES_ON or (fault.then == ENDS and not shape.streamed):
            return False
        assert answer.sequence is not None
        self._model.cancel(answer.sequence)
        if fault.then == ENDS:
            self._end(answer, "fault")
        elif fault.then != STALLS:
            self._drop(connection, "fault", reset=fault.then == RESETS, abrupt=True)
        return True

    def _end(self, answer: Answer, outcome: str) -> None:
        """The answer is over; the connection goes on, or closes when its last byte is out."""
        connection = answer.connection
        connection.idle_since_ns = now_ns()
        self._record(answer, outcome)
        if not answer.shape.keep_alive or (answer.shape.streamed and not answer.shape.form.chunked):
            connection.closing = True
        self._next(connection)

    def _record(self, answer: Answer, outcome: str) -> None:
        answer.connection.answer = None
        answer.special = answer.index  # what is still due of it goes to _write_special, which knows that it ended
        row = answer.row
        if answer.sequence is not None:
            row["started_ns"] = answer.sequence.started_ns
            answer.sequence = None  # they hold each other
        row["written_chunks"] = answer.index if answer.shape.streamed else 0
        if self._log is not None:
            row["answer_hash"] = answer.content_hash()
        self._endpoint.ended(answer, outcome)
        self._log_request(row, outcome)

    def _log_request(self, row: dict[str, Any], outcome: str) -> None:
        row["ended_ns"] = now_ns()
        row["outcome"] = outcome
        if self._log is not None:
            self._log.requests.append(row)

    def _accept(self) -> None:
        for _ in range(ACCEPTS_AT_ONCE):
            try:
                sock, _peer = self._listener.accept()
            except BlockingIOError:
                return
            except OSError:
                # Out of descriptors: the client waits in the backlog until a connection has closed.
                self._epoll.unregister(self._listener.fileno())
                self._full = True
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            connection = Connection(sock, self._accepted, self._epoll)
            self._accepted += 1
            self._connections[connection.fd] = connection

    def _read(self, connection: Connection) -> None:
        try:
            found = connection.read()
            received_ns = connection.idle_since_ns
            if found is None:
                self._drop(connection, "gone")
                return
            if connection.wants_continue() and connection.answer is None:
                connection.write(wire.CONTINUE)
            connection.requests.extend((request, received_ns) for request in found)
            self._next(connection)
        except BadHttpError as error:
            kind = troubles.TOO_LARGE if error.status == 413 else troubles.BAD_REQUEST
            body = troubles.body(troubles.OPENAI, kind, str(error))
            if connection.answer is None:
                connection.write(wire.whole(error.status, body, [], keep_alive=False))
            self._drop(connection, "gone")
        except OSError:
            self._drop(connection, "gone")

    def _next(self, connection: Connection) -> None:
        """Starts on the next request of the connection, or closes it when it is due to close."""
        while connection.answer is None and not connection.closing and connection.requests:
            request, received_ns = connection.requests.popleft()
            self._answer(connection, request, received_ns)
        if connection.closing and connection.answer is None and not connection.out:
            self._drop(connection, "gone")

    def _answer(self, connection: Connection, request: HttpRequest, received_ns: int) -> None:
        # One that was pipelined arrives, for limits and model, when the answer before it has ended.
        arrived_ns = max(received_ns, connection.idle_since_ns)
        reply = self._endpoint.reply(request, received_ns, arrived_ns, connection.number)
        if reply.shape is None:
            if reply.row is not None:
                reply.row["first_write_ns"] = reply.row["done_ns"] = now_ns()
                self._log_request(reply.row, reply.outcome)
            connection.closing = not request.keep_alive
            connection.write(
                wire.whole(
                    reply.status,
                    reply.body,
                    reply.headers,
                    keep_alive=request.keep_alive,
                    content_type=reply.content_type,
                )
            )
            return
        assert reply.row is not None
        answer = Answer(connection, reply.row["request_number"], reply.shape, reply.row)
        connection.answer = answer
        self._endpoint.began(answer)
        answer.sequence = self._model.arrive(answer, arrived_ns, reply.shape.input_tokens, reply.shape.events)
        if reply.head_at_once:
            self.send_head(answer)

    def _flush(self, connection: Connection) -> None:
        try:
            if connection.flush():
                self._next(connection)
        except OSError:
            self._drop(connection, "gone")

    def _drop(self, connection: Connection, outcome: str, *, reset: bool = False, abrupt: bool = False) -> None:
        """Ends the connection and whatever was under way on it."""
        if self._connections.pop(connection.fd, None) is None:
            return
        if self._full:
            self._full = False
            self._epoll.register(self._listener.fileno(), select.EPOLLIN)
        answer = connection.answer
        if answer is not None:
            if answer.sequence is not None:
                self._model.cancel(answer.sequence)
            self._record(answer, "fault" if answer.row["fault"] else outcome)
        connection.close(reset=reset, abrupt=abrupt)


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(settings.tls_cert, settings.tls_key)
    context.set_alpn_protocols(["http/1.1"])
    return context
