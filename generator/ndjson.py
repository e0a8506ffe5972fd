"""Lines of JSON out of bytes, incremental: NDJSON and JSON Lines. LF ends a line, blanks around it are dropped, blank lines are none.

A line is told as ``sse.py`` tells an event, without a name, so that one decoder can take either.
"""

from __future__ import annotations

from generator.sse import EVENT_BYTES, Event


class LineParser:
    """``feed`` gives the lines that its bytes completed, ``rest`` what came after the last LF. Once ``error`` is set (a line above the
    bound) there are none.
    """

    __slots__ = ("_limit_bytes", "_line", "error")

    def __init__(self, limit_bytes: int = EVENT_BYTES) -> None:
        self.error: str | None = None
        self._limit_bytes = limit_bytes
        self._line = bytearray()

    @property
    def idle(self) -> bool:
        """Nothing is held of earlier bytes."""
        return not self._line and self.error is None

    def feed(self, payload: bytes) -> list[Event]:
        lines: list[Event] = []
        if self.error:
            return lines
        at = 0
        while (end := payload.find(b"\n", at)) >= 0:
            if not self._hold(payload[at:end]):
                return lines
            line = _bare(self._line)
            self._line.clear()
            at = end + 1
            if line:
                lines.append((line, at, b""))
        self._hold(payload[at:])
        return lines

    def rest(self) -> bytes:
        """The last line, where nothing ended it."""
        return _bare(self._line)

    def _hold(self, piece: bytes) -> bool:
        if len(self._line) + len(piece) > self._limit_bytes:
            self.error = f"a line of more than {self._limit_bytes} bytes"
            self._line.clear()
            return False
        self._line += piece
        return True


def _bare(line: bytearray) -> bytes:
    """Some servers put a BOM before their first line, though RFC 8259 forbids it."""
    return bytes(line).removeprefix(b"\xef\xbb\xbf").strip(b" \t\r")
