"""Server-sent events out of bytes: the stream of the HTML standard (section 9.2), incremental, with no socket in sight.

Bytes go in as they were read, cut anywhere; complete events come out, each with the offset within those bytes at which it
was complete (after its blank line). That offset is what tells a chunk whose arrival is certain from one whose is not.

The rules of the standard: lines end with LF, CRLF or CR; one BOM may lead; a line that begins with a colon is a comment;
one space after a field's colon is dropped; ``data`` lines are joined with LF; an event without a ``data`` line is none; one
that the end of the stream cuts off is none either. ``id`` and ``retry`` steer a reconnection, which we never do: they
are read over.
"""

from __future__ import annotations

import re

Event = tuple[bytes, int, bytes]
"""(data, end, name): ``end`` counts from the start of the bytes fed last; ``name`` is the ``event`` field, ``b""`` without one."""

EVENT_BYTES = 1 << 20
"""Most that one event may hold. A chunk of a chat answer has some 300 bytes."""

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\n|\r")


class SseParser:
    """``feed`` gives the events that its bytes completed. Once ``error`` is set (an event above the bound) it gives none."""

    __slots__ = ("_after_cr", "_data", "_held_bytes", "_limit_bytes", "_line", "_name", "_start", "error", "idle")

    def __init__(self, limit_bytes: int = EVENT_BYTES) -> None:
        self.error: str | None = None
        self.idle = True  # nothing is held of earlier bytes: these might as well be the first
        self._limit_bytes = limit_bytes
        self._line = bytearray()  # a line without its end yet
        self._data: list[bytes] = []  # data lines of the event under way
        self._held_bytes = 0  # their sum
        self._name = b""
        self._after_cr = False  # the bytes so far ended in CR: an LF now belongs to it
        self._start = True  # no line is complete yet, so a BOM may still lead

    def feed(self, payload: bytes) -> list[Event]:
        # The common read is a whole number of one-line events, each "data: …" and a blank line, or "event: …" before them: a few
        # searches for single bytes, which C does at the speed of memory, see to it. All else goes line by line.
        if self.idle and payload.find(b"\r") < 0:
            lines = payload.split(b"\n")
            if len(lines) > 2 and len(lines) & 1 and not lines[-1] and not any(lines[1::2]):
                events: list[Event] = []
                end = 0
                for line in lines[:-1:2]:
                    if line[:6] != b"data: " or len(line) > self._limit_bytes:
                        break
                    end += len(line) + 2
                    events.append((line[6:], end, b""))
                else:
                    self._start = False
                    return events
            elif len(lines) % 3 == 1 and not lines[-1] and payload[:7] == b"event: " and not any(lines[2::3]):
                events = []
                end = 0
                for name, line in zip(lines[:-1:3], lines[1::3], strict=True):
                    if line[:6] != b"data: " or name[:7] != b"event: ":
                        break
                    if len(line) > self._limit_bytes or len(name) > self._limit_bytes:
                        break
                    end += len(name) + len(line) + 3
                    events.append((line[6:], end, name[7:]))
                else:
                    self._start = False
                    return events
        return self._feed_lines(payload)

    def _feed_lines(self, payload: bytes) -> list[Event]:
        events: list[Event] = []
        if not payload or self.error:
            return events
        at = 1 if self._after_cr and payload[:1] == b"\n" else 0
        self._after_cr = payload[-1:] == b"\r"
        for found in _LINE_END.finditer(payload, at):
            line: bytes = payload[at : found.start()]
            at = found.end()
            if self._line:
                line = bytes(self._line + line)
                self._line.clear()
            if self._too_long(len(line)):
                return events
            if self._start:
                self._start = False
                line = line.removeprefix(_BOM)
            if line:
                self._take(line)
                continue
            if self._data:
                events.append((b"\n".join(self._data), at, self._name))
                self._data = []
                self._held_bytes = 0
            self._name = b""
        self._line += payload[at:]
        if not self._too_long(len(self._line)):
            self.idle = not (self._line or self._data or self._name or self._after_cr)
        return events

    def _take(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
            self._held_bytes += len(line)
        elif name == b"event":
            self._name = value.removeprefix(b" ")

    def _too_long(self, line_bytes: int) -> bool:
        if self._held_bytes + line_bytes <= self._limit_bytes:
            return False
        self.idle = False
        self.error = f"an event of more than {self._limit_bytes} bytes"
        self._line.clear()
        self._data = []
        return True
